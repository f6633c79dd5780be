"""Splitting a period changes no total: fixed parts over any cut add up to the whole, in days and in seconds."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.money import exponent_of
from fakturo.engine.periods import Period, add_months, date_period
from fakturo.engine.prices import parse_price, usage_of
from fakturo.engine.rating import RateRequest, RateResult, rate, rate_slices
from fakturo.schemas.events.contracts import ItemTax, ItemTerms, PriceVersion, SubscriptionItem
from tests.engine.strategies import amounts, text, tiered

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Tokyo"]
SECOND = timedelta(seconds=1)


@st.composite
def fixed_prices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a price that is prorated whole: no cap and no discount by amount, which every slice has for itself."""
    kind = draw(st.sampled_from(["flat", "per_unit", "graduated", "volume", "package"]))
    document: dict[str, Any] = {"model": kind, "licensed": kind != "flat"}
    match kind:
        case "flat":
            document["amount"] = text(draw(amounts))
        case "per_unit":
            document["unit_amount"] = text(draw(amounts))
        case "package":
            document |= {"package_size": "7", "package_amount": text(draw(amounts))}
        case _:
            document |= draw(tiered(kind))
    if draw(st.booleans()):
        document["discount"] = {"percent": text(draw(st.decimals(min_value=0, max_value=100, places=2)))}
    if draw(st.booleans()):
        document["minimum_amount"] = text(draw(amounts))
    return document | {"proration": draw(st.sampled_from(["day", "second"]))}


@st.composite
def months(draw: st.DrawFn) -> tuple[date, date, str]:
    """Draw a stretch of one, three or twelve months from any date, and a zone."""
    start_on = draw(st.dates(date(2000, 1, 1), date(2035, 1, 1)))
    return start_on, add_months(start_on, draw(st.sampled_from([1, 3, 12]))), draw(st.sampled_from(ZONES))


def item(price: dict[str, Any], quantity: Decimal, start_on: date, billing_months: int, cuts: list[date]) -> Any:
    versions = tuple(
        PriceVersion(effective_from=on, price=price, hash=f"version {index}")
        for index, on in enumerate(sorted({start_on, *cuts}))
    )
    return SubscriptionItem(
        subscription_item="i",
        product_code="P",
        product_name="P",
        billing="arrears",
        service_start_on=start_on,
        service_end_on=None,
        terms=(ItemTerms(effective_from=start_on, quantity=quantity),),
        prices=versions,
        tax=ItemTax(category="standard", rate_percent=Decimal(0)),
        billing_months=billing_months,
        anchor_on=start_on,
    )


def added(results: tuple[RateResult, ...] | list[RateResult]) -> Fraction:
    return sum((Fraction(result.exact) for result in results), Fraction(0))


def nearly(one: Fraction, other: Fraction, roundings: int) -> bool:
    """Return whether both agree but for that many roundings to 24 decimals."""
    return abs(one - other) <= roundings * Fraction(1, 2 * 10**24)


@given(st.data(), fixed_prices(), months(), st.integers(0, 60))
def test_new_versions_that_cost_the_same_change_no_total(
    data: st.DataObject, price: dict[str, Any], stretch: tuple[date, date, str], quantity: int
) -> None:
    start_on, end_on, zone = stretch
    cuts = data.draw(st.lists(st.dates(start_on, end_on - timedelta(days=1)), max_size=6))
    billing_months = (end_on.year - start_on.year) * 12 + end_on.month - start_on.month
    period = date_period(start_on, end_on, zone)

    def lines(dates: list[date]) -> tuple[RateResult, ...]:
        cut = item(price, Decimal(quantity), start_on, billing_months, dates)
        return rate_slices([request_of(part, period, zone) for part in item_slices(cut, period, zone, "EUR")])

    (whole,) = lines([])
    parts = lines(cuts)
    assert len(parts) == len({start_on, *cuts})
    assert nearly(added(parts), Fraction(whole.exact), len(parts) + 1)
    # Each line is rounded by itself, so the rounded total is off by half a cent a line at most.
    assert abs(sum(part.amount_minor for part in parts) - whole.amount_minor) * 2 <= len(parts) + 1


