"""Corrections: what is still to bill; whatever came between, all bills of a period sum to one bill at the end."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fakturo.engine.corrections import BilledSlice, changed_from, outstanding
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import exact_context
from fakturo.engine.periods import Period, date_period, month_period
from fakturo.engine.tax import TaxedLine, tax_minor
from fakturo.engine.tax.positions import TaxPosition, correction_taxes, key_of
from fakturo.schemas.events.contracts import ItemTax, ItemTerms, PriceVersion, SubscriptionItem
from fakturo.schemas.events.invoices import LineTax

JUNE = month_period(date(2013, 6, 1), "UTC")
STANDARD = LineTax(category="standard", rate_percent=Decimal(25))
DAYS = [datetime(2013, 6, day, tzinfo=UTC) for day in (1, 8, 16, 24)] + [JUNE.end_at]


def charge(minor: int, period: Period = JUNE, price_hash: str = "p", quantity: int = 1) -> BilledItem:
    return BilledItem(
        subscription_item="seat",
        product_code="SEAT",
        description="Seat",
        explanation="1 seat: 1 at 10.00",
        quantity=Decimal(quantity),
        amount_exact=Decimal(minor).scaleb(-2),
        amount_minor=minor,
        period=period,
        tax=STANDARD,
        price_hash=price_hash,
        item_period=JUNE,
    )


def billed(items: tuple[BilledItem, ...], invoice_id: str) -> list[BilledSlice]:
    return [BilledSlice(line=one, line_id=f"{invoice_id}/{n}", invoice_id=invoice_id) for n, one in enumerate(items)]


def test_what_was_never_billed_is_billed_as_it_is() -> None:
    assert outstanding([charge(1000)], [], "EUR") == (charge(1000),)


def test_of_more_usage_only_the_difference_of_the_rounded_amounts_is_billed() -> None:
    """12.00 after 10.00 were billed: 2.00, naming the line, with what was billed in the sentence."""
    (line,) = outstanding([charge(1200, quantity=12)], billed((charge(1000, quantity=10),), "inv"), "EUR")
    assert (line.amount_minor, line.quantity, line.kind, line.corrects, line.corrects_invoice) == (
        200, Decimal(2), "correction", "inv/0", "inv",
    )  # fmt: skip
    assert (line.amount_exact, line.sequence) == (Decimal(2), 2)
    assert line.explanation == "1 seat: 1 at 10.00, less 10.00 already billed"


def test_what_has_not_changed_gives_no_line() -> None:
    assert outstanding([charge(1000)], billed((charge(1000),), "inv"), "EUR") == ()


def test_another_quantity_from_mid_month_takes_the_charge_back_and_bills_both_halves() -> None:
    """1 seat at 10.00 for June, then 2 seats from 16 June: -10.00 + 5.00 + 10.00 = 5.00 more."""
    first, second = (
        date_period(date(2013, 6, 1), date(2013, 6, 16), "UTC"),
        date_period(date(2013, 6, 16), date(2013, 7, 1), "UTC"),
    )
    lines = outstanding([charge(500, first), charge(1000, second)], billed((charge(1000),), "inv"), "EUR")
    assert [(line.kind, line.amount_minor, line.corrects) for line in lines] == [
        ("reversal", -1000, "inv/0"), ("correction", 500, "inv/0"), ("correction", 1000, "inv/0"),
    ]  # fmt: skip
    assert [line.sequence for line in lines] == [2, 3, 1]
    assert lines[0].explanation == "takes back 10.00 already billed"


def test_a_cancelled_period_is_taken_back_whole() -> None:
    (line,) = outstanding([], billed((charge(1000),), "inv"), "EUR")
    assert (line.kind, line.amount_minor, line.quantity) == ("reversal", -1000, Decimal(-1))


def test_a_line_that_counts_no_more_is_billed_again_under_the_next_sequence() -> None:
    (line,) = outstanding([charge(1000)], [], "EUR", taken=[charge(1000)])
    assert (line.kind, line.amount_minor, line.sequence) == ("charge", 1000, 2)


def test_a_correction_carries_the_tax_of_the_line_that_it_corrects() -> None:
    now = replace(charge(1200), tax=LineTax(category="reverse", rate_percent=Decimal(0)))
    (line,) = outstanding([now], billed((charge(1000),), "inv"), "EUR")
    assert line.tax == STANDARD


@st.composite
def bills(draw: st.DrawFn) -> list[BilledItem]:
    """A period as it stands at one time: cut at some days, each slice with a price and an amount."""
    cuts = sorted(draw(st.sets(st.sampled_from(DAYS[1:-1]))))
    edges = [DAYS[draw(st.integers(0, 1))], *cuts, DAYS[-1]]
    edges = sorted(set(edges))
    return [
        charge(
            draw(st.integers(-50, 5000)),
            Period(start_at=start_at, end_at=end_at),
            draw(st.sampled_from("pq")),
            draw(st.integers(0, 9)),
        )
        for start_at, end_at in pairwise(edges)
        if draw(st.booleans())
    ]


@given(st.lists(bills(), min_size=1, max_size=6))
def test_any_partial_bills_revisions_and_changes_sum_to_one_bill_at_the_end(history: list[list[BilledItem]]) -> None:
    lines: list[BilledSlice] = []
    for number, should in enumerate(history):
        lines += billed(outstanding(should, lines, "EUR"), f"inv{number}")
        with exact_context():
            assert sum(one.line.amount_minor for one in lines) == sum(item.amount_minor for item in should)
            assert sum(one.line.amount_exact for one in lines) == sum(item.amount_exact for item in should)
        assert outstanding(should, lines, "EUR") == ()
    keys = [(one.line.subscription_item, one.line.period.start_at, one.line.sequence) for one in lines]
    assert len(set(keys)) == len(keys)


def taxed(minor: int) -> TaxedLine:
    return TaxedLine(tax=STANDARD, net_minor=minor)


def test_tax_of_a_correction_is_what_it_changes_of_the_tax_of_the_invoice() -> None:
    """25 % of 0.01 is 0.0025: 0. With 0.01 more it is 0.005: 0.01, so the correction carries that cent."""
    before = {("inv", key_of(STANDARD)): TaxPosition(1, 0)}
    taxes = correction_taxes([taxed(1), taxed(100)], ["inv", None], before, "group")
    assert [(tax.taxable_minor, tax.tax_minor) for tax in taxes.groups] == [(101, 26)]
    assert taxes.by_line == (1, 25)


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=8))
def test_the_tax_of_an_invoice_and_its_corrections_is_that_of_one_invoice(changes: list[int]) -> None:
    taxable = tax = 0
    for change in changes:
        position = {("inv", key_of(STANDARD)): TaxPosition(taxable, tax)}
        found = correction_taxes([taxed(change)], ["inv"], position, "group")
        taxable, tax = taxable + change, tax + sum(group.tax_minor for group in found.groups)
    assert tax == tax_minor(sum(changes), Decimal(25))


ITEM = SubscriptionItem(
    subscription_item="seat",
    product_code="SEAT",
    product_name="Seat",
    billing="advance",
    service_start_on=date(2013, 1, 1),
    service_end_on=None,
    terms=(ItemTerms(effective_from=date(2013, 1, 1), quantity=Decimal(1)),),
    prices=(PriceVersion(effective_from=date(2013, 1, 1), price={}, hash="p"),),
    tax=ItemTax(category="standard", rate_percent=Decimal(25)),
)


@pytest.mark.parametrize(
    ("change", "since_on"),
    [
        ({}, None),
        ({"service_end_on": date(2013, 6, 16)}, date(2013, 6, 16)),
        ({"trial_until_on": date(2013, 2, 1)}, date(2013, 1, 1)),
        (
            {"terms": (*ITEM.terms, ItemTerms(effective_from=date(2013, 5, 3), quantity=Decimal(2)))},
            date(2013, 5, 3),
        ),
        (
            {"prices": (*ITEM.prices, PriceVersion(effective_from=date(2013, 4, 1), price={}, hash="q"))},
            date(2013, 4, 1),
        ),
    ],
)
def test_a_change_is_looked_for_from_the_first_date_that_it_touches(change: dict[str, object], since_on: date) -> None:
    assert changed_from(ITEM, structs.replace(ITEM, **change)) == since_on


FIRST_WEEK = Period(start_at=DAYS[0], end_at=DAYS[1])


@pytest.mark.parametrize(
    ("credited_minor", "expected"),
    [
        (0, [-1000, 250]),  # 10.00 was billed, 2.50 should be: 7.50 back
        (200, [-1000, 250]),  # 8.00 is left, so 7.50 may go back
        (400, [-850, 250]),  # 6.00 is left: 7.50 would be 1.50 too much
        (1000, []),  # nothing is left to give back
    ],
)
def test_what_was_credited_by_request_is_not_given_back_a_second_time(credited_minor: int, expected: list[int]) -> None:
    before = billed((charge(1000),), "inv")
    lines = outstanding([charge(250, FIRST_WEEK)], before, "EUR", credited_minor=credited_minor)
    assert [line.amount_minor for line in lines] == expected
    again = [*before, *billed(lines, "note")]
    more = outstanding([charge(250, FIRST_WEEK)], again, "EUR", credited_minor=credited_minor)
    assert [line.amount_minor for line in more] == []


def test_the_sentence_says_what_was_credited_before() -> None:
    lines = outstanding([], billed((charge(1000),), "inv"), "EUR", credited_minor=400)
    assert lines[0].explanation == "takes back 10.00 already billed, but for 4.00 credited before"


def test_a_charge_is_never_lowered_by_a_credit_that_was_asked_for() -> None:
    lines = outstanding([charge(1200)], billed((charge(1000),), "inv"), "EUR", credited_minor=1000)
    assert [line.amount_minor for line in lines] == [200]
