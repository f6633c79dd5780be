"""An item and period cut into stretches that one price holds: what of the usage counts, and what was billed of it.

Place     contract + period -> [this] -> ranges of totals or events -> rating. No I/O.
Allowance tiers, free units, caps and minimums of an item with an allowance count over its window (say, a year): each
          stretch then counts from its beginning in the window, and what lies before the period was billed. A change of
          price or a pause inside the window begins a new stretch, as it does in a period: there tiers, free units and
          caps start anew, and the minimum of the window is charged once, at its end.
Signature what of the contract the amount depends on. The same signature and the same events give the same statement. It
          holds content alone, no surrogate: another database that learned the same contract signs alike.
Source    PRICING.md, Already billed and Periods.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from fakturo.consumers.usage.meter_identity import hash_of
from fakturo.engine.contracts import ItemSlice, continues, item_slices
from fakturo.engine.meters import Meter
from fakturo.engine.periods import Period
from fakturo.engine.schedule import allowance_window, cadence_of, cadence_period, next_item_period, zone_at
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import Instant
from fakturo.schemas.events.contracts import AccountVersion, SubscriptionItem


class Residence(msgspec.Struct, frozen=True, kw_only=True):
    """What of a version of an account a statement depends on: where it was, and its language, from when on."""

    effective_at: Instant
    timezone: str
    locale: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueItem:
    """An item with the period that a statement is made of, and what rating needs to know."""

    subscription_item: str
    subscription_id: str
    account_id: str
    currency: str
    meter_id: int
    meter: Meter
    item: SubscriptionItem
    versions: tuple[AccountVersion | Residence, ...]
    period: Period
    recorded_at: datetime
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A slice as it is rated.

    The usage of `counted` is priced, less the price of that of `billed`, its beginning (None: nothing was billed).
    Fixed parts are prorated by `whole`. A stretch that is not `shown` lies before the period, in the same window: it
    only counts towards the window's minimum.
    """

    part: ItemSlice
    counted: Period
    billed: Period | None
    whole: Period
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Rateable:
    """An item and period cut into stretches that one price holds."""

    due: DueItem
    zone: str
    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, due: DueItem) -> "Rateable":
        """Return `due` in stretches; none where its contract no longer names it.

        Raises:
            PriceError: a price of the item cannot be read.
        """
        zone = zone_at(due.versions, due.period.start_at)
        if due.removed:
            return cls(due, zone, ())
        window = allowance_window(due.item, due.period, zone)
        if window is not None:
            return cls(due, zone, tuple(_in_window(due, window, zone)))
        parts = item_slices(due.item, due.period, zone, due.currency)
        return cls(
            due, zone, tuple(Stretch(part=one, counted=one.period, billed=None, whole=one.regular) for one in parts)
        )

    @property
    def rates_events(self) -> bool:
        """Return whether totals are not enough: the meter, or a price of the stretches, needs the events."""
        return self.due.meter.needs_events or any(one.part.price.needs_events for one in self.stretches)

    def ranges(self) -> list[Period]:
        """Return the times whose usage is needed, in order: of each stretch what counts, then what was billed."""
        return [one for stretch in self.stretches for one in (stretch.counted, stretch.billed) if one is not None]

    def signature(self) -> bytes:
        """Return the fingerprint of what the contract says of the period, names and texts apart."""
        rows = [_facts(one) for one in self.stretches]
        return sha256(encode([hash_of(self.due.item), self.due.currency, self.zone, rows])).digest()


def _in_window(due: DueItem, window: Period, zone: str) -> list[Stretch]:
    period = due.period
    merged = _window_slices(due, window, zone)
    following = next_item_period(due.item, due.versions, period.end_at, None)
    is_last = following is None or following.start_at >= window.end_at
    stretches = []
    for index, part in enumerate(merged):
        start_at, end_at = part.period.start_at, part.period.end_at
        final = is_last and index == len(merged) - 1
        if end_at <= period.start_at:
            before = replace(part, final=False)  # the minimum of the window is charged at its end alone
            stretches.append(Stretch(part=before, counted=part.period, billed=None, whole=window, shown=False))
            continue
        own = Period(start_at=max(start_at, period.start_at), end_at=end_at)
        billed = Period(start_at=start_at, end_at=own.start_at) if start_at < own.start_at else None
        part = replace(part, period=own, final=final)
        stretches.append(Stretch(part=part, counted=replace(own, start_at=start_at), billed=billed, whole=window))
    return stretches


def _window_slices(due: DueItem, window: Period, zone: str) -> list[ItemSlice]:
    """Return the item's slices from the window's start to the period's end; those that touch and cost the same joined.

    They are cut a billing period at a time, so that a deferred price change begins with the period it begins with.
    """
    cadence, at = cadence_of(due.item), window.start_at
    merged: list[ItemSlice] = []
    while at < due.period.end_at:
        if at < due.period.start_at:
            end_at = min(cadence_period(cadence, at, zone).end_at, due.period.start_at)
        else:
            end_at = due.period.end_at
        for part in item_slices(due.item, Period(start_at=at, end_at=end_at), zone, due.currency):
            if merged and continues(merged[-1], part):
                merged[-1] = replace(merged[-1], period=replace(part.period, start_at=merged[-1].period.start_at))
            else:
                merged.append(part)
        at = end_at
    return merged


def _facts(stretch: Stretch) -> Sequence[Any]:
    part = stretch.part
    return (
        stretch.counted.start_at,
        stretch.counted.end_at,
        stretch.billed.end_at if stretch.billed else None,
        stretch.whole.start_at,
        stretch.whole.end_at,
        stretch.shown,
        part.version.hash,
        part.terms.own_unit_amount,
        part.terms.discount_percent,
        part.licensed_quantity,
        part.trial,
        part.final,
    )