@given(st.data(), fixed_prices(), months(), st.integers(0, 60), st.sampled_from(["EUR", "JPY", "BHD", "CLF"]))
def test_any_cut_at_any_second_changes_no_total(
    data: st.DataObject, price: dict[str, Any], stretch: tuple[date, date, str], quantity: int, currency: str
) -> None:
    start_on, end_on, zone = stretch
    period = date_period(start_on, end_on, zone)
    offsets = data.draw(st.sets(st.integers(1, period.seconds() - 1), max_size=6))
    edges = [period.start_at, *(period.start_at + offset * SECOND for offset in sorted(offsets)), period.end_at]
    parsed = parse_price(price, currency)

    def request(start_at: datetime, end_at: datetime) -> RateRequest:
        active = Period(start_at=start_at, end_at=end_at)
        return RateRequest(price=parsed, usage=usage_of(quantity), period=period, active=active, zone=zone)

    parts = rate_slices([request(*pair) for pair in pairwise(edges)])
    whole = rate(request(period.start_at, period.end_at))
    assert nearly(added(parts), Fraction(whole.exact), len(parts) + 1)
    assert all(-exponent_of(currency) == part.amount.as_tuple().exponent for part in parts)


@given(st.data(), fixed_prices(), months(), st.integers(0, 60))
def test_bills_of_one_stretch_after_another_sum_to_the_cent_to_the_last(
    data: st.DataObject, price: dict[str, Any], stretch: tuple[date, date, str], quantity: int
) -> None:
    """Billed in advance, cut short, taken up again: whatever the stretches were, their differences telescope."""
    start_on, end_on, zone = stretch
    assume("minimum_amount" not in price)
    period = date_period(start_on, end_on, zone)
    ends = data.draw(st.lists(st.integers(1, period.seconds()), min_size=1, max_size=6))
    parsed, billed, total = parse_price(price, "EUR"), None, 0
    for end in ends:
        active = Period(start_at=period.start_at, end_at=period.start_at + end * SECOND)
        request = RateRequest(
            price=parsed, usage=usage_of(quantity), period=period, active=active, billed_active=billed, zone=zone
        )
        total += rate(request).amount_minor
        billed = active
    last = RateRequest(price=parsed, usage=usage_of(quantity), period=period, active=billed, zone=zone)
    assert total == rate(last).amount_minor


def test_a_prorated_minimum_is_one_for_all_slices_of_the_period() -> None:
    # 10 and 20 of 30 days at 3 and 4 units of 1.00: 3.00, then what is missing of 100.00.
    price = parse_price({"model": "per_unit", "unit_amount": "1", "minimum_amount": "100", "proration": "day"}, "EUR")
    april = date_period(date(2026, 4, 1), date(2026, 5, 1), "UTC")
    cut = date_period(date(2026, 4, 1), date(2026, 4, 11), "UTC").end_at
    slices = [
        RateRequest(price=price, usage=usage_of(quantity), period=april, active=Period(start_at=start, end_at=end))
        for quantity, start, end in ((3, april.start_at, cut), (4, cut, april.end_at))
    ]
    assert [str(result.amount) for result in rate_slices(slices)] == ["3.00", "97.00"]


def test_a_prorated_minimum_of_an_item_that_came_late_is_prorated() -> None:
    # 20 of 30 days: 66.67 at least, of which 7.00 was used.
    price = parse_price({"model": "per_unit", "unit_amount": "1", "minimum_amount": "100", "proration": "day"}, "EUR")
    april = date_period(date(2026, 4, 1), date(2026, 5, 1), "UTC")
    late = date_period(date(2026, 4, 11), date(2026, 5, 1), "UTC")
    (line,) = rate_slices([RateRequest(price=price, usage=usage_of(7), period=april, active=late)])
    assert str(line.amount) == "66.67"
