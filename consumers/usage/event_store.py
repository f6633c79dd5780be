"""The raw events of the book: found by identity, or read back by account, type and time.

Place     whoever needs an event again (corrected usage, new meters, rating from events, `fakturo explain`) -> [this].
          How they are stored is known here and in the fast path alone.
Order     by event time, ties by arrival (partition, offset): the order in which `last` and levels are taken.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import asyncpg
import msgspec

Identity = tuple[str, str]
"""(`source`, `id`) of a usage event."""

EVENTS_AHEAD = 5000
"""How many stored events are fetched at a time."""

_FIND = """
SELECT account_id, type, at, source, id, data, recorded_at, partition, "offset", late, watermark_at
  FROM unnest($1::text[], $2::text[]) AS asked(source, id) JOIN usage.event USING (source, id)
"""
_READ = """
SELECT account_id, type, at, source, id, data, recorded_at, partition, "offset", late, watermark_at
  FROM usage.event
 WHERE account_id = $1 AND type = ANY($2::text[]) AND at >= $3 AND at < $4
 ORDER BY at, partition, "offset"
"""


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A raw event as it was taken. `data` is JSON; `late` says that its period had closed when it came.

    `watermark_at` is what time had reached in the event's partition when it came (None before the first tick).
    """

    account_id: str
    type: str
    at: datetime
    source: str
    id: str
    data: bytes
    recorded_at: datetime
    partition: int
    offset: int
    late: bool = False
    watermark_at: datetime | None = None


async def find_events(driver: asyncpg.Connection, identities: Sequence[Identity]) -> dict[Identity, StoredEvent]:
    """Return those of `identities` that are stored."""
    rows = await driver.fetch(_FIND, [one[0] for one in identities], [one[1] for one in identities])
    return {(row["source"], row["id"]): _stored(row) for row in rows}


async def stored_events(
    driver: asyncpg.Connection, account_id: str, types: Sequence[str], from_at: datetime, until_at: datetime
) -> AsyncIterator[StoredEvent]:
    """Yield the account's events of `types` in [from_at, until_at), late ones too, in order."""
    async for row in driver.cursor(_READ, account_id, list(types), from_at, until_at, prefetch=EVENTS_AHEAD):
        yield _stored(row)


def _stored(row: asyncpg.Record) -> StoredEvent:
    return StoredEvent(
        account_id=row["account_id"],
        type=row["type"],
        at=row["at"],
        source=row["source"],
        id=row["id"],
        data=row["data"].encode(),
        recorded_at=row["recorded_at"],
        partition=row["partition"],
        offset=row["offset"],
        late=row["late"],
        watermark_at=row["watermark_at"],
    )
