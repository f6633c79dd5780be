"""Contracts and final statements in, invoices out: amounts by hand, one invoice a period, numbers without a gap."""

from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import msgspec
from prometheus_client import REGISTRY

from fakturo.consumers.invoicing.handler import InvoicingAgent
from tests.consumers.invoicing.conftest import (
    Desk,
    account,
    item,
    month,
    settings_of,
    statement,
    subscription,
    version,
)


async def test_an_airline_with_a_terminal_and_movements_gets_its_january_to_the_cent(desk: Desk) -> None:
    """15,000.00 + 184,512.37 = 199,512.37; 8.875 % of it is 17,706.7228..., so 17,706.72."""
    await desk.take(account("UA"), subscription("UA", item("terminal"), item("movement", metered=True)))
    await desk.take(statement("UA", "movement", 1, (1735, 18_451_237)))
    (invoice,) = await desk.tick(month(2))
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (19_951_237, 1_770_672, 21_721_909)
    assert invoice.amount_due_minor == 21_721_909
    assert [(line.product_code, line.amount_minor) for line in invoice.lines] == [
        ("MOVEMENT", 18_451_237),
        ("TERMINAL", 1_500_000),
    ]
    assert (invoice.issue_date, invoice.due_date, invoice.payment_terms) == (
        date(2013, 2, 1), date(2013, 3, 3), "30 days net",
    )  # fmt: skip
    assert (invoice.period.start, invoice.period.end) == (month(1), month(2))
    assert (invoice.number, invoice.revision) == ("NYC-00000001", 1)
    assert (invoice.customer.name, invoice.customer.vat_id) == ("UA", "US-1")
    assert (invoice.seller.name, invoice.seller.country) == ("Airports", "US")
    assert [(tax.category, tax.rate_percent, tax.taxable_minor) for tax in invoice.taxes] == [
        ("standard", Decimal("8.875"), 19_951_237)
    ]
    assert invoice.lines[0].explanation == "1735 movements"
    assert invoice.price_versions == (f"{'movement':h<64}", f"{'terminal':h<64}")


async def test_an_airline_that_changes_its_terminals_in_september_pays_by_the_day(desk: Desk) -> None:
    """1 terminal for 15 of 30 days: 7,500.00; 2 for the other 15: 15,000.00; tax 8.875 % of 22,500.00: 1,996.875."""
    one = item("terminal-1", service_end_on=date(2013, 9, 16))
    two = item("terminal-2", service_start_on=date(2013, 9, 16), quantity=Decimal(2))
    await desk.take(account("EV"), subscription("EV", one, two))
    invoices = await desk.tick(month(11))
    assert [invoice.subtotal_minor for invoice in invoices] == [1_500_000] * 8 + [2_250_000] + [3_000_000]
    september = invoices[8]
    assert [line.amount_minor for line in september.lines] == [750_000, 1_500_000]
    assert (september.tax_minor, september.total_minor) == (199_688, 2_449_688)
    assert september.lines[0].period.end == september.lines[1].period.start == datetime(2013, 9, 16, 4, tzinfo=UTC)


async def test_an_item_that_starts_inside_a_month_is_billed_from_its_first_day(desk: Desk) -> None:
    """VX from 15 March: 17 of 31 days of 15,000.00 are 8,225.806..., so 8,225.81."""
    await desk.take(account("VX"), subscription("VX", item("terminal", service_start_on=date(2013, 3, 15))))
    invoices = await desk.tick(month(5))
    assert [invoice.subtotal_minor for invoice in invoices] == [822_581, 1_500_000]
    assert invoices[0].period.start == month(3)


async def test_an_item_that_ended_is_billed_with_the_month_of_its_end_and_then_no_more(desk: Desk) -> None:
    """YV until 19 November: 19 of 30 days are 9,500.00."""
    await desk.take(account("YV"), subscription("YV", item("terminal", service_end_on=date(2013, 11, 20))))
    invoices = await desk.tick(datetime(2014, 6, 1, tzinfo=UTC))
    assert [invoice.subtotal_minor for invoice in invoices] == [1_500_000] * 10 + [950_000]


