"""Half-open periods on local dates: clocks that jump, months that end, zones far away."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakturo.engine import periods
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period
from tests.engine.strategies import instants

NEW_YORK = "America/New_York"
ZONES = ["UTC", NEW_YORK, "Europe/Berlin", "Asia/Tokyo", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("on", "zone", "expected"),
    [
        (date(2013, 1, 1), NEW_YORK, "2013-01-01T05:00"),
        (date(2013, 7, 1), NEW_YORK, "2013-07-01T04:00"),
        (date(2026, 8, 1), "Asia/Tokyo", "2026-07-31T15:00"),
        # Midnight does not exist: at 00:00 the clocks went to 01:00.
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00"),
        (date(2024, 3, 31), "Asia/Beirut", "2024-03-30T22:00"),
        # Midnight comes twice: at 01:00 the clocks went back to 00:00.
        (date(2024, 11, 3), "America/Havana", "2024-11-03T04:00"),
        # The date never was: Samoa went from the 29th to the 31st across the date line.
        (date(2011, 12, 30), "Pacific/Apia", "2011-12-30T10:00"),
        (date(2011, 12, 31), "Pacific/Apia", "2011-12-30T10:00"),
    ],
)
def test_a_date_begins_at_its_first_instant(on: date, zone: str, expected: str) -> None:
    assert periods.first_instant(on, zone) == utc(expected)


def test_a_gap_that_begins_before_midnight_starts_the_next_date_when_it_ends() -> None:
    # Toronto, 30 March 1919: at 23:30 of the 30th the clocks went to 00:30 of the 31st.
    assert periods.first_instant(date(1919, 3, 31), "America/Toronto") == utc("1919-03-31T04:30")


def test_the_flights_year_has_twelve_months_that_touch() -> None:
    months = list(periods.months_between(utc("2013-01-01T05:00"), utc("2014-01-01T05:00"), NEW_YORK))
    assert len(months) == 12
    assert (months[0].start_at, months[-1].end_at) == (utc("2013-01-01T05:00"), utc("2014-01-01T05:00"))
    assert all(one.end_at == two.start_at for one, two in pairwise(months))
    assert [month.days(NEW_YORK) for month in months] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


@pytest.mark.parametrize(
    ("start_on", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
def test_a_day_has_one_day_whatever_the_clock_does(start_on: date, hours: int) -> None:
    day = periods.date_period(start_on, start_on + timedelta(days=1), "Europe/Berlin")
    assert (day.days("Europe/Berlin"), day.seconds()) == (1, hours * 3600)


def test_a_leap_february_has_29_days() -> None:
    assert periods.month_period(date(2024, 2, 10), "UTC").days("UTC") == 29


# The series of Lago's billing boundaries: 31 Jan, 29 Feb, 31 Mar; stepping would give 29 Mar.
def test_month_ends_are_counted_from_the_anchor() -> None:
    anchor = date(2024, 1, 31)
    assert [periods.add_months(anchor, n) for n in (0, 1, 2, 3, 13, -2)] == [
        date(2024, 1, 31),
        date(2024, 2, 29),
        date(2024, 3, 31),
        date(2024, 4, 30),
        date(2025, 2, 28),
        date(2023, 11, 30),
    ]


def test_december_of_the_last_year_has_31_days() -> None:
    assert periods.add_months(date(9999, 1, 31), 11) == date(9999, 12, 31)


@given(st.dates(date(1990, 1, 1), date(2040, 1, 1)), st.integers(0, 60), st.sampled_from(ZONES))
def test_anchored_periods_touch_and_never_drift(anchor: date, index: int, zone: str) -> None:
    one, two = (periods.anchored_period(anchor, n, zone) for n in (index, index + 1))
    assert one.end_at == two.start_at
    start = periods.add_months(anchor, index)
    # Either the anchor's own day, or the last of a month that has no such day.
    assert start.day == anchor.day or (start + timedelta(days=1)).day == 1


@settings(max_examples=200)
@given(instants, st.sampled_from(ZONES))
def test_every_instant_is_in_exactly_its_month(instant: datetime, zone: str) -> None:
    month = periods.period_containing(instant, zone)
    assert month.contains(instant)
    following, previous = periods.next_period(month, zone), periods.previous_period(month, zone)
    assert not following.contains(instant)
    assert not previous.contains(instant)
    assert (previous.end_at, following.start_at) == (month.start_at, month.end_at)
    local = instant.astimezone(ZoneInfo(zone))
    assert periods.local_date(month.start_at, zone) == local.date().replace(day=1)


@given(st.sampled_from(sorted(available_timezones())), st.dates(date(1975, 1, 1), date(2037, 12, 31)))
def test_nothing_of_a_date_lies_before_its_first_instant(zone: str, on: date) -> None:
    first = periods.first_instant(on, zone)
    assert first.astimezone(ZoneInfo(zone)).date() >= on
    assert (first - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < on or _comes_twice(first, zone)


def _comes_twice(first: datetime, zone: str) -> bool:
    """Whether the clocks went back over this midnight, so that the date was there a moment before too."""
    local = first.astimezone(ZoneInfo(zone))
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def test_the_end_is_outside() -> None:
    period = periods.date_period(date(2026, 1, 1), date(2026, 2, 1), "UTC")
    assert period.contains(utc("2026-01-01T00:00"))
    assert not period.contains(utc("2026-02-01T00:00"))


def test_clipping_keeps_what_both_have() -> None:
    month = periods.date_period(date(2026, 1, 1), date(2026, 2, 1), "UTC")
    half = periods.date_period(date(2026, 1, 15), date(2026, 3, 1), "UTC")
    assert month.clip(half) == periods.date_period(date(2026, 1, 15), date(2026, 2, 1), "UTC")
    assert month.clip(periods.date_period(date(2026, 2, 1), date(2026, 3, 1), "UTC")) is None


@pytest.mark.parametrize(
    ("watermark", "grace", "expected"),
    [
        ("2013-02-01T05:00", 0, "2013-02-01T05:00"),
        ("2013-02-01T04:59", 0, "2013-01-01T05:00"),
        ("2013-02-01T05:59", 3600, "2013-01-01T05:00"),
        ("2013-02-01T06:00", 3600, "2013-02-01T05:00"),
    ],
)
def test_a_month_stays_open_for_the_grace_after_its_end(watermark: str, grace: int, expected: str) -> None:
    assert periods.open_period_start(utc(watermark), grace, NEW_YORK) == utc(expected)


def test_periods_are_kept_in_utc() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    period = Period(start_at=datetime(2026, 1, 1, tzinfo=zone), end_at=datetime(2026, 1, 2, tzinfo=zone))
    assert (period.start_at.tzinfo, period.start_at) == (UTC, utc("2025-12-31T15:00"))


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (utc("2026-01-02T00:00"), utc("2026-01-01T00:00"), "period_order"),
        (utc("2026-01-01T00:00"), utc("2026-01-01T00:00"), "period_order"),
        (utc("2026-01-01T00:00").replace(tzinfo=None), utc("2026-01-02T00:00"), "instant_without_zone"),
    ],
)
def test_an_empty_period_or_a_time_without_zone_is_refused(start: datetime, end: datetime, code: str) -> None:
    with pytest.raises(PriceError) as caught:
        Period(start_at=start, end_at=end)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "America"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(PriceError) as caught:
        periods.zone_of(name)
    assert caught.value.code == "zone_unknown"
