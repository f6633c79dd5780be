"""What trials, pauses, advance billing, deferred prices and changes in mid-period make of an item's slices."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.contracts import active_period, explained, item_slices, request_of
from fakturo.engine.explanations import explain
from fakturo.engine.modifiers import Proration
from fakturo.engine.periods import Period, date_period, first_instant
from fakturo.engine.prices import usage_of
from fakturo.engine.rating import rate_slices, span_of
from fakturo.schemas.events.contracts import (
    ItemTax,
    ItemTerms,
    MeterDefinition,
    Pause,
    PriceVersion,
    SubscriptionItem,
)

ZONE = "Europe/Copenhagen"
SEAT = {"model": "per_unit", "unit_amount": "31", "licensed": True}
CALL = {"model": "graduated", "tiers": [{"up_to": "10", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]}
CALLS = MeterDefinition(code="calls", event_type="api.call", aggregation="count")
MARCH = date_period(date(2026, 3, 1), date(2026, 4, 1), ZONE)
D = Decimal


def version(on: date, price: dict[str, Any]) -> PriceVersion:
    return PriceVersion(effective_from=on, price=price, hash=f"{on} {price}")


def item(start_on: date = date(2026, 1, 1), end_on: date | None = None, **fields: Any) -> SubscriptionItem:
    return SubscriptionItem(
        subscription_item="i",
        product_code="SEAT",
        product_name="Seat",
        billing=fields.pop("billing", "arrears"),
        service_start_on=start_on,
        service_end_on=end_on,
        terms=fields.pop("terms", (ItemTerms(effective_from=start_on, quantity=D(1)),)),
        prices=fields.pop("prices", (version(date(2020, 1, 1), SEAT),)),
        tax=ItemTax(category="standard", rate_percent=D(25)),
        **fields,
    )


def amounts(one: SubscriptionItem, period: Period = MARCH, calls: int | None = None) -> list[str]:
    slices = item_slices(one, period, ZONE, "EUR")
    usage = None if calls is None else usage_of(calls)
    return [str(result.amount) for result in rate_slices([request_of(part, period, ZONE, usage) for part in slices])]


def test_a_trial_costs_nothing_and_the_day_after_it_costs() -> None:
    # 31.00 a month of 31 days is 1.00 a day: free to 14 March, 17 days after.
    tried = item(date(2026, 3, 1), trial_until_on=date(2026, 3, 15))
    assert [part.trial for part in item_slices(tried, MARCH, ZONE, "EUR")] == [True, False]
    assert amounts(tried) == ["0.00", "17.00"]
    assert amounts(item(date(2026, 3, 1), trial_until_on=date(2026, 5, 1))) == ["0.00"]


def test_a_trial_is_explained_in_the_customers_language() -> None:
    (part,) = item_slices(item(date(2026, 3, 1), trial_until_on=date(2026, 5, 1)), MARCH, ZONE, "EUR")
    (result,) = rate_slices([request_of(part, MARCH, ZONE, usage_of(3), "seats")])
    phrases = explained(part, result, result.quantity)
    assert explain(phrases, "en") == "3 seats: trial period, nothing to pay"
    assert explain(phrases, "de") == "3 seats: Probezeit, nichts zu zahlen"


def test_usage_in_a_trial_costs_nothing_and_takes_no_tier() -> None:
    metered = item(trial_until_on=date(2026, 3, 15), meter=CALLS, prices=(version(date(2020, 1, 1), CALL),))
    # 12 calls in each part: free; then 10 x 1 + 2 x 0.5 = 11.00
    assert amounts(metered, calls=12) == ["0.00", "11.00"]


def test_a_pause_is_left_out_and_the_rest_is_prorated() -> None:
    paused = item(pauses=(Pause(start_on=date(2026, 3, 11), end_on=date(2026, 3, 21)),))
    # 1 to 10 March, 21 to 31 March: 10 and 11 days.
    assert amounts(paused) == ["10.00", "11.00"]
    assert amounts(item(pauses=(Pause(start_on=date(2026, 2, 11)),))) == []
    assert amounts(item(pauses=(Pause(start_on=date(2026, 3, 11)),))) == ["10.00"]


def test_with_price_change_next_period_a_new_version_waits_for_the_next_period() -> None:
    dearer = (version(date(2020, 1, 1), SEAT), version(date(2026, 3, 11), SEAT | {"unit_amount": "62"}))
    # At once: 10 days at 1.00, 21 days at 2.00.
    assert amounts(item(prices=dearer)) == ["10.00", "42.00"]
    assert amounts(item(prices=dearer, price_change="next_period")) == ["31.00"]
    april = date_period(date(2026, 4, 1), date(2026, 5, 1), ZONE)
    assert amounts(item(prices=dearer, price_change="next_period"), april) == ["62.00"]
    # A service that starts after the change has the new version from its first day on.
    assert amounts(item(date(2026, 3, 22), prices=dearer, price_change="next_period")) == ["20.00"]


def test_before_the_first_version_nothing_is_billed_also_where_versions_wait() -> None:
    first = (version(date(2026, 3, 12), SEAT), version(date(2026, 3, 20), SEAT | {"unit_amount": "62"}))
    assert amounts(item(prices=first, price_change="next_period")) == ["20.00"]


def test_a_first_period_in_advance_is_prorated_by_its_whole_month() -> None:
    stub = date_period(date(2026, 3, 15), date(2026, 4, 1), ZONE)
    assert amounts(item(date(2026, 3, 15), billing="advance"), stub) == ["17.00"]


def test_a_move_to_another_zone_costs_no_second_fee() -> None:
    # Billed in UTC to 1 March; now in New York: the period begins five hours before New York's March.
    joined = Period(start_at=datetime(2026, 3, 1, tzinfo=UTC), end_at=datetime(2026, 4, 1, 4, tzinfo=UTC))
    (part,) = item_slices(item(), joined, "America/New_York", "EUR")
    assert part.period == joined
    assert [str(one.amount) for one in rate_slices([request_of(part, joined, "America/New_York")])] == ["31.00"]


def test_a_yearly_price_cut_by_an_upgrade_is_prorated_by_the_days_of_the_year() -> None:
    year = date_period(date(2026, 1, 1), date(2027, 1, 1), ZONE)
    price = (version(date(2020, 1, 1), SEAT | {"unit_amount": "3650"}),)
    # 10.00 a day: 1 January to 1 April are 90 days.
    assert amounts(item(end_on=date(2026, 4, 1), billing_months=12, prices=price), year) == ["900.00"]
    assert amounts(item(date(2026, 4, 1), billing_months=12, prices=price), year) == ["2750.00"]


def test_a_one_time_charge_is_whole_whatever_ends_or_pauses_around_it() -> None:
    day = date_period(date(2026, 3, 15), date(2026, 3, 16), ZONE)
    pauses = (Pause(start_on=date(2026, 3, 1), end_on=date(2026, 4, 1)),)
    assert amounts(item(date(2026, 3, 15), date(2026, 12, 31), billing_months=0, pauses=pauses), day) == ["31.00"]
    assert amounts(item(date(2026, 3, 15), date(2026, 3, 15), billing_months=0), day) == []


march_days = st.dates(date(2026, 2, 20), date(2026, 4, 10))


@st.composite
def lives(draw: st.DrawFn) -> SubscriptionItem:
    """Draw an item with any service, trial, pauses, terms and versions around March 2026."""
    start_on = draw(march_days)
    edges = sorted(draw(st.sets(march_days, max_size=4)))
    open_end = draw(st.booleans())
    pauses = [Pause(start_on=one, end_on=two) for one, two in zip(edges[::2], edges[1::2], strict=False)]
    if open_end and len(edges) % 2:
        pauses.append(Pause(start_on=edges[-1]))
    terms = sorted(draw(st.sets(march_days, min_size=1, max_size=3)))
    versions = sorted(draw(st.sets(march_days, max_size=3)))
    return item(
        start_on,
        draw(st.none() | march_days),
        trial_until_on=draw(st.none() | march_days),
        pauses=tuple(pauses),
        terms=tuple(ItemTerms(effective_from=on, quantity=D(number)) for number, on in enumerate(terms, 1)),
        prices=(
            version(date(2020, 1, 1), SEAT),
            *(version(on, SEAT | {"unit_amount": str(32 + number)}) for number, on in enumerate(versions)),
        ),
        price_change=draw(st.sampled_from(["immediate", "next_period"])),
    )


@given(lives())
def test_slices_tile_the_service_less_its_pauses(one: SubscriptionItem) -> None:
    slices = item_slices(one, MARCH, ZONE, "EUR")
    active = active_period(one, MARCH, ZONE)
    held = {on for on in _dates(MARCH) if active is not None and active.contains(first_instant(on, ZONE))}
    held -= {on for on in held for pause in one.pauses if pause.start_on <= on < (pause.end_on or date.max)}
    covered = [on for part in slices for on in _dates(part.period)]
    assert sorted(held) == covered
    assert all(before.period.end_at <= after.period.start_at for before, after in pairwise(slices))
    assert [part.final for part in slices] == [False] * (len(slices) - 1) + [True] * bool(slices)


@given(st.sets(st.dates(date(2026, 3, 2), date(2026, 3, 31)), max_size=8))
def test_shares_of_any_cut_of_a_period_add_up_to_one(cuts: set[date]) -> None:
    agreed = [date(2026, 1, 1), *sorted(cuts)]
    terms = tuple(ItemTerms(effective_from=on, quantity=D(number)) for number, on in enumerate(agreed, 1))
    slices = item_slices(item(terms=terms), MARCH, ZONE, "EUR")
    assert len(slices) == len(agreed)
    spans = [span_of(part.regular, part.period, ZONE) for part in slices]
    shares = [span.share(Proration.DAY) for span in spans if span is not None]
    assert sum(shares) == Fraction(1)
    # At quantity 1 throughout the exact amounts of 31.00 come to whole euros, one a day.
    exact = [result.exact for result in rate_slices([request_of(part, MARCH, ZONE) for part in slices])]
    assert [amount / part.terms.quantity for amount, part in zip(exact, slices, strict=True)] == [
        share * 31 for share in shares
    ]


def _dates(period: Period) -> list[date]:
    first = period.start_at.astimezone(UTC)
    on = date.fromordinal(first.toordinal())
    found = []
    while first_instant(on, ZONE) < period.end_at:
        if first_instant(on, ZONE) >= period.start_at:
            found.append(on)
        on = date.fromordinal(on.toordinal() + 1)
    return found
