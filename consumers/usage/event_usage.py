"""Usage from the raw events themselves, for meters and prices that no total can serve.

Place     statements -> [this] -> Postgres `usage.event_rated` -> engine/meters -> Usage -> rating.
Order     by event time, ties by arrival (partition, offset).
Known     a statement for good counts what came, and was corrected, before the tick that it is made at (lateness.py).
Memory    events are fetched in chunks; `unique` holds the distinct values, `weighted_sum` a level a group, and a price
          of single events (`percentage`, `dynamic`, ...) the events of its stretch, since it rates them one by one.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import msgspec

from fakturo.consumers.usage.folding import dimensions_values
from fakturo.consumers.usage.levels import levels_before
from fakturo.consumers.usage.rateable import DueItem, Stretch
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import Aggregation, MeasuredEvent, StreamedUsage, aggregate
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage

EVENTS_AHEAD = 5000
"""How many events are fetched at a time."""

_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_EVENTS = """
SELECT r.at, r.data
  FROM usage.event_rated r
 WHERE r.account_id = $1 AND r.type = $2 AND r.at >= $3 AND r.at < $4
   AND r.watermark_at < $5
   AND NOT EXISTS (SELECT FROM usage.superseded_event s
                    WHERE s.source = r.source AND s.id = r.id AND s.known_watermark_at < $5)
 ORDER BY r.at, r.partition, r."offset"
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What a statement counts: events that came `before` a tick (None: all), levels `held_until_at` (None: the end).

    Only a running statement `keeps_levels` (levels.py).
    """

    before: datetime | None
    held_until_at: datetime | None
    keeps_levels: bool = False


async def usage_from_events(
    driver: asyncpg.Connection, due: DueItem, stretch: Stretch, counted: Period, known: Known
) -> Usage:
    """Return the usage of `counted`, a part of `stretch`, as it is `known`."""
    levels: Mapping[tuple[str, ...], Decimal] = {}
    if due.meter.aggregation is Aggregation.WEIGHTED_SUM:
        levels = await _levels(driver, due, counted.start_at, keep=known.keeps_levels)
    events = _measured(driver, due, counted, known.before)
    if stretch.part.price.needs_events:
        kept = [_with_amount(event, due, stretch) async for event in events]
        return aggregate(due.meter, kept, counted, levels or None)
    streamed = StreamedUsage(due.meter, counted, stretch.whole, levels, known.held_until_at)
    async for event in events:
        streamed.add(event)
    return streamed.usage()


def _with_amount(event: MeasuredEvent, due: DueItem, stretch: Stretch) -> MeasuredEvent:
    """Return the event with the meter's value of it for its amount, where its data name none."""
    names_none = event.amount is None and due.meter.value_path is not None
    rounds_up = stretch.part.price.modifiers.increments is not None  # which is for quantities, not for amounts
    return replace(event, amount=event.value) if names_none and not rounds_up else event


async def _measured(
    driver: asyncpg.Connection, due: DueItem, counted: Period, known_before: datetime | None
) -> AsyncIterator[MeasuredEvent]:
    """Yield the events of `counted` that the meter counts; what it cannot read was right for meters of its time."""
    meter = due.meter
    cursor = driver.cursor(
        _EVENTS,
        due.account_id,
        meter.event_type,
        counted.start_at,
        counted.end_at,
        known_before or _END_OF_TIME,
        prefetch=EVENTS_AHEAD,
    )
    async for row in cursor:
        data = msgspec.json.decode(row["data"])
        if meter.matches(meter.event_type, data):
            try:
                yield meter.event(data, row["at"])
            except MeterError:
                continue


async def _levels(
    driver: asyncpg.Connection, due: DueItem, at: datetime, *, keep: bool
) -> dict[tuple[str, ...], Decimal]:
    """Return the level of each group at the instant: the sum of all changes before it."""
    names = due.meter.group_by
    levels = await levels_before(driver, due.account_id, due.meter_id, at, keep=keep)
    return {dimensions_values(names, text) if names else (): level for text, level in sorted(levels.items())}
