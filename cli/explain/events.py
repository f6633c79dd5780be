"""The very events of a slice: the first ones by event time, each with where it came from and whether it counts.

Place     consumers/usage/event_store, by account, type and range, and usage.correction -> [this] -> explaining. It
          stops at as many events as were asked for, so it reads no more of an account than it shows.
Corrected of all corrections of an event the greatest (time, source, id) stands; an event that it took out is shown too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from fakturo.cli.explain.answer import Event, Events, Identity
from fakturo.consumers.usage.corrected_store import superseded
from fakturo.consumers.usage.event_store import StoredEvent, stored_events
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import Meter
from fakturo.engine.periods import Period
from fakturo.schemas.topics import USAGE

Name = tuple[str, str]
"""`source` and `id` of an event or a correction."""

_CORRECTIONS = """
WITH shown AS (SELECT * FROM unnest($1::text[], $2::text[]) AS s(source, id)),
roots AS (SELECT source, id FROM shown UNION SELECT c.root_source, c.root_id FROM usage.correction c JOIN shown
           ON c.replacement_source = shown.source AND c.replacement_id = shown.id)
SELECT c.source, c.id, c.root_source, c.root_id, c.replacement_source, c.replacement_id
  FROM usage.correction c JOIN roots ON c.root_source = roots.source AND c.root_id = roots.id
 ORDER BY c.at, c.source, c.id
"""


@dataclass(slots=True)
class _Corrections:
    """What corrections say of the events shown: which stands for a root, and whose place a replacement takes."""

    standing: dict[Name, Name] = field(default_factory=dict)
    root_of: dict[Name, Name] = field(default_factory=dict)

    def corrected_by(self, name: Name) -> Name | None:
        """Return the correction that took the event out, by what is known of its root."""
        return self.standing.get(self.root_of.get(name, name))


async def events_of(
    connection: asyncpg.Connection, account: str, meter: Meter, period: Period, *, limit: int, counted: int
) -> Events:
    """Return the first `limit` events of `period` that the meter looks at; `counted` is how many are in its totals."""
    if limit == 0:
        return Events(shown=(), more=counted > 0, held=True)
    types = [meter.event_type]
    found: list[tuple[StoredEvent, dict[str, Any]]] = []
    more = False
    async for stored in stored_events(connection, account, types, period.start_at, period.end_at):
        data = msgspec.json.decode(stored.data)
        if not meter.matches(stored.type, data):
            continue
        if len(found) == limit:
            more = True
            break
        found.append((stored, data))
    gone = await superseded(connection, account, types, period.start_at, period.end_at) if found else set()
    corrections = await _corrections(connection, [(one.source, one.id) for one, _ in found])
    shown = tuple(_event(stored, data, meter, gone, corrections) for stored, data in found)
    return Events(shown=shown, more=more, held=more or sum(one.counts for one in shown) >= counted)


async def _corrections(connection: asyncpg.Connection, names: Sequence[Name]) -> _Corrections:
    result = _Corrections()
    if not names:
        return result
    for row in await connection.fetch(_CORRECTIONS, [name[0] for name in names], [name[1] for name in names]):
        root = row["root_source"], row["root_id"]
        result.standing[root] = row["source"], row["id"]  # the last is the greatest
        if row["replacement_id"] is not None:
            result.root_of[row["replacement_source"], row["replacement_id"]] = root
    return result


def _event(
    stored: StoredEvent, data: dict[str, Any], meter: Meter, gone: set[Name], corrections: _Corrections
) -> Event:
    name = stored.source, stored.id
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
        counts=name not in gone,
        corrected_by=_identity(corrections.corrected_by(name)) if name in gone else None,
        replaces=_identity(corrections.root_of.get(name)),
    )


def _identity(name: Name | None) -> Identity | None:
    return None if name is None else Identity(source=name[0], id=name[1])
