"""Periods: half-open stretches of time that begin and end on local dates, kept in UTC.

Place     account zone + local dates -> [this] -> Period -> meters, proration, invoices.
Holds     periods of one zone touch and never overlap; every instant is in exactly one calendar month of a zone.
Days      are local calendar days, so a month has 28 to 31 of them whatever the clock does; seconds are elapsed ones,
          so a day may have 23 or 25 hours of them.
Anchors   are counted from the anchor date (31 Jan, 28 Feb, 31 Mar), never by stepping from the month before.
Source    PRICING.md, Periods.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from fakturo.engine.errors import PriceError

Zone = ZoneInfo | str
"""An IANA zone, or its name: "America/New_York"."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Period:
    """The instants from `start_at` up to, not including, `end_at`; both are kept in UTC."""

    start_at: datetime
    end_at: datetime

    def __post_init__(self) -> None:
        for name in ("start_at", "end_at"):
            instant = getattr(self, name)
            if instant.tzinfo is None:
                raise PriceError("instant_without_zone", f"{instant} has no zone", f"period.{name}")
            object.__setattr__(self, name, instant.astimezone(UTC))
        if self.end_at <= self.start_at:
            raise PriceError("period_order", f"end {self.end_at} is not after start {self.start_at}", "period.end")

    def contains(self, instant: datetime) -> bool:
        """Return whether `instant` is in the period; its end is not."""
        return self.start_at <= instant < self.end_at

    def clip(self, other: "Period") -> "Period | None":
        """Return what both have in common, or None."""
        start_at, end_at = max(self.start_at, other.start_at), min(self.end_at, other.end_at)
        return Period(start_at=start_at, end_at=end_at) if start_at < end_at else None

    def seconds(self) -> int:
        """Return the elapsed whole seconds; a day of 25 hours has 90,000."""
        return (self.end_at - self.start_at) // _SECOND

    def days(self, zone: Zone) -> int:
        """Return how many local dates it holds, from the start's up to, not including, the end's."""
        return (local_date(self.end_at, zone) - local_date(self.start_at, zone)).days


def zone_of(zone: Zone) -> ZoneInfo:
    """Return the zone of an IANA name.

    Raises:
        PriceError: `zone_unknown`.
    """
    if isinstance(zone, ZoneInfo):
        return zone
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:  # what zoneinfo raises of a name that is none
        raise PriceError("zone_unknown", f"{zone!r} is not a time zone of the IANA database", "timezone") from error


def local_date(instant: datetime, zone: Zone) -> date:
    """Return the date that a calendar on the wall shows at `instant`."""
    return instant.astimezone(zone_of(zone)).date()


@lru_cache(maxsize=4096)
def first_instant(on: date, zone: Zone) -> datetime:
    """Return, in UTC, the first instant of the local date `on`.

    Where midnight does not exist (clocks go forward across it) that is the moment of the change; of a midnight that
    comes twice it is the first; of a date that never was (Samoa, 30 December 2011) it is the start of the next one.
    """
    known = zone_of(zone)
    midnight = datetime.combine(on, time.min, tzinfo=known)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(known).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    low, high = instant - 2 * _DAY, instant + _DAY
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(known).date() >= on:
            high = middle
        else:
            low = middle
    return high


def date_period(start_on: date, end_on: date, zone: Zone) -> Period:
    """Return the period from the local date `start_on` up to, not including, `end_on`.

    Raises:
        PriceError: `period_order`.
    """
    return Period(start_at=first_instant(start_on, zone), end_at=first_instant(end_on, zone))


def add_months(anchor_on: date, months: int) -> date:
    """Return the date `months` after the anchor: its day, or the month's last where that has no such day."""
    year, month0 = divmod(anchor_on.year * 12 + anchor_on.month - 1 + months, 12)
    return date(year, month0 + 1, min(anchor_on.day, _month_length(year, month0 + 1)))


def month_period(on: date, zone: Zone) -> Period:
    """Return the calendar month that holds the local date `on`."""
    first = on.replace(day=1)
    return date_period(first, add_months(first, 1), zone)


def period_containing(instant: datetime, zone: Zone) -> Period:
    """Return the calendar month of `zone` that holds `instant`."""
    return month_period(local_date(instant, zone), zone)


def next_period(period: Period, zone: Zone) -> Period:
    """Return the calendar month that begins where `period` ends."""
    return period_containing(period.end_at, zone)


def previous_period(period: Period, zone: Zone) -> Period:
    """Return the calendar month that ends where `period` begins."""
    return period_containing(period.start_at - _SECOND, zone)


def anchored_period(anchor_on: date, index: int, zone: Zone, months: int = 1) -> Period:
    """Return the `index`-th period of `months` months counted from the anchor date; the first has index 0."""
    return date_period(add_months(anchor_on, index * months), add_months(anchor_on, (index + 1) * months), zone)


def anchored_index(anchor_on: date, on: date, months: int = 1) -> int:
    """Return the index of the period of `months` months, counted from the anchor date, that holds the date `on`."""
    index = ((on.year - anchor_on.year) * 12 + on.month - anchor_on.month) // months
    return index if add_months(anchor_on, index * months) <= on else index - 1


def months_between(start_at: datetime, end_at: datetime, zone: Zone) -> Iterator[Period]:
    """Yield the calendar months that have an instant in [start_at, end_at), oldest first."""
    period = period_containing(start_at, zone)
    while period.start_at < end_at:
        yield period
        period = next_period(period, zone)


def open_period_start(watermark_at: datetime, grace_seconds: int, zone: Zone) -> datetime:
    """Return the start of the oldest month that is still open: the one that holds the watermark less the grace.

    Usage with an event time before it is late.
    """
    return period_containing(watermark_at - timedelta(seconds=grace_seconds), zone).start_at


def _month_length(year: int, month: int) -> int:
    next_first = date(year + month // 12, month % 12 + 1, 1) if (year, month) != (9999, 12) else None
    return 31 if next_first is None else (next_first - date(year, month, 1)).days
