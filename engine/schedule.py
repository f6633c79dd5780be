"""Which period of an item is billed next and when, and what an account was at an instant.

Place     `AccountChanged` and `SubscriptionItem` of `billing.contracts` -> [this] -> the pointers by which the agents
          `usage` and `invoicing` find what is due.
Holds     periods of one item touch and never overlap, also where the account changes its zone: the next one begins
          where the last one ended. Each of them belongs to one regular period (`regular_period`), by which it is
          prorated, so that a move costs nobody a second monthly fee.
Anchors   regular periods are counted from the item's anchor date (31 Jan, 28 Feb, 31 Mar), never by stepping; without
          one they are the calendar's months, quarters, years.
Source    PRICING.md, Periods; Lago's `billing_boundaries_spec.rb` for anchors at a month's end.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol, TypeVar

from fakturo.engine.periods import (
    Period,
    Zone,
    add_months,
    anchored_index,
    anchored_period,
    date_period,
    first_instant,
    local_date,
)
from fakturo.schemas.events.contracts import SubscriptionItem

ARREARS, ADVANCE = "arrears", "advance"
"""When a period is billed: at its end, or at its start."""

IMMEDIATE, NEXT_PERIOD = "immediate", "next_period"
"""When a new price version begins to hold: on its date, or with the first period that begins on or after it."""

_CALENDAR = date(1, 1, 1)
"""What calendar months, quarters and years are counted from."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_ZONES_APART = timedelta(hours=27)
"""No two zones differ by more: a rest of a period that is shorter comes from a move to another zone."""


class Cadence(NamedTuple):
    """How an item's regular periods follow each other: every so many months (0: one day) from an anchor date."""

    billing_months: int
    anchor_on: date | None


CALENDAR_MONTHS = Cadence(1, None)


class Located(Protocol):
    """What periods need to know of a version of an account: its zone, and from when on."""

    @property
    def effective_at(self) -> datetime:
        """Return when the version began to hold."""

    @property
    def timezone(self) -> str:
        """Return the IANA name of the account's zone."""


Version = TypeVar("Version", bound=Located)


def version_at(versions: Sequence[Version], instant: datetime) -> Version:
    """Return what the account was at `instant`; its first version holds for all time before the second."""
    found = versions[0]
    for version in versions[1:]:
        if version.effective_at > instant:
            break
        found = version
    return found


def zone_at(versions: Sequence[Located], instant: datetime) -> str:
    """Return the IANA name of the account's zone at `instant`."""
    return version_at(versions, instant).timezone


def is_one_time(item: SubscriptionItem) -> bool:
    """Return whether the item is charged once, on the day that its service starts."""
    return item.billing_months == 0


def cadence_of(item: SubscriptionItem) -> Cadence:
    """Return how the item's periods follow each other."""
    return Cadence(item.billing_months, item.anchor_on)


def cadence_period(cadence: Cadence, instant: datetime, zone: Zone) -> Period:
    """Return the regular period that holds `instant`; of a one-time charge the local day."""
    on = local_date(instant, zone)
    if cadence.billing_months == 0:
        return date_period(on, on + _DAY, zone)
    anchor_on = cadence.anchor_on or _CALENDAR
    index = anchored_index(anchor_on, on, cadence.billing_months)
    return anchored_period(anchor_on, index, zone, cadence.billing_months)


def next_item_period(
    item: SubscriptionItem,
    versions: Sequence[Located],
    done_until_at: datetime | None,
    billing_until: date | None,
) -> Period | None:
    """Return the next period of `item` after `done_until_at` (None: the one that holds its service start).

    None when the service has ended before it, or when it would open on or after the local date `billing_until`. A
    one-time item has one period, the local day of its service start. Of an item that is billed in advance the first
    period begins with the service: before it there is nothing to bill.
    """
    if is_one_time(item) and done_until_at is not None:
        return None
    zone, from_at = _begin(item, versions, done_until_at)
    if item.service_end_on is not None and first_instant(item.service_end_on, zone) <= from_at:
        return None
    regular = _regular_after(item, from_at, zone, moved=from_at == done_until_at)
    if billing_until is not None and local_date(regular.start_at, zone) >= billing_until:
        return None
    if from_at == done_until_at:
        start_at = from_at  # where the last one ended, whatever the zone says
    elif item.billing == ADVANCE:
        start_at = max(regular.start_at, from_at)
    else:
        start_at = max(regular.start_at, done_until_at or regular.start_at)
    return Period(start_at=start_at, end_at=regular.end_at)


