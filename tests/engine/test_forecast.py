"""At the present pace: what adds up grows with the time, the rest stays."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from fakturo.engine.forecast import Stretch, amount_at_pace, carried_on, gone_share
from fakturo.engine.meters import Aggregation
from fakturo.engine.periods import Period, date_period
from fakturo.engine.prices import Usage, grouped_usage, usage_of

JUNE = Period(start_at=datetime(2026, 6, 1, tzinfo=UTC), end_at=datetime(2026, 7, 1, tzinfo=UTC))
_16TH = datetime(2026, 6, 16, tzinfo=UTC)
FIRST_HALF, SECOND_HALF = Period(start_at=JUNE.start_at, end_at=_16TH), Period(start_at=_16TH, end_at=JUNE.end_at)


def _at_end(used: Usage, aggregation: Aggregation, days: int, billed: Usage | None = None) -> Usage:
    """Return the usage of all June as it goes on after so many days of it."""
    at = JUNE.start_at + timedelta(days=days)
    (end,) = carried_on([Stretch(own=JUNE, used=used, billed=billed)], aggregation, at)
    return end


def test_a_third_of_the_month_gone_makes_three_times_the_usage() -> None:
    share = gone_share(JUNE, 10 * 86_400)
    assert share == Fraction(3)
    assert _at_end(usage_of(Decimal("12.5")), Aggregation.SUM, 10).quantity == Decimal("37.5")
    assert amount_at_pace(Decimal("0.10"), Fraction(3)) == Decimal("0.30")


def test_before_the_period_there_is_no_pace_and_after_it_nothing_grows() -> None:
    assert gone_share(JUNE, 0) is None
    assert gone_share(JUNE, -5) is None
    assert gone_share(JUNE, 40 * 86_400) == 1


def test_hours_are_counted_not_days() -> None:
    october = date_period(date(2026, 10, 1), date(2026, 11, 1), "Europe/Copenhagen")
    assert gone_share(october, 149 * 3600) == Fraction(5)  # 745 hours: the clock is put back in it


def test_a_count_stays_whole_and_groups_grow_each_by_itself() -> None:
    used = grouped_usage(("origin",), {("JFK",): Decimal(10), ("LGA",): Decimal(5)})
    grown = _at_end(used, Aggregation.COUNT, 20)  # 15 and 7.5
    assert grown.groups == {("JFK",): Decimal(15), ("LGA",): Decimal(8)}
    assert grown.quantity == 23


def test_what_lies_before_the_period_does_not_grow() -> None:
    grown = _at_end(usage_of(100), Aggregation.SUM, 15, billed=usage_of(60))
    assert grown.quantity == 60 + 2 * 40


@pytest.mark.parametrize("aggregation", sorted(set(Aggregation) - {Aggregation.COUNT, Aggregation.SUM}))
def test_a_peak_a_mean_or_a_level_stays(aggregation: Aggregation) -> None:
    assert _at_end(usage_of(7), aggregation, 10).quantity == 7


def test_a_stretch_to_come_goes_on_at_the_pace_so_far() -> None:
    # 100 in ten days: 50 more to the 15th, 150 in the second half.
    stretches = [Stretch(own=FIRST_HALF, used=usage_of(100)), Stretch(own=SECOND_HALF, used=usage_of(0))]
    ends = carried_on(stretches, Aggregation.COUNT, datetime(2026, 6, 11, tzinfo=UTC))
    assert [one.quantity for one in ends] == [150, 150]


def test_a_stretch_that_is_over_keeps_its_usage_and_counts_towards_the_pace() -> None:
    # 100 in the first half, 20 in five days of the second: 120 in 20 days, 60 in the ten that are left.
    stretches = [Stretch(own=FIRST_HALF, used=usage_of(100)), Stretch(own=SECOND_HALF, used=usage_of(20))]
    ends = carried_on(stretches, Aggregation.COUNT, datetime(2026, 6, 21, tzinfo=UTC))
    assert [one.quantity for one in ends] == [100, 80]


def test_without_any_time_gone_nothing_grows() -> None:
    assert _at_end(usage_of(7), Aggregation.COUNT, 0).quantity == 7
