"""Periods of any length and anchor, in advance and once, and what a move to another zone makes of them."""

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.periods import Period, date_period
from fakturo.engine.schedule import allowance_window, bill_at, next_item_period, period_end_on, regular_period
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, ItemTerms, SubscriptionItem

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NEW_YORK, TOKYO, SAMOA = "America/New_York", "Asia/Tokyo", "Pacific/Apia"


def version(timezone: str, effective_at: datetime = EPOCH) -> AccountVersion:
    return AccountVersion(
        effective_at=effective_at, recorded_at=EPOCH, name="A", timezone=timezone, terms_days=30, currency="EUR"
    )


def item(start_on: date, end_on: date | None = None, **fields: Any) -> SubscriptionItem:
    return SubscriptionItem(
        subscription_item="i",
        product_code="P",
        product_name="P",
        billing=fields.pop("billing", "arrears"),
        service_start_on=start_on,
        service_end_on=end_on,
        terms=(ItemTerms(effective_from=start_on, quantity=Decimal(1)),),
        prices=(),
        tax=ItemTax(category="standard", rate_percent=Decimal(20)),
        **fields,
    )


def periods(one: SubscriptionItem, versions: list[AccountVersion], count: int) -> list[Period]:
    found: list[Period] = []
    done_at: datetime | None = None
    while len(found) < count and (period := next_item_period(one, versions, done_at, None)):
        found.append(period)
        done_at = period.end_at
    return found


def starts(one: SubscriptionItem, count: int) -> list[date]:
    return [period.start_at.date() for period in periods(one, [version("UTC")], count)]


@pytest.mark.parametrize(
    ("months", "anchor_on", "expected"),
    [
        # Lago's billing_boundaries_spec: an anchor on the 31st is the last day of shorter months, and comes back.
        (1, date(2028, 1, 31), [date(2028, 1, 31), date(2028, 2, 29), date(2028, 3, 31), date(2028, 4, 30)]),
        # 29 February, yearly: the 28th in other years, the 29th again in 2032.
        (12, date(2028, 2, 29), [date(2027, 2, 28), date(2028, 2, 29), date(2029, 2, 28), date(2030, 2, 28)]),
        (3, date(2027, 11, 30), [date(2027, 11, 30), date(2028, 2, 29), date(2028, 5, 30), date(2028, 8, 30)]),
        (1, None, [date(2028, 1, 1), date(2028, 2, 1), date(2028, 3, 1), date(2028, 4, 1)]),
        (3, None, [date(2028, 1, 1), date(2028, 4, 1), date(2028, 7, 1), date(2028, 10, 1)]),
        (12, None, [date(2028, 1, 1), date(2029, 1, 1), date(2030, 1, 1), date(2031, 1, 1)]),
        # An anchor after the service start: the first period reaches back before it.
        (1, date(2030, 6, 15), [date(2028, 1, 15), date(2028, 2, 15), date(2028, 3, 15), date(2028, 4, 15)]),
    ],
)
def test_periods_are_counted_from_the_anchor_and_never_step(
    months: int, anchor_on: date | None, expected: list[date]
) -> None:
    assert starts(item(date(2028, 1, 31), billing_months=months, anchor_on=anchor_on), 4) == expected


def test_a_period_of_a_day_that_is_23_or_25_hours_long_is_a_day() -> None:
    # New York: clocks go forward on 8 March 2026, back on 1 November 2026.
    for on, hours in [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)]:
        (day,) = periods(item(on, billing_months=0), [version(NEW_YORK)], 2)
        assert day.end_at - day.start_at == timedelta(hours=hours)
        assert day.days(NEW_YORK) == 1


def test_a_one_time_charge_has_one_period_and_falls_due_at_its_start() -> None:
    once = item(date(2026, 3, 15), date(2026, 12, 31), billing_months=0)
    (period,) = periods(once, [version(NEW_YORK)], 5)
    assert bill_at(once, period) == datetime(2026, 3, 15, 4, tzinfo=UTC)
    assert next_item_period(once, [version(NEW_YORK)], None, date(2026, 3, 15)) is None


def test_in_advance_the_first_period_begins_with_the_service_and_falls_due_then() -> None:
    early = item(date(2026, 3, 15), billing="advance")
    first, second = periods(early, [version("UTC")], 2)
    assert (first, second) == (
        date_period(date(2026, 3, 15), date(2026, 4, 1), "UTC"),
        date_period(date(2026, 4, 1), date(2026, 5, 1), "UTC"),
    )
    assert [bill_at(early, first), bill_at(early, second)] == [first.start_at, second.start_at]
    assert regular_period(early, first, "UTC") == date_period(date(2026, 3, 1), date(2026, 4, 1), "UTC")
    late = item(date(2026, 3, 15))
    assert bill_at(late, periods(late, [version("UTC")], 1)[0]) == datetime(2026, 4, 1, tzinfo=UTC)