async def test_an_invoice_waits_for_the_last_final_statement_and_says_so(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal"), item("movement", metered=True)))
    await desk.take(statement("UA", "movement", 1, (5, 500), final=False))
    assert await desk.tick(month(2)) == []
    assert await desk.pending() == ["movement"]
    await desk.take(statement("UA", "movement", 1, (7, 700)))
    assert await desk.tick(month(2)) == []  # this tick has tried it
    (invoice,) = await desk.tick(datetime(2013, 2, 2, tzinfo=UTC))
    assert [line.amount_minor for line in invoice.lines] == [700, 1_500_000]
    assert await desk.pending() == []


async def test_an_account_that_waits_holds_back_no_other(desk: Desk) -> None:
    await desk.take(account("AA"), subscription("AA", item("aa", metered=True)))
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    assert [invoice.account for invoice in await desk.tick(month(2))] == ["UA"]


async def test_each_slice_of_a_statement_is_a_line_and_zero_usage_stays_on_the_invoice(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("one", metered=True), item("two", metered=True)))
    await desk.take(statement("UA", "one", 1, (1, 100), (2, 300)), statement("UA", "two", 1, (0, 0)))
    (invoice,) = await desk.tick(month(2))
    assert [(line.subscription_item, line.quantity, line.amount_minor) for line in invoice.lines] == [
        ("one", Decimal(1), 100), ("one", Decimal(2), 300), ("two", Decimal(0), 0),
    ]  # fmt: skip
    assert len({line.line_id for line in invoice.lines}) == 3


