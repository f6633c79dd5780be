"""At the present pace: what adds up grows with the time, the rest stays."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from fakturo.engine.forecast import amount_at_pace, at_pace, gone_share
from fakturo.engine.meters import Aggregation
from fakturo.engine.periods import Period, date_period
from fakturo.engine.prices import grouped_usage, usage_of

JUNE = Period(start_at=datetime(2026, 6, 1, tzinfo=UTC), end_at=datetime(2026, 7, 1, tzinfo=UTC))


def test_a_third_of_the_month_gone_makes_three_times_the_usage() -> None:
    share = gone_share(JUNE, 10 * 86_400)
    assert share == Fraction(3)
    assert at_pace(usage_of(Decimal("12.5")), Aggregation.SUM, Fraction(3)).quantity == Decimal("37.5")
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
    grown = at_pace(used, Aggregation.COUNT, Fraction(3, 2))  # 15 and 7.5
    assert grown.groups == {("JFK",): Decimal(15), ("LGA",): Decimal(8)}
    assert grown.quantity == 23


def test_what_lies_before_the_period_does_not_grow() -> None:
    grown = at_pace(usage_of(100), Aggregation.SUM, Fraction(2), billed=usage_of(60))
    assert grown.quantity == 60 + 2 * 40


@pytest.mark.parametrize("aggregation", sorted(set(Aggregation) - {Aggregation.COUNT, Aggregation.SUM}))
def test_a_peak_a_mean_or_a_level_stays(aggregation: Aggregation) -> None:
    assert at_pace(usage_of(7), aggregation, Fraction(3)).quantity == 7
