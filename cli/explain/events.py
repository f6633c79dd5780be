"""The very events of a slice: the first ones by event time, each with where it came from.

Place     consumers/usage/event_store, by account, type and range -> [this] -> explaining. It stops at as many as were
          asked for, so it reads no more of an account than it shows.
"""

import asyncpg
import msgspec

from fakturo.cli.explain.answer import Event, Events
from fakturo.consumers.usage.event_store import StoredEvent, stored_events
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import Meter
from fakturo.engine.periods import Period
from fakturo.schemas.topics import USAGE


async def events_of(
    connection: asyncpg.Connection, account: str, meter: Meter, period: Period, *, limit: int, counted: int
) -> Events:
    """Return the first `limit` events of `period` that the meter looks at; `counted` is how many are in its totals."""
    shown: list[Event] = []
    more = False
    async for stored in stored_events(connection, account, [meter.event_type], period.start_at, period.end_at):
        if not meter.matches(stored.type, data := msgspec.json.decode(stored.data)):
            continue
        if len(shown) == limit:
            more = True
            break
        shown.append(_event(stored, data, meter))
    held = more or sum(one.counts for one in shown) >= counted
    return Events(shown=tuple(shown), more=more, held=held)


def _event(stored: StoredEvent, data: dict[str, object], meter: Meter) -> Event:
    try:
        value = meter.value(data)
    except MeterError:
        value = None
    return Event(
        source=stored.source,
        id=stored.id,
        at=stored.at,
        type=stored.type,
        value=value,
        data=data,
        topic=USAGE.name,
        partition=stored.partition,
        offset=stored.offset,
        recorded_at=stored.recorded_at,
        late=stored.late,
        counts=not stored.late,
        corrected_by=None,
        replaces=None,
    )
