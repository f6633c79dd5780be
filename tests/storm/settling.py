"""Waits until nothing is left of what settlement does not count: foreign topics, and what is to go to the org.

Place     consumers/runtime/settlement counts our own topics -> test_storm.py waits for the rest by [this].
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg

from tests.storm.foreign import TOPIC

POLL_SECONDS = 0.2

_UNREAD = """
SELECT format('crm_feed has read %s-%s up to offset %s of %s', $1::text, p.partition, c.next_offset, p.next)
  FROM unnest($2::int[], $3::bigint[]) AS p(partition, next)
  LEFT JOIN runtime.cursor c ON c.agent = 'crm_feed' AND c.topic = $1 AND c.partition = p.partition
 WHERE coalesce(c.next_offset, 0) < p.next
"""
_UNSENT = """
SELECT format('%s rows of %s wait (held: %s): %s', count(*), entity, held, max(failure)) FROM crm_sync.written
 WHERE dirty GROUP BY entity, held
"""


async def until_none(find: Callable[[], Awaitable[list[str]]], *, patience_seconds: float) -> None:
    """Wait until `find` finds nothing more.

    Raises:
        TimeoutError: what it finds has not changed for `patience_seconds`.
    """
    last: list[str] = []
    moved_at = time.monotonic()
    while found := await find():
        if found != last:
            last, moved_at = found, time.monotonic()
        elif time.monotonic() - moved_at > patience_seconds:
            raise TimeoutError(f"nothing has moved for {patience_seconds:.0f} s: " + "; ".join(found[:5]))
        await asyncio.sleep(POLL_SECONDS)


async def unread(connection: asyncpg.Connection, ends: dict[int, int]) -> list[str]:
    """Return, as sentences, which partitions of the foreign topic crm_feed has not read to their ends."""
    return [row[0] for row in await connection.fetch(_UNREAD, TOPIC, list(ends), list(ends.values()))]


async def unsent(connection: asyncpg.Connection) -> list[str]:
    """Return, as sentences, what the org does not hold yet."""
    return [row[0] for row in await connection.fetch(_UNSENT)]
