"""Usage that comes after its month was billed: what goes on which document, worked out by hand. Tax is 7 %."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.journey.checks import check
from tests.journey.conftest import usage_priced
from tests.journey.journey import Journey
from tests.journey.test_one_bill import PRICES

Begin = Callable[..., Journey]

CALLS: dict[str, Any] = usage_priced(PRICES, "7")


def opened(begin: Begin, *products: str, **given: Any) -> Journey:
    """Return a customer of these products since New Year."""
    order = given.pop("order", {})
    journey = begin(CALLS, **given)
    journey.account("A")
    journey.order("O", "A", "2026-01-01", **order)
    for product in products:
        journey.item(product, "O", product)
    return journey


async def use(journey: Journey, on: str, *uses: tuple[str, int]) -> None:
    """On a day, say what was used on which days; an amount is as much as the quantity."""
    await journey.until(on, 0)
    for day, quantity in uses:
        journey.use("A", day, quantity, zone="us", amount=str(quantity))


async def test_volume_repricing_goes_on_the_next_invoice_and_names_invoice_and_line(begin: Begin) -> None:
    """January: 90 at 0.115 are 10.35. 20 more make it 110 at 0.075 and 0.50: 8.75, so 1.60 less on February's invoice.

    Tax: 7 % of 10.35 are 0.72, of 8.75 0.61: 0.11 less. February: 90, 10.35 and 0.72: in all 8.75 and 0.61.
    """
    journey = opened(begin, "VOLUME")
    await use(journey, "2026-01-10", ("2026-01-10", 90))
    await use(journey, "2026-02-10", ("2026-02-10", 90), ("2026-01-15", 20))
    await journey.until("2026-03-02", 0)
    january, february = journey.documents
    assert journey.issued() == [
        ("2026-02-01", [("VOLUME", "charge", 1035)]),
        ("2026-03-01", [("VOLUME", "charge", 1035), ("VOLUME", "correction", -160)]),
    ]
    correction = next(line for line in february.lines if line.kind == "correction")
    assert (correction.corrects, correction.corrects_invoice) == (january.lines[0].line_id, january.invoice_id)
    assert (correction.tax_minor, february.subtotal_minor, february.tax_minor) == (-11, 875, 61)
    assert "less 10.35 already billed" in correction.explanation
    await check(journey)


async def test_with_the_other_setting_it_is_a_credit_note_or_an_invoice_at_once(begin: Begin) -> None:
    """As above, and then 5 more: 115 at 0.075 and 0.50 are 9.125, so 9.13: 0.38 more; tax 0.64 - 0.61 = 0.03."""
    journey = opened(begin, "VOLUME", corrections="at_once")
    await use(journey, "2026-01-10", ("2026-01-10", 90))
    await use(journey, "2026-02-10", ("2026-01-15", 20))
    await use(journey, "2026-02-15", ("2026-01-16", 5))
    await journey.until("2026-02-20", 1)
    january, note, invoice = journey.documents
    assert [(one.subtotal_minor, one.tax_minor) for one in (january, note, invoice)] == [
        (1035, 72),
        (-160, -11),
        (38, 3),
    ]
    assert (note.number, invoice.number) == ("CN-00000001", "INV-00000002")
    assert note.corrects == invoice.corrects == january.invoice_id
    assert note.lines[0].corrects == invoice.lines[0].corrects == january.lines[0].line_id
    assert "2026-02-10" <= note.issue_date.isoformat() <= "2026-02-11"
    await check(journey)


async def test_caps_minimums_packages_and_free_events_come_out_as_if_it_had_been_on_time(begin: Begin) -> None:
    """On time: 100 on the 10th, 20th and 25th of January; late: 10 on the 5th.

    CAPPED   300 x 0.07 are over 9.99, and 310 too: nothing. MINIMUM 21.00, then 21.70: 0.70 more.
    PACKAGES 300 are 8 x 3.33, and 310 too (7.75): nothing.
    PERCENT  the first two are free: of three the 25th is charged, 1.30 + 0.05. With the 5th the 10th is the second free
             one: the 20th is charged too, 1.35 more.
    """
    journey = opened(begin, "CAPPED", "MINIMUM", "PACKAGES", "PERCENT")
    await use(journey, "2026-01-25", ("2026-01-10", 100), ("2026-01-20", 100), ("2026-01-25", 100))
    await use(journey, "2026-02-10", ("2026-01-05", 10))
    await journey.until("2026-03-02", 0)
    first, second = journey.issued()
    assert first[1] == [
        ("CAPPED", "charge", 999), ("MINIMUM", "charge", 2100), ("PACKAGES", "charge", 2664),
        ("PERCENT", "charge", 135),
    ]  # fmt: skip
    assert [line for line in second[1] if line[1] != "charge"] == [
        ("MINIMUM", "correction", 70), ("PERCENT", "correction", 135),
    ]  # fmt: skip
    await check(journey)


async def test_a_minimum_that_was_charged_is_used_up_before_late_usage_costs_more(begin: Begin) -> None:
    """100 x 0.07 are 7.00, so 12.34. 70 more are 11.90: nothing. 30 more are 14.00: 1.66 more."""
    journey = opened(begin, "MINIMUM")
    await use(journey, "2026-01-25", ("2026-01-10", 100))
    await use(journey, "2026-02-10", ("2026-01-11", 70))
    await use(journey, "2026-03-10", ("2026-01-12", 30))
    await journey.until("2026-04-02", 0)
    assert journey.billed("MINIMUM")["2026-01"] == 1400
    assert [sorted(line[2] for line in lines) for _, lines in journey.issued()] == [[1234], [1234], [166, 1234]]
    await check(journey)


async def test_late_usage_costs_the_price_of_its_own_period(begin: Begin) -> None:
    """0.10 up to January, 0.20 from February: 10 late ones of January are 1.00."""
    catalog = usage_priced({"CALL": {"model": "per_unit", "unit_amount": "0.10"}}, "7")
    prices = catalog["products"]["CALL"]["prices"]
    prices.append({**prices[0], "effective_from": "2026-02-01", "unit_amount": "0.20"})
    journey = begin(catalog)
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("CALL", "O", "CALL")
    await use(journey, "2026-02-10", ("2026-02-10", 10), ("2026-01-10", 10))
    await journey.until("2026-03-02", 0)
    assert journey.billed("CALL") == {"2026-01": 100, "2026-02": 200}
    hashes = {line.kind: line.price_hash for one in journey.documents for line in one.lines if line.amount_minor}
    assert hashes["correction"] == journey.documents[0].lines[0].price_hash != hashes["charge"]
    await check(journey)


async def test_where_no_invoice_is_to_come_a_correction_is_a_document_of_its_own(begin: Begin) -> None:
    """The order ended with January, at 0.07. 10 late ones in March are 0.70 more."""
    journey = opened(begin, "CAPPED", order={"EndDate": "2026-01-31"})
    await use(journey, "2026-01-10", ("2026-01-10", 1))
    await use(journey, "2026-03-10", ("2026-01-20", 10))
    await journey.until("2026-03-20", 1)
    january, late = journey.documents
    assert (january.subtotal_minor, late.subtotal_minor, late.corrects) == (7, 70, january.invoice_id)
    assert "2026-03-10" <= late.issue_date.isoformat() <= "2026-03-11"
    # 7 % of 0.07 is 0.0049, of 0.77 0.0539.
    assert (january.tax_minor, late.tax_minor) == (0, 5)
    await check(journey)


async def test_late_usage_changes_a_draft_and_corrects_nothing(begin: Begin) -> None:
    """Ten days of review: what comes on 5 February is on January's invoice, 110 at 0.07."""
    journey = opened(begin, "CAPPED", review_seconds=10 * 86400)
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    await use(journey, "2026-02-05", ("2026-01-20", 10))
    await journey.until("2026-02-15", 1)
    assert journey.issued() == [("2026-02-01", [("CAPPED", "charge", 770)])]
    await check(journey)