def periods_until(item: SubscriptionItem, versions: Sequence[Located], until_at: datetime) -> Iterator[Period]:
    """Yield the periods of `item` that begin before `until_at`, from its service start on, whatever was billed."""
    period = next_item_period(item, versions, None, None)
    while period is not None and period.start_at < until_at:
        yield period
        period = next_item_period(item, versions, period.end_at, None)


def begun_earlier(
    item: SubscriptionItem, versions: Sequence[Located], period: Period, before_at: datetime | None
) -> Period:
    """Return `period`, the first that was billed, from where its service began in it if that is earlier than was known.

    `before_at` is where the period that was billed before it ended (None: there was none); what touches is whole.
    """
    if before_at == period.start_at:
        return period
    for one in periods_until(item, versions, period.start_at):
        if one.end_at == period.end_at:
            return Period(start_at=max(one.start_at, before_at or one.start_at), end_at=period.end_at)
    return period


def bill_at(item: SubscriptionItem, period: Period) -> datetime:
    """Return when `period` of `item` falls due: its end in arrears, its start in advance and for a one-time charge."""
    return period.start_at if is_one_time(item) or item.billing == ADVANCE else period.end_at


def regular_period(item: SubscriptionItem, period: Period, zone: Zone) -> Period:
    """Return the whole period, counted from the anchor, that a billing period of the item belongs to.

    They differ where the account has moved to another zone, and in the first period of an advance charge. Fixed parts
    are prorated by the regular one. The regular period of a one-time charge is its day.
    """
    return period if is_one_time(item) else _regular_at(item, period.end_at - _SECOND, zone)


def allowance_window(item: SubscriptionItem, period: Period, zone: Zone) -> Period | None:
    """Return the stretch over which tiers, free units, caps and minimums of `period` count, None without an allowance.

    Windows of `allowance_months` are counted from the anchor, without one from the billing period in which service
    starts, so that each holds whole billing periods. A window holds its periods whole where the account has moved too.
    """
    if item.allowance_months is None or is_one_time(item):
        return None
    base_on = item.anchor_on
    if base_on is None:
        base_on = local_date(_regular_at(item, first_instant(item.service_start_on, zone), zone).start_at, zone)
    on = local_date(regular_period(item, period, zone).start_at, zone)
    index = anchored_index(base_on, on, item.allowance_months)
    window = anchored_period(base_on, index, zone, item.allowance_months)
    return Period(start_at=min(window.start_at, period.start_at), end_at=max(window.end_at, period.end_at))


def _begin(item: SubscriptionItem, versions: Sequence[Located], done_until_at: datetime | None) -> tuple[str, datetime]:
    """Return the zone of the next period, and the instant that it has to hold: service start, or where we are."""
    if done_until_at is not None:
        zone = zone_at(versions, done_until_at)
        return zone, max(first_instant(item.service_start_on, zone), done_until_at)
    zone = zone_at(versions, first_instant(item.service_start_on, versions[0].timezone))
    return zone, first_instant(item.service_start_on, zone)


def _regular_after(item: SubscriptionItem, from_at: datetime, zone: Zone, *, moved: bool) -> Period:
    """Return the regular period from `from_at` on; the hours that a move to the west left over join the next one."""
    regular = _regular_at(item, from_at, zone)
    left_over = moved and regular.start_at < from_at and regular.end_at - from_at <= _ZONES_APART
    return _regular_at(item, regular.end_at, zone) if left_over else regular


def _regular_at(item: SubscriptionItem, instant: datetime, zone: Zone) -> Period:
    return cadence_period(cadence_of(item), instant, zone)


def period_end_on(item: SubscriptionItem, on: date) -> date:
    """Return the first local date after the regular period that holds `on`; of a one-time charge the next day."""
    if is_one_time(item):
        return on + _DAY
    anchor_on = item.anchor_on or _CALENDAR
    return add_months(anchor_on, (anchored_index(anchor_on, on, item.billing_months) + 1) * item.billing_months)
