"""Aggregating single events: what a meter makes of them in a period, whole and by group.

Place     measured events + period -> [this] -> Usage -> rating. Meters whose totals merge may use rollups instead: both
          give the same.
Rules     an event counts in the period that holds its time; one without a time always counts, and comes first. No
          events give 0. `last` ties go to the later in the list. `average` is the plain mean.
Weighted  `weighted_sum`: each value changes a level; the result is the level weighted by the share of the period that
          it held. Events before the period's start are carried in and hold all of it.
Source    PRICING.md, A meter.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fakturo.engine.errors import PriceError
from fakturo.engine.meters.meter import MeasuredEvent, Meter
from fakturo.engine.meters.rollup import Aggregation, merge_all, rollup_of
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage, UsageEvent

Group = tuple[str, ...]
_FIRST = datetime.min.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def aggregate(
    meter: Meter,
    events: Iterable[MeasuredEvent],
    period: Period | None = None,
    levels: Mapping[Group, Decimal] | None = None,
) -> Usage:
    """Return what `meter` makes of `events`, which it has measured, in `period` (None: of all of them).

    `levels` are those at the period's start, by group, of events that are not among `events` (`weighted_sum` only).
    The usage holds the events too, for prices that rate them singly.

    Raises:
        PriceError: `period_missing`, `event_time_missing`: `weighted_sum` needs both.
    """
    kept = [event for event in events if period is None or _counts(meter, event, period)]
    by_group: dict[Group, list[MeasuredEvent]] = {group: [] for group in levels or {}}
    for event in kept:
        by_group.setdefault(event.dimensions if meter.group_by else (), []).append(event)
    with exact_context():
        quantities = {
            group: _quantity(meter, found, period, (levels or {}).get(group, ZERO)) for group, found in by_group.items()
        }
        return Usage(
            quantity=sum(quantities.values(), ZERO),
            dimensions=meter.group_by,
            groups=quantities if meter.group_by else {},
            events=tuple(_usage_event(event) for event in kept if _within(event, period)),
        )


def _counts(meter: Meter, event: MeasuredEvent, period: Period) -> bool:
    if meter.aggregation is Aggregation.WEIGHTED_SUM:
        return event.at is None or event.at < period.end_at
    return _within(event, period)


def _within(event: MeasuredEvent, period: Period | None) -> bool:
    return period is None or event.at is None or period.contains(event.at)


def _quantity(meter: Meter, events: Sequence[MeasuredEvent], period: Period | None, level: Decimal) -> Decimal:
    if meter.aggregation is Aggregation.UNIQUE:
        return Decimal(len({event.distinct for event in events}))
    if meter.aggregation is Aggregation.WEIGHTED_SUM:
        return _weighted(events, period, level)
    return merge_all([rollup_of(event.value, event.at or _FIRST) for event in events]).quantity(meter.aggregation)


def _weighted(events: Sequence[MeasuredEvent], period: Period | None, level: Decimal) -> Decimal:
    """Return the mean level over the period; each level holds from its event on."""
    if period is None:
        raise PriceError("period_missing", "weighted_sum needs the period over which levels are weighed", "period")
    timed = []
    for event in events:
        if event.at is None:
            raise PriceError("event_time_missing", "weighted_sum needs the time of each event", "events")
        timed.append((max(event.at, period.start_at), event.value))
    area, since = ZERO, period.start_at
    for at, change in sorted(timed, key=lambda pair: pair[0]):
        area += level * ((at - since) // _MICROSECOND)
        level, since = level + change, at
    area += level * ((period.end_at - since) // _MICROSECOND)
    return area / ((period.end_at - period.start_at) // _MICROSECOND)


def _usage_event(event: MeasuredEvent) -> UsageEvent:
    return UsageEvent(quantity=event.value, amount=event.amount, at=event.at, properties=event.properties)
