"""Aggregating events one at a time, in the order of their times: what `aggregate` does, without holding the events.

Place     raw events of a stretch of a period, ordered -> [this] -> Usage -> rating. For meters with `needs_events`.
Memory    `unique` holds the distinct values, `weighted_sum` a level a group.
Weighted  each level counts for the share of `whole` that it held in the stretch. So a level of 10 all month is 10,
          and the two slices of a month that a price change splits in halves are 5 and 5.
Source    PRICING.md, A meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from fakturo.engine.meters.meter import MeasuredEvent, Meter
from fakturo.engine.meters.rollup import Aggregation
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage

Group = tuple[str, ...]
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class _Level:
    """A level since an instant, and the area (level x microseconds) before it."""

    level: Decimal
    since: datetime
    area: Decimal = ZERO

    def hold_until(self, at: datetime) -> None:
        self.area += self.level * ((at - self.since) // _MICROSECOND)
        self.since = at


@dataclass(slots=True)
class StreamedUsage:
    """The usage of `stretch`, a part of the period `whole`. `levels` are those at its start, by group.

    `until_at` ends what is known so far (None: all of the stretch): the last level is held up to it.
    """

    meter: Meter
    stretch: Period
    whole: Period
    levels: Mapping[Group, Decimal] = field(default_factory=dict)
    until_at: datetime | None = None
    _held: dict[Group, _Level] = field(default_factory=dict)
    _distinct: dict[Group, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, level in self.levels.items():
            self._held[group] = _Level(level, self.stretch.start_at)

    def add(self, event: MeasuredEvent) -> None:
        """Count one event of the stretch; its time is not before that of the one before it."""
        group = event.dimensions if self.meter.group_by else ()
        if self.meter.aggregation is Aggregation.UNIQUE:
            self._distinct.setdefault(group, set()).add(event.distinct)
            return
        held = self._held.setdefault(group, _Level(ZERO, self.stretch.start_at))
        with exact_context():
            held.hold_until(event.at or self.stretch.start_at)
            held.level += event.value

    def usage(self) -> Usage:
        """Return what the events came to, whole and by group."""
        with exact_context():
            quantities = {group: Decimal(len(values)) for group, values in self._distinct.items()}
            whole = (self.whole.end_at - self.whole.start_at) // _MICROSECOND
            for group, held in self._held.items():
                quantities[group] = self._area(held) / whole
            total = sum(quantities.values(), ZERO)
        return Usage(quantity=total, dimensions=self.meter.group_by, groups=quantities if self.meter.group_by else {})

    def _area(self, held: _Level) -> Decimal:
        end_at = self.stretch.end_at if self.until_at is None else min(self.until_at, self.stretch.end_at)
        rest = max(end_at - held.since, timedelta()) // _MICROSECOND
        return held.area + held.level * rest
