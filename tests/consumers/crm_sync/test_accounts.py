"""The Account's fields: KPIs, currency, next invoice; and accounts that the org does not have."""

from datetime import date

import pytest

from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE
from tests.consumers.crm_sync.conftest import UNITED, Desk, invoice, item

JANUARY, MARCH = date(2026, 1, 15), date(2026, 3, 1)


async def test_kpis_are_shown_in_the_currency_of_the_account(desk: Desk) -> None:
    await desk.hand_in(
        desk.account(),
        desk.kpi("lifetime_value", "lifetime", "1234.56"),
        desk.kpi("lifetime_value", "lifetime", "99", currency="EUR"),
        desk.kpi("lifetime_value", "30d", "1"),
        desk.kpi("mrr", "now", "80"),
        desk.kpi("on_time_rate", "365d", "85"),
        desk.kpi("days_to_pay", "365d", "31.4159"),
        desk.kpi("usage_trend", "now", "-12.5"),
        desk.kpi("open_receivables", "now", "10"),
    )
    assert await desk.fields(ACCOUNT, "UA") == {
        "Fakturo_Currency__c": "USD",
        "Fakturo_Lifetime_Value__c": "1234.56",
        "Fakturo_MRR__c": "80",
        "Fakturo_Payer_Rating__c": "B",
        "Fakturo_Days_To_Pay__c": "31.4159",
        "Fakturo_Next_Invoice_On__c": None,
        "Fakturo_Usage_Trend__c": "-12.5",
        "Fakturo_Open_Amount__c": "10",
    }


async def test_the_newest_record_of_a_kpi_counts_and_one_without_a_value_empties_the_field(desk: Desk) -> None:
    old, new = desk.kpi("mrr", "now", "80"), desk.kpi("mrr", "now", None)
    await desk.hand_in(desk.account(), new, old)
    assert (await desk.fields(ACCOUNT, "UA"))["Fakturo_MRR__c"] is None


async def test_the_portfolio_is_no_account(desk: Desk) -> None:
    await desk.hand_in(desk.kpi("mrr", "now", "80", account="portfolio"))
    assert await desk.connection.fetchval("SELECT count(*) FROM crm_sync.account") == 0


async def test_rows_of_an_account_that_is_not_known_yet_wait_and_are_released_when_it_comes(desk: Desk) -> None:
    await desk.hand_in(desk.finalized(invoice()), desk.kpi("mrr", "now", "80"))
    held = await desk.connection.fetch("SELECT key, held FROM crm_sync.written ORDER BY key")
    assert [tuple(row) for row in held] == [("in-1", "account_unknown"), ("in-1-1", "account_unknown")]

    await desk.hand_in(desk.account())
    free = await desk.connection.fetch("SELECT key FROM crm_sync.written WHERE held IS NULL AND dirty ORDER BY key")
    assert [row["key"] for row in free] == ["UA", "in-1", "in-1-1"]


async def test_an_account_that_is_none_of_the_orgs_is_kept_apart_and_is_no_error(desk: Desk) -> None:
    tx = await desk.hand_in(desk.account(salesforce_id="customer-17"), desk.finalized(invoice()))
    assert tx.rejections == []
    held = await desk.connection.fetch("SELECT DISTINCT held FROM crm_sync.written")
    assert [row["held"] for row in held] == ["foreign_account"]


async def test_an_account_that_is_another_record_now_has_all_its_rows_sent_again(desk: Desk) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    await desk.connection.execute("UPDATE crm_sync.written SET dirty = false, pushed_hash = hash")
    await desk.hand_in(desk.account(hours=1, salesforce_id=UNITED[:14] + "F", currency="USD"))
    dirty = await desk.connection.fetch("SELECT key FROM crm_sync.written WHERE dirty ORDER BY key")
    assert [row["key"] for row in dirty] == ["UA", "in-1", "in-1-1"]