def test_hours_that_a_move_to_the_west_leaves_over_join_the_next_period() -> None:
    versions = [version("UTC"), version(NEW_YORK, datetime(2026, 2, 10, tzinfo=UTC))]
    _, february, march = periods(item(date(2026, 1, 1)), versions, 3)
    # February ended at midnight in UTC, 19:00 of 28 February in New York: one bill to the end of March, not two.
    assert february.end_at == march.start_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert march.end_at == datetime(2026, 4, 1, 4, tzinfo=UTC)
    assert regular_period(item(date(2026, 1, 1)), march, NEW_YORK).start_at == datetime(2026, 3, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("months", "anchor_on"), [(1, None), (1, date(2025, 12, 31)), (3, None), (12, date(2024, 2, 29))]
)
def test_one_bill_a_period_from_new_york_over_tokyo_to_samoa(months: int, anchor_on: date | None) -> None:
    versions = [
        version(NEW_YORK),
        version(TOKYO, datetime(2026, 3, 10, tzinfo=UTC)),
        version(SAMOA, datetime(2026, 8, 20, tzinfo=UTC)),
        version("Pacific/Pago_Pago", datetime(2027, 2, 3, tzinfo=UTC)),  # 24 hours behind Apia
    ]
    anchored = item(date(2026, 1, 31), billing_months=months, anchor_on=anchor_on)
    found = periods(anchored, versions, 1 + 24 // months)
    assert all(one.end_at == two.start_at for one, two in itertools.pairwise(found))
    assert all(abs(one.seconds() / 86_400 - 30.4 * months) < 4 * months for one in found)


def test_the_date_that_samoa_left_out_moves_nothing() -> None:
    # 30 December 2011 never was in Apia; a yearly anchor on it begins with 31 December that year.
    found = periods(item(date(2010, 12, 30), billing_months=12, anchor_on=date(2010, 12, 30)), [version(SAMOA)], 2)
    assert found[0].end_at == found[1].start_at == datetime(2011, 12, 30, 10, tzinfo=UTC)


def test_an_allowance_counts_over_whole_billing_periods() -> None:
    calendar = item(date(2026, 3, 15), allowance_months=12)
    march, *_, february, next_march = periods(calendar, [version("UTC")], 13)
    year = date_period(date(2026, 3, 1), date(2027, 3, 1), "UTC")
    assert [allowance_window(calendar, one, "UTC") for one in (march, february)] == [year, year]
    following = date_period(date(2027, 3, 1), date(2028, 3, 1), "UTC")
    assert allowance_window(calendar, next_march, "UTC") == following
    anchored = item(date(2026, 3, 15), allowance_months=12, anchor_on=date(2026, 1, 15))
    first = periods(anchored, [version("UTC")], 1)[0]
    assert allowance_window(anchored, first, "UTC") == date_period(date(2026, 1, 15), date(2027, 1, 15), "UTC")
    assert allowance_window(item(date(2026, 3, 15)), march, "UTC") is None


@pytest.mark.parametrize(
    ("months", "anchor_on", "expected"),
    [
        (1, None, date(2026, 5, 1)),
        (3, None, date(2026, 7, 1)),
        (12, date(2024, 2, 29), date(2027, 2, 28)),
        (0, None, date(2026, 4, 16)),
    ],
)
def test_the_end_of_the_period_that_holds_a_day(months: int, anchor_on: date | None, expected: date) -> None:
    assert (
        period_end_on(item(date(2025, 1, 1), billing_months=months, anchor_on=anchor_on), date(2026, 4, 15)) == expected
    )


zones = st.sampled_from(["UTC", NEW_YORK, TOKYO, SAMOA, "Pacific/Pago_Pago", "Europe/Copenhagen", "Pacific/Kiritimati"])
days = st.dates(date(2009, 1, 1), date(2030, 12, 31))


@given(
    start_on=days,
    anchor_on=st.none() | days,
    months=st.integers(1, 24),
    billing=st.sampled_from(["arrears", "advance"]),
    moves=st.lists(st.tuples(st.integers(20, 1500), zones), max_size=3, unique_by=lambda move: move[0]),
    home=zones,
)
def test_periods_of_an_item_tile_the_time_line(
    start_on: date,
    anchor_on: date | None,
    months: int,
    billing: str,
    moves: list[tuple[int, str]],
    home: str,
) -> None:
    begin_at = datetime(start_on.year, start_on.month, start_on.day, tzinfo=UTC)
    moved = [version(zone, begin_at + timedelta(days=after)) for after, zone in sorted(moves)]
    one = item(start_on, billing_months=months, anchor_on=anchor_on, billing=billing)
    found = periods(one, [version(home), *moved], 12)
    assert len(found) == 12
    for before, after in itertools.pairwise(found):
        assert before.end_at == after.start_at
    # No rest of some hours is a period of its own: the shortest month less the widest move.
    assert all(
        period.end_at - period.start_at >= timedelta(days=28 * months) - timedelta(hours=27) for period in found[1:]
    )
