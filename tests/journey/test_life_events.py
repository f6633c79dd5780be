"""Each event in the life of a subscription, from Salesforce's records to ledger; amounts worked out by hand.

A seat is 31.00 a month (March: 1.00 a day), VAT 20 %.
"""

from collections.abc import Callable

from tests.journey.checks import check
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def test_a_trial_is_a_line_of_nothing_and_then_the_days_that_are_left_are_paid(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT", Fakturo_Trial_End__c="2026-03-14")
    await journey.until("2026-05-02")
    # March: 14 days of trial, 17 days at 1.00; April: the whole 31.00.
    assert journey.issued() == [
        ("2026-04-01", [("seat", "charge", 0), ("seat", "charge", 1700)]),
        ("2026-05-01", [("seat", "charge", 3100)]),
    ]
    assert [one.total_minor for one in journey.documents] == [2040, 3720]
    await check(journey)


async def test_an_upgrade_in_arrears_pays_both_products_for_their_days(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-03-16")
    journey.change("OrderItem", "seat", Product2Id=journey.product("BIG"))
    await journey.until("2026-05-01")
    # 1 to 15 March: 15.00; from the 16th 16 of 31 days of 62.00: 32.00.
    assert journey.issued() == [
        ("2026-04-01", [("seat", "charge", 1500), ("seat/2", "charge", 3200)]),
        ("2026-05-01", [("seat/2", "charge", 6200)]),
    ]
    await check(journey)


async def test_an_upgrade_in_advance_credits_the_rest_and_charges_the_new_product(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV")
    await journey.until("2026-03-16")
    journey.change("OrderItem", "seat", Product2Id=journey.product("BIG-ADV"))
    await journey.until("2026-04-02")
    # March was paid on its first day: 31.00. Of it 15.00 stay, so 31.00 are taken back and 15.00 billed; the new
    # product falls due at once: 32.00 for 16 days; April's 62.00.
    assert journey.issued() == [
        ("2026-03-01", [("seat", "charge", 3100)]),
        ("2026-03-16", [("seat", "correction", 1500), ("seat", "reversal", -3100), ("seat/2", "charge", 3200)]),
        ("2026-04-01", [("seat/2", "charge", 6200)]),
    ]
    assert journey.billed("seat") == {"2026-03": 1500}
    assert journey.billed("seat/2") == {"2026-03": 3200, "2026-04": 6200}
    await check(journey)


async def test_a_quantity_change_in_a_quarter_that_was_paid_in_advance_is_corrected_on_the_next_invoice(
    begin: Begin,
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("quarter", "O", "QUARTER")
    await journey.until("2026-03-02")
    journey.change("OrderItem", "quarter", Quantity="2")
    await journey.until("2026-04-02", 10)
    # The quarter has 31 + 28 + 31 = 90 days at 1.00 a seat. From 2 March, its 61st day, two: 60.00 and 30 x 2.00.
    assert journey.issued() == [
        ("2026-01-01", [("quarter", "charge", 9000)]),
        (
            "2026-04-01",
            [
                ("quarter", "charge", 18000),
                ("quarter", "correction", 6000),
                ("quarter", "correction", 6000),
                ("quarter", "reversal", -9000),
            ],
        ),
    ]
    assert sum(journey.billed("quarter").values()) == 12000 + 18000
    await check(journey)


async def test_a_pause_and_its_resumption_leave_out_the_days_between(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-03-05")
    journey.change("Order", "O", Fakturo_Paused_From__c="2026-03-11", Fakturo_Paused_Until__c="2026-03-20")
    await journey.until("2026-04-10")
    # Paused again from 11 April, without an end, and resumed on 21 April.
    journey.change("Order", "O", Fakturo_Paused_From__c="2026-04-11", Fakturo_Paused_Until__c=None)
    await journey.until("2026-04-21")
    journey.change("Order", "O", Fakturo_Paused_From__c=None)
    await journey.until("2026-05-02")
    # March: 10 days and 11 days. April: 10 days and the 10 from the 21st: 31.00 x 10 / 30 = 10.33 each.
    assert journey.issued() == [
        ("2026-04-01", [("seat", "charge", 1000), ("seat", "charge", 1100)]),
        ("2026-05-01", [("seat", "charge", 1033), ("seat", "charge", 1033)]),
    ]
    await check(journey)


async def test_a_pause_of_a_month_that_was_paid_in_advance_gives_back_its_days(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV")
    await journey.until("2026-03-05")
    journey.change("Order", "O", Fakturo_Paused_From__c="2026-03-11", Fakturo_Paused_Until__c="2026-03-20")
    await journey.until("2026-04-02")
    assert journey.issued()[1:] == [
        (
            "2026-04-01",
            [
                ("seat", "charge", 3100),
                ("seat", "correction", 1000),
                ("seat", "correction", 1100),
                ("seat", "reversal", -3100),
            ],
        )
    ]
    assert journey.billed("seat") == {"2026-03": 2100, "2026-04": 3100}
    await check(journey)


async def test_a_cancellation_now_gives_a_credit_note_for_the_days_that_were_paid_in_advance(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV")
    await journey.until("2026-03-11")
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-03-11")
    await journey.until("2026-05-02")
    # Ten days of 31 stay: 10.00. No invoice is to come, so the correction gets a document of its own, below 0.
    assert journey.issued() == [
        ("2026-03-01", [("seat", "charge", 3100)]),
        ("2026-03-11", [("seat", "correction", 1000), ("seat", "reversal", -3100)]),
    ]
    note = journey.documents[1]
    assert (note.number, note.subtotal_minor, note.tax_minor) == ("CN-00000001", -2100, -420)
    # 37.20 were due and 25.20 credited: 12.00 are open.
    assert await journey.balance("1200") == 1200
    await check(journey)


async def test_a_cancellation_at_period_end_lets_the_period_run_out(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    journey.item("ahead", "O", "SEAT-ADV")
    await journey.until("2026-03-11")
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-03-11", Fakturo_Cancel_At__c="period_end")
    await journey.until("2026-05-02")
    assert journey.issued() == [
        ("2026-03-01", [("ahead", "charge", 3100)]),
        ("2026-04-01", [("seat", "charge", 3100)]),
    ]
    await check(journey)


async def test_a_ramp_scheduled_by_salesforce_holds_from_its_days(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV", "5")
    await journey.until("2026-03-03")
    journey.change("OrderItem", "seat", Quantity="6", Fakturo_Effective_On__c="2026-04-01")
    journey.change("OrderItem", "seat", Quantity="7", Fakturo_Effective_On__c="2026-05-16")
    await journey.until("2026-06-02")
    # May: 15 of 31 days with 6 seats, 16 with 7: 6 x 15.00 and 7 x 16.00; known in advance, so nothing is corrected.
    assert journey.issued() == [
        ("2026-03-01", [("seat", "charge", 15500)]),
        ("2026-04-01", [("seat", "charge", 18600)]),
        ("2026-05-01", [("seat", "charge", 9000), ("seat", "charge", 11200)]),
        ("2026-06-01", [("seat", "charge", 21700)]),
    ]
    await check(journey)


async def test_a_price_learned_two_months_late_is_corrected_on_the_next_invoice_with_the_tax_of_the_first(
    begin: Begin,
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-05-20")
    journey.change("OrderItem", "seat", UnitPrice="62", ListPrice="31", Fakturo_Effective_On__c="2026-03-11")
    await journey.until("2026-06-02")
    # March: 10.00 at the old price and 21 days at 2.00; April: 62.00 in place of 31.00; May: 62.00.
    assert journey.issued()[:2] == [
        ("2026-04-01", [("seat", "charge", 3100)]),
        ("2026-05-01", [("seat", "charge", 3100)]),
    ]
    assert journey.billed("seat") == {"2026-03": 5200, "2026-04": 6200, "2026-05": 6200}
    last = journey.documents[-1]
    assert last.issue_date.isoformat() == "2026-06-01"
    # More is owed by 21.00 and 31.00, beside May's 62.00: 114.00 and 20 % of it.
    assert (last.subtotal_minor, last.tax_minor) == (11400, 2280)
    originals = {line.line_id for one in journey.documents[:2] for line in one.lines}
    assert {line.corrects for line in last.lines if line.kind in ("reversal", "correction")} <= originals
    await check(journey)


async def test_a_one_time_charge_is_billed_once_and_whole(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    journey.item("setup", "O", "SETUP", ServiceDate="2026-03-10")
    await journey.until("2026-05-02")
    assert journey.issued() == [
        ("2026-03-10", [("setup", "one_time", 50000)]),
        ("2026-04-01", [("seat", "charge", 3100)]),
        ("2026-05-01", [("seat", "charge", 3100)]),
    ]
    await check(journey)


async def test_a_year_in_advance_goes_with_usage_by_the_month_of_the_same_anchor(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-15", EndDate="2027-01-14")
    journey.item("year", "O", "YEAR")
    journey.item("calls", "O", "CALLS-COTERM")
    for month in range(1, 13):
        await journey.until(f"2026-{month:02d}-20", 0)
        journey.use("A", f"2026-{month:02d}-20", month * 100)
    await journey.until("2027-02-20", 10)
    # Twelve months from the 15th to the 14th: 100, 200, ... 1,200 calls at 0.10.
    issued = journey.issued()
    assert issued[0] == ("2026-01-15", [("year", "charge", 36500)])
    assert [day for day, _ in issued[1:]] == [f"2026-{n:02d}-15" for n in range(2, 13)] + ["2027-01-15"]
    assert [lines for _, lines in issued[1:]] == [[("calls", "charge", n * 1000)] for n in range(1, 13)]
    await check(journey)


async def test_an_annual_allowance_billed_monthly_is_used_up_before_anything_is_paid(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("calls", "O", "ALLOWANCE")
    for month in range(1, 13):
        await journey.until(f"2026-{month:02d}-10", 0)
        journey.use("A", f"2026-{month:02d}-10", 1700)
    await journey.until("2027-01-10", 0)
    journey.use("A", "2027-01-10", 1700)
    await journey.until("2027-02-02", 0)
    # 1,700 calls a month: 11,900 after seven months, the eighth pays 1,600, the others 1,700; the next year is free.
    assert [sum(amount for _, _, amount in lines) for _, lines in journey.issued()] == (
        [0] * 7 + [16000] + [17000] * 4 + [0]
    )
    # 12 x 1,700 - 12,000 = 8,400 calls at 0.10.
    assert sum(one.subtotal_minor for one in journey.documents) == 84000
    await check(journey)


async def test_an_end_learned_late_takes_back_the_months_after_it(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("seat", "O", "SEAT")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-01-10", 0)
    journey.use("A", "2026-01-10", 100)
    await journey.until("2026-02-10", 0)
    journey.use("A", "2026-02-10", 200)
    await journey.until("2026-03-10", 0)
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-02-01")
    await journey.until("2026-04-02", 0)
    # January stays: 31.00 and 10.00. February, 31.00 and 20.00, is taken back.
    assert [one.subtotal_minor for one in journey.documents] == [4100, 5100, -5100]
    assert sum(journey.billed("seat").values()) + sum(journey.billed("calls").values()) == 4100
    await check(journey)