@pytest.mark.parametrize(
    ("day", "expected"),
    # Billed monthly in arrears: January is billed on 1 February.
    [(JANUARY, "2026-02-01"), (date(2026, 1, 31), "2026-02-01"), (date(2026, 2, 1), "2026-03-01")],
)
async def test_the_next_invoice_is_when_the_running_period_ends(desk: Desk, day: date, expected: str) -> None:
    await desk.hand_in(desk.account(), desk.subscription(item()))
    await desk.tick(day)
    assert (await desk.fields(ACCOUNT, "UA"))["Fakturo_Next_Invoice_On__c"] == expected


async def test_the_next_invoice_moves_on_as_time_passes(desk: Desk) -> None:
    await desk.hand_in(desk.account(), desk.subscription(item()))
    await desk.tick(JANUARY)
    await desk.tick(MARCH)
    assert (await desk.fields(ACCOUNT, "UA"))["Fakturo_Next_Invoice_On__c"] == "2026-04-01"


async def test_a_subscription_before_its_account_waits_for_it(desk: Desk) -> None:
    await desk.hand_in(desk.subscription(item()))
    await desk.tick(JANUARY)
    await desk.hand_in(desk.account())
    await desk.tick(date(2026, 1, 16))
    assert (await desk.fields(ACCOUNT, "UA"))["Fakturo_Next_Invoice_On__c"] == "2026-02-01"


async def test_a_parent_that_pays_is_shown_the_next_invoice_and_its_child_none(desk: Desk) -> None:
    await desk.hand_in(
        desk.account("PARENT", salesforce_id=UNITED),
        desk.account("CHILD", salesforce_id=UNITED[:14] + "F", bill_to="PARENT"),
        desk.subscription(item(), account="CHILD"),
    )
    await desk.tick(JANUARY)
    assert (await desk.fields(ACCOUNT, "PARENT"))["Fakturo_Next_Invoice_On__c"] == "2026-02-01"
    assert (await desk.fields(ACCOUNT, "CHILD"))["Fakturo_Next_Invoice_On__c"] is None
    await desk.hand_in(desk.account("CHILD", salesforce_id=UNITED[:14] + "F", hours=1))
    await desk.tick(date(2026, 1, 16))
    assert (await desk.fields(ACCOUNT, "PARENT"))["Fakturo_Next_Invoice_On__c"] is None
    assert (await desk.fields(ACCOUNT, "CHILD"))["Fakturo_Next_Invoice_On__c"] == "2026-02-01"


async def test_a_subscription_that_ends_leaves_no_next_invoice(desk: Desk) -> None:
    await desk.hand_in(desk.account(), desk.subscription(item()))
    await desk.tick(JANUARY)
    await desk.hand_in(desk.subscription(item(service_end_on=date(2026, 2, 1)), hours=1))
    await desk.tick(date(2026, 2, 2))
    assert (await desk.fields(ACCOUNT, "UA"))["Fakturo_Next_Invoice_On__c"] is None


async def test_time_moves_in_bounded_parts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakturo.consumers.crm_sync.next_invoices.SUBSCRIPTIONS_A_CALL", 2)
    many = [desk.subscription(item(), subscription_id=f"sub-{number}") for number in range(5)]
    await desk.hand_in(desk.account(), *many)
    assert await desk.tick(JANUARY) == 4  # 2 + 2 + 1, and one that finds nothing


async def test_an_account_row_that_says_the_same_is_not_sent_again(desk: Desk) -> None:
    await desk.hand_in(desk.account(), desk.kpi("mrr", "now", "80"))
    await desk.connection.execute("UPDATE crm_sync.written SET dirty = false, pushed_hash = hash")
    await desk.hand_in(desk.kpi("mrr", "now", "80.00"), desk.account(hours=1))
    assert await desk.connection.fetchval("SELECT count(*) FROM crm_sync.written WHERE dirty") == 0
    assert await desk.connection.fetchval(f"SELECT count(*) FROM crm_sync.written WHERE entity = '{INVOICE}'") == 0
