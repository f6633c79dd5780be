"""Totals that can be added up in any order, and what each aggregation makes of one.

Place     measured event -> [this] -> rollup by quarter hour and dimensions -> quantity -> rating.
Holds     merging is associative; in the order of arrival `last` ties go to the later, as if the events had been read
          one by one.
Source    PRICING.md, A meter.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from fakturo.engine.money import EXACT, ZERO

QUARTER_HOUR = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Aggregation(StrEnum):
    """How values become one quantity; no events give 0."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LAST = "last"
    AVERAGE = "average"
    UNIQUE = "unique"
    WEIGHTED_SUM = "weighted_sum"


FROM_EVENTS = frozenset({Aggregation.UNIQUE, Aggregation.WEIGHTED_SUM})
"""Aggregations that no rollup holds: they need the events."""


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """What the aggregations that merge need to know of some events; all 0 for none."""

    count: int = 0
    total: Decimal = ZERO
    highest: Decimal = ZERO
    lowest: Decimal = ZERO
    last: Decimal = ZERO
    last_at: datetime = _EPOCH

    def merge(self, later: "Rollup") -> "Rollup":
        """Return both together; of two last values at the same instant that of `later` counts."""
        if not later.count or not self.count:
            return later if later.count else self
        newest = later if later.last_at >= self.last_at else self
        return Rollup(
            count=self.count + later.count,
            total=EXACT.add(self.total, later.total),
            highest=max(self.highest, later.highest),
            lowest=min(self.lowest, later.lowest),
            last=newest.last,
            last_at=newest.last_at,
        )

    def quantity(self, aggregation: Aggregation) -> Decimal:
        """Return the one quantity that `aggregation` makes of it; 0 of no events.

        Raises:
            KeyError: an aggregation of `FROM_EVENTS`.
        """
        match aggregation:
            case Aggregation.COUNT:
                return Decimal(self.count)
            case Aggregation.SUM:
                return self.total
            case Aggregation.MAX:
                return self.highest
            case Aggregation.MIN:
                return self.lowest
            case Aggregation.LAST:
                return self.last
            case Aggregation.AVERAGE:
                return EXACT.divide(self.total, self.count) if self.count else ZERO
            case _:
                raise KeyError(aggregation)


def rollup_of(value: Decimal, at: datetime) -> Rollup:
    """Return the rollup of a single event with this value at the event time `at`."""
    return Rollup(count=1, total=value, highest=value, lowest=value, last=value, last_at=at)


def quarter_hour(instant: datetime) -> datetime:
    """Return the start, in UTC, of the quarter of an hour that holds `instant`: the grain of rollups.

    Every zone's offset since 1972 is a multiple of it but for Liberia's (in 1972), so local days and months are whole
    numbers of quarters.
    """
    return _EPOCH + (instant - _EPOCH) // QUARTER_HOUR * QUARTER_HOUR


def merge_all(rollups: Sequence[Rollup]) -> Rollup:
    """Return all together, in this order."""
    total = Rollup()
    for rollup in rollups:
        total = total.merge(rollup)
    return total