async def test_a_correction_that_takes_back_more_than_the_next_invoice_charges_is_a_credit_note(begin: Begin) -> None:
    """100 at 0.115 are 11.50; 101 are 101 x 0.075 + 0.50 = 8.075, so 8.08: 3.42 back; February: 10 are 1.15."""
    journey = opened(begin, "VOLUME")
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    await use(journey, "2026-02-10", ("2026-02-10", 10), ("2026-01-15", 1))
    await journey.until("2026-03-02", 0)
    note = journey.documents[-1]
    # Tax: 7 % of 11.50 is 0.81 (0.805), of 8.08 0.57: 0.24 back; of 1.15 0.08.
    assert (note.subtotal_minor, note.tax_minor, note.number) == (-342 + 115, -24 + 8, "CN-00000001")
    await check(journey)


@pytest.mark.parametrize("void_on", ["2026-02-05", "2026-02-15"])
async def test_a_month_whose_invoice_is_void_for_good_is_settled_whenever_late_usage_comes(
    begin: Begin, void_on: str
) -> None:
    """Late usage of 10 February, voided before it or after it, when its correction waits for February's invoice."""
    journey = opened(begin, "CAPPED")
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    for day in sorted([void_on, "2026-02-10"]):
        if day == void_on:
            await journey.until(day, 1)
            journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id)
        else:
            await use(journey, day, ("2026-01-15", 10))
    await journey.until("2026-03-02", 1)
    assert journey.issued()[1:] == [("2026-03-01", [("CAPPED", "charge", 0)])]
    await check(journey)


