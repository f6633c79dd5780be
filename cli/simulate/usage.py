"""What was used in a stretch, as the price language takes it. Pure.

Place     history's rollups or raw events -> [this] -> repricing.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from fakturo.cli.simulate.history import Stretch
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import MeasuredEvent, Meter, aggregate
from fakturo.engine.money import ZERO
from fakturo.engine.prices import Usage, grouped_usage, usage_of


def usage_in(meter: Meter, stretch: Stretch) -> Usage:
    """Return the quantity of a stretch, by group where the meter groups, from its events or else its rollups.

    Raises:
        PriceError: the events cannot be aggregated.
    """
    if stretch.events is not None:
        measured = [event for raw in stretch.events if (event := _measured(meter, raw.data, raw.at)) is not None]
        return aggregate(meter, measured, stretch.period)
    totals = {text: rollup.quantity(meter.aggregation) for text, rollup in stretch.groups.items()}
    if not meter.group_by:
        return usage_of(next(iter(totals.values()), ZERO))
    groups = {}
    for text, quantity in totals.items():
        named = msgspec.json.decode(text, type=dict[str, str])
        groups[tuple(named[name] for name in meter.group_by)] = quantity
    return grouped_usage(meter.group_by, groups)


def _measured(meter: Meter, data: Mapping[str, object], at: datetime) -> MeasuredEvent | None:
    """Return what an event counts for; None where it does not, or holds no number: it was right for its own meters."""
    if not meter.matches(meter.event_type, data):
        return None
    try:
        return meter.event(data, at)
    except MeterError:
        return None
