"""Meters: which usage events count, what they count for, and what becomes of many of them.

Entry     `meter_of` reads a definition; `Meter.measure` and `rollup_of` make totals that merge in any order;
          `aggregate` makes a quantity of single events, which is the only way for a meter with `needs_events`;
          `StreamedUsage` is the same for events that come ordered and are too many to hold.
"""

from fakturo.engine.meters.aggregation import aggregate
from fakturo.engine.meters.meter import Measure, MeasuredEvent, Meter, meter_of
from fakturo.engine.meters.rollup import (
    QUARTER_HOUR,
    Aggregation,
    Rollup,
    merge_all,
    quarter_hour,
    rollup_of,
)
from fakturo.engine.meters.streamed import StreamedUsage

__all__ = [
    "QUARTER_HOUR",
    "Aggregation",
    "Measure",
    "MeasuredEvent",
    "Meter",
    "Rollup",
    "StreamedUsage",
    "aggregate",
    "merge_all",
    "meter_of",
    "quarter_hour",
    "rollup_of",
]