async def test_a_credit_note_that_takes_back_a_correction_is_the_payers_credit_beyond_its_invoice(begin: Begin) -> None:
    """1 is 0.07. 10 more at once: an invoice over 0.70. The 10 were 0: a credit note of 0.70, of January's 0.07.

    Gross 0.07, 0.75 and -0.75 (7 % of 0.07 are 0.00, of 0.77 0.05): 0.07 settle January's, 0.68 are credit.
    """
    journey = opened(begin, "CAPPED", corrections="at_once")
    await use(journey, "2026-01-10", ("2026-01-10", 1))
    await journey.until("2026-02-10", 1)
    journey.use("A", "2026-01-15", 10, event_id="late", zone="us")
    await journey.until("2026-02-13", 1)
    journey.send("A", journey.correction("A", "late", None))
    await journey.until("2026-02-16", 1)
    january, more, note = journey.documents
    assert [one.total_minor for one in (january, more, note)] == [7, 75, -75]
    assert note.corrects == more.corrects == january.invoice_id
    assert await journey.balance("2300") == -68
    await check(journey)


REVIEW: dict[str, Any] = {"review_seconds": 10 * 86400}


async def test_a_draft_that_corrects_a_month_whose_invoice_is_void_for_good_does_so_no_more(begin: Begin) -> None:
    """Late usage of January is on February's draft, 0.70 beside 0.07, when January's invoice is voided on 5 March."""
    journey = opened(begin, "CAPPED", **REVIEW)
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    await use(journey, "2026-02-20", ("2026-02-20", 1), ("2026-01-15", 10))
    await journey.until("2026-03-05", 1)
    drafts = journey.pipeline.told("fakturo.invoice.drafted.v1")
    assert journey.lines(drafts[-1].data) == [("CAPPED", "charge", 7), ("CAPPED", "correction", 70)]
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id)
    await journey.until("2026-03-07", 1)
    drafts = journey.pipeline.told("fakturo.invoice.drafted.v1")
    assert journey.lines(drafts[-1].data) == [("CAPPED", "charge", 7)]
    await journey.until("2026-03-20", 1)
    assert journey.issued() == [("2026-02-01", [("CAPPED", "charge", 700)]), ("2026-03-01", [("CAPPED", "charge", 7)])]
    await check(journey)


@pytest.mark.parametrize("void_on", ["2026-02-25", "2026-03-01"])
async def test_a_draft_that_does_nothing_else_is_dropped_and_says_so(begin: Begin, void_on: str) -> None:
    """At once: a draft of its own on 21 February, in review for ten days; voided before, or in the last moment."""
    journey = opened(begin, "CAPPED", corrections="at_once", **REVIEW)
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    await use(journey, "2026-02-20", ("2026-01-15", 10))
    await journey.until(void_on, 1)
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id)
    await journey.until("2026-03-20", 1)
    drafts = [one.data for one in journey.pipeline.told("fakturo.invoice.drafted.v1")]
    own = [journey.lines(one) for one in drafts if one.issue_date.isoformat() in ("2026-02-20", "2026-02-21")]
    assert own == [[("CAPPED", "correction", 70)], []]
    assert journey.issued() == [("2026-02-01", [("CAPPED", "charge", 700)]), ("2026-03-01", [("CAPPED", "charge", 0)])]
    await check(journey)


async def test_a_draft_that_corrects_a_month_whose_invoice_is_issued_again_bills_all_of_it(begin: Begin) -> None:
    """As the first, with a reissue: January's 110 at 0.07, once."""
    journey = opened(begin, "CAPPED", **REVIEW)
    await use(journey, "2026-01-10", ("2026-01-10", 100))
    await use(journey, "2026-02-20", ("2026-02-20", 1), ("2026-01-15", 10))
    await journey.until("2026-03-05", 1)
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id, reissue=True)
    await journey.until("2026-03-20", 1)
    assert journey.billed("CAPPED") == {"2026-01": 770, "2026-02": 7}
    await check(journey)