async def test_an_item_that_arrives_after_the_bill_gets_a_second_one_of_the_same_period(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    (first,) = await desk.tick(month(2))
    await desk.take(subscription("UA", item("terminal-2"), name="late"), watermark_at=month(2))
    (second,) = await desk.tick(datetime(2013, 2, 3, tzinfo=UTC))
    assert (first.revision, second.revision) == (1, 2)
    assert first.invoice_id != second.invoice_id
    assert second.period == first.period
    assert [line.subscription_item for line in second.lines] == ["terminal-2"]


async def test_a_contract_that_came_after_a_tick_is_not_billed_at_it(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal")), watermark_at=month(2))
    assert await desk.tick(month(2)) == []
    assert len(await desk.tick(datetime(2013, 2, 2, tzinfo=UTC))) == 1


async def test_numbers_have_no_gap_and_events_a_stable_id_over_many_accounts_and_months(desk: Desk) -> None:
    accounts = [f"A{number:03}" for number in range(120)]
    for name in accounts:
        await desk.take(account(name), subscription(name, *(item(f"t{index}-{name}") for index in range(10))))
    await desk.tick(month(3))
    assert len(desk.invoices) == 240
    assert sorted(invoice.number or "" for invoice in desk.invoices) == [f"NYC-{n:08}" for n in range(1, 241)]
    assert [event.id for event in desk.events] == [f"{invoice.invoice_id}:finalized" for invoice in desk.invoices]
    assert len({event.id for event in desk.events}) == 240
    assert all(event.subject == event.data.account and event.time == event.data.period.end for event in desk.events)
    months = [invoice.period.start for invoice in desk.invoices if invoice.account == "A007"]
    assert months == [month(1), month(2)]
    stored = await desk.connection.fetchrow(
        "SELECT count(*), (SELECT count(*) FROM invoicing.invoice_line) AS lines FROM invoicing.invoice"
    )
    assert tuple(stored or ()) == (240, 2400)


async def test_the_grace_holds_the_bill_back(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, InvoicingAgent(settings_of(grace_seconds=3600)))
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    assert await desk.tick(datetime(2013, 2, 1, 5, 59, 59, tzinfo=UTC)) == []
    assert len(await desk.tick(datetime(2013, 2, 1, 6, tzinfo=UTC))) == 1


async def test_billing_ends_where_the_setting_says(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, InvoicingAgent(settings_of(billing_until=date(2014, 1, 1))))
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    invoices = await desk.tick(datetime(2014, 9, 1, tzinfo=UTC))
    assert len(invoices) == 12
    assert invoices[-1].period.end == month(13)


async def test_two_currencies_of_an_account_are_two_invoices(desk: Desk) -> None:
    euros = {"model": "flat", "amount": "10", "currency": "EUR"}
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    await desk.take(subscription("UA", item("flat", price=euros), name="second", currency="EUR"))
    invoices = await desk.tick(month(2))
    assert sorted((invoice.currency, invoice.subtotal_minor) for invoice in invoices) == [
        ("EUR", 1000), ("USD", 1_500_000),
    ]  # fmt: skip
    assert sorted(invoice.revision for invoice in invoices) == [1, 2]


async def test_customer_and_terms_are_those_of_the_day_of_issue(desk: Desk) -> None:
    later = version("United Continental", datetime(2013, 1, 20, tzinfo=UTC), terms_days=10)
    await desk.take(account("UA", version("United"), later), subscription("UA", item("terminal")))
    (invoice,) = await desk.tick(month(2))
    assert (invoice.customer.name, invoice.due_date) == ("United Continental", date(2013, 2, 11))


async def test_an_item_that_left_its_subscription_is_billed_no_more(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal-1"), item("terminal-2")))
    await desk.take(subscription("UA", item("terminal-1")))
    (invoice,) = await desk.tick(month(2))
    assert [line.subscription_item for line in invoice.lines] == ["terminal-1"]


async def test_an_account_with_nothing_in_service_gets_no_invoice(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal", service_start_on=date(2013, 6, 1))))
    assert await desk.tick(month(6)) == []


async def test_the_same_tick_again_bills_nothing_twice(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    assert len(await desk.tick(month(2))) == 1
    assert await desk.tick(month(2)) == []
    assert await desk.tick(datetime(2013, 2, 27, tzinfo=UTC)) == []


async def test_what_is_delivered_again_after_the_bill_bills_nothing_twice(desk: Desk) -> None:
    facts = (account("UA"), subscription("UA", item("terminal"), item("movement", metered=True)))
    january = statement("UA", "movement", 1, (7, 700))
    await desk.take(*facts, january)
    assert len(await desk.tick(month(2))) == 1
    await desk.take(*facts, january, watermark_at=month(2))
    await desk.take(january, watermark_at=month(2))
    assert await desk.tick(datetime(2013, 2, 2, tzinfo=UTC)) == []
    assert await desk.connection.fetchval("SELECT count(*) FROM invoicing.invoice") == 1


async def test_each_account_is_billed_when_the_month_is_over_where_it_is(desk: Desk) -> None:
    """February begins at 23:00 UTC on 31 January in Copenhagen, and at 08:00 UTC in Los Angeles."""
    for name, zone in (("CPH", "Europe/Copenhagen"), ("LAX", "America/Los_Angeles")):
        there = msgspec.structs.replace(version(name), timezone=zone)
        await desk.take(account(name, there), subscription(name, item(f"terminal-{name}")))
    february = datetime(2013, 2, 1, tzinfo=UTC)
    assert await desk.tick(february.replace(month=1, day=31, hour=22, minute=59)) == []
    assert [invoice.account for invoice in await desk.tick(february.replace(month=1, day=31, hour=23))] == ["CPH"]
    assert await desk.tick(february.replace(hour=7, minute=59)) == []
    assert [invoice.account for invoice in await desk.tick(february.replace(hour=8))] == ["LAX"]
    assert [invoice.issue_date for invoice in desk.invoices] == [date(2013, 2, 1)] * 2


async def test_an_invoice_is_counted_when_it_is_committed_and_not_before(desk: Desk) -> None:
    await desk.take(account("UA"), subscription("UA", item("terminal")))
    before = _invoices_counted()
    tx = desk.transaction()
    async with desk.connection.transaction():
        while await desk.agent.advance(month(2), tx):
            pass
    assert _invoices_counted() == before
    tx.tell_committed()
    assert _invoices_counted() == before + 1


def _invoices_counted() -> float:
    return REGISTRY.get_sample_value("fakturo_invoices_total", {"kind": "invoice", "currency": "USD"}) or 0.0
