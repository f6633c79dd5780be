"""Billing periods by the calendar, worked out a second time: months, anchors, zones, moves, allowance windows.

Place     account and item as published -> [this] -> verify_contracts. Nothing of engine/periods or engine/schedule.
Rules     docs/subscriptions.md, Periods: they are counted from the anchor (31 Jan, 28 Feb, 31 Mar), touch each other
          also where the account moves to another zone, and hours that a move leaves over join the next one.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fakturo.schemas.events.contracts import AccountVersion, SubscriptionItem

_DAY = timedelta(days=1)
_MOVE_HOURS = timedelta(hours=27)
"""From UTC-12 to UTC+14, and one for summer time: no move leaves more over."""


class Bounds(NamedTuple):
    """The instants from `start_at` up to, not including, `end_at`, in UTC."""

    start_at: datetime
    end_at: datetime

    def common(self, other: "Bounds") -> "Bounds | None":
        """Return what both hold, or None."""
        both = Bounds(max(self.start_at, other.start_at), min(self.end_at, other.end_at))
        return both if both.start_at < both.end_at else None

    def days(self, zone: ZoneInfo) -> int:
        """Return how many local dates begin in it, the one of its start counted whole."""
        return (day_of(self.end_at, zone) - day_of(self.start_at, zone)).days

    @property
    def seconds(self) -> int:
        """Return the elapsed seconds."""
        return int((self.end_at - self.start_at).total_seconds())


def midnight(on: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of `on` in `zone`, in UTC; where midnight is skipped, the instant that follows it."""
    return datetime.combine(on, time(), zone).astimezone(UTC)


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local date of `instant`."""
    return instant.astimezone(zone).date()


def zone_of(versions: Sequence[AccountVersion], instant: datetime) -> ZoneInfo:
    """Return the zone of an account at `instant`; what it was first holds for all time before."""
    held = [version.timezone for version in versions if version.effective_at <= instant]
    return ZoneInfo(held[-1] if held else versions[0].timezone)


def falls_due_at(item: SubscriptionItem, period: Bounds) -> datetime:
    """Return when a period is billed: at its end, or of what is billed in advance, or once, at its start."""
    return period.end_at if item.billing == "arrears" and item.billing_months else period.start_at


def whole_period(item: SubscriptionItem, instant: datetime, zone: ZoneInfo) -> Bounds:
    """Return the period that holds `instant`, as the calendar has it: from its regular start to its end."""
    on = day_of(instant, zone)
    if item.billing_months == 0:
        return Bounds(midnight(on, zone), midnight(on + _DAY, zone))
    return _counted(item.anchor_on, item.billing_months, on, zone)


def item_periods(item: SubscriptionItem, versions: Sequence[AccountVersion]) -> Iterator[tuple[Bounds, ZoneInfo]]:
    """Yield the billing periods of an item, each with the zone it is counted in, until its service ends."""
    zone = zone_of(versions, midnight(item.service_start_on, ZoneInfo(versions[0].timezone)))
    at = midnight(item.service_start_on, zone)
    whole = whole_period(item, at, zone)
    start_at = at if item.billing == "advance" and item.billing_months else whole.start_at
    while item.service_end_on is None or at < midnight(item.service_end_on, zone):
        yield Bounds(start_at, whole.end_at), zone
        if item.billing_months == 0:
            return
        at = start_at = whole.end_at
        zone = zone_of(versions, at)
        whole = whole_period(item, at, zone)
        if whole.start_at < at and whole.end_at - at <= _MOVE_HOURS:
            whole = whole_period(item, whole.end_at, zone)


def prorated_by(item: SubscriptionItem, period: Bounds, zone: ZoneInfo) -> Bounds:
    """Return the whole period that fixed parts of a billing period are a share of."""
    return period if item.billing_months == 0 else whole_period(item, period.end_at - timedelta(seconds=1), zone)


def allowance_of(item: SubscriptionItem, period: Bounds, zone: ZoneInfo) -> Bounds | None:
    """Return the window over which the allowance of `period` counts, None where it has none."""
    if item.allowance_months is None or item.billing_months == 0:
        return None
    begins_on = item.anchor_on
    if begins_on is None:
        begins_on = day_of(whole_period(item, midnight(item.service_start_on, zone), zone).start_at, zone)
    on = day_of(prorated_by(item, period, zone).start_at, zone)
    window = _counted(begins_on, item.allowance_months, on, zone)
    return Bounds(min(window.start_at, period.start_at), max(window.end_at, period.end_at))


def _counted(anchor_on: date | None, months: int, on: date, zone: ZoneInfo) -> Bounds:
    """Return the stretch of so many months, counted from the anchor or from January of the year 1, that holds `on`."""
    anchor_on = anchor_on or date(1, 1, 1)
    number = ((on.year - anchor_on.year) * 12 + on.month - anchor_on.month) // months + 1
    while _months_after(anchor_on, number * months) > on:
        number -= 1
    first_on, after_on = (_months_after(anchor_on, (number + step) * months) for step in (0, 1))
    return Bounds(midnight(first_on, zone), midnight(after_on, zone))


def _months_after(on: date, months: int) -> date:
    """Return the same day so many months later, or the last one of a month that is shorter."""
    years, month = divmod(on.month - 1 + months, 12)
    year = on.year + years
    return date(year, month + 1, min(on.day, monthrange(year, month + 1)[1]))
