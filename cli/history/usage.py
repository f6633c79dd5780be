"""What was used in a stretch, as the price language takes it. Pure.

Place     the books' rollups or raw events -> [this] -> periods.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from fakturo.cli.history.books import Stretch
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import MeasuredEvent, Meter, StreamedUsage, aggregate
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage, grouped_usage, usage_of


def usage_in(meter: Meter, stretch: Stretch, whole: Period, *, singly: bool) -> Usage:
    """Return the quantity of a stretch, by group where the meter groups, from its events or else its rollups.

    `whole` is the period that a weighted sum is a share of; `singly` says that the price looks at each event.

    Raises:
        PriceError: the events cannot be aggregated.
    """
    if stretch.events is not None:
        return _from_events(meter, stretch, whole, singly=singly)
    totals = {text: rollup.quantity(meter.aggregation) for text, rollup in stretch.groups.items()}
    if not meter.group_by:
        return usage_of(next(iter(totals.values()), ZERO))
    groups = {}
    for text, quantity in totals.items():
        named = msgspec.json.decode(text, type=dict[str, str])
        groups[tuple(named[name] for name in meter.group_by)] = quantity
    return grouped_usage(meter.group_by, groups)


def _from_events(meter: Meter, stretch: Stretch, whole: Period, *, singly: bool) -> Usage:
    measured = [event for raw in stretch.events or () if (event := _measured(meter, raw.data, raw.at)) is not None]
    levels: dict[tuple[str, ...], Decimal] = {}
    with exact_context():
        for event in measured:
            if event.at is not None and event.at < stretch.period.start_at:  # read only where a level is carried in
                levels[event.dimensions] = levels.get(event.dimensions, ZERO) + event.value
    inside = [event for event in measured if event.at is not None and event.at >= stretch.period.start_at]
    if singly or not meter.needs_events:
        return aggregate(meter, inside, stretch.period, levels or None)
    streamed = StreamedUsage(meter, stretch.period, whole, levels)
    for event in inside:
        streamed.add(event)
    return streamed.usage()


def _measured(meter: Meter, data: Mapping[str, object], at: datetime) -> MeasuredEvent | None:
    """Return what an event counts for; None where it does not, or holds no number: it was right for its own meters."""
    if not meter.matches(meter.event_type, data):
        return None
    try:
        return meter.event(data, at)
    except MeterError:
        return None
