"""What `fakturo bench usage` asks of the usage agent's tables, and how it empties them.

Place     usage.py, usage_workers, usage_latency -> [this] -> Postgres.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import asyncpg

from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.topics import USAGE, Topic

ASK_SECONDS = 0.05
CONTRACT_TABLES = ("contracts_version", "meter", "account", "subscription_item", "retention")
"""What the agent knows of contracts, and a single row: kept when the book is emptied."""
_EMPTIED = """
SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'usage' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL($1::text[])
"""
_BYTES = """
SELECT sum(pg_total_relation_size(c.oid))::float8
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'usage' AND c.relkind = 'r' AND c.relname <> ALL($1::text[])
"""
_WAITS = """
SELECT coalesce(wait_event_type, 'CPU'), count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'fakturo' AND state = 'active' GROUP BY 1
"""


class Book:
    """A connection of the bench's own to the agents' database."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def empty(self) -> None:
        """Empty the usage agent's tables but for its contracts; its cursor stands before the first usage event."""
        tables = await self.connection.fetchval(_EMPTIED, CONTRACT_TABLES)
        await self.connection.execute(f"TRUNCATE {tables}, runtime.parked, runtime.dead_letter, runtime.outbox")
        await self.connection.execute(
            "UPDATE runtime.cursor SET next_offset = 0, last_sequence = 0 WHERE agent = 'usage' AND topic = $1",
            USAGE.name,
        )

    async def begin_at(self, offsets: Mapping[int, int]) -> None:
        """Set the agent's cursor in the usage topic: partition -> next offset."""
        await self.connection.execute(
            "UPDATE runtime.cursor SET next_offset = o.next_offset FROM unnest($2::int[], $3::bigint[]) "
            "AS o(partition, next_offset) WHERE agent = 'usage' AND topic = $1 AND cursor.partition = o.partition",
            USAGE.name,
            list(offsets),
            list(offsets.values()),
        )

    async def read_count(self, topic: Topic = USAGE) -> int:
        """Return how many records of `topic` the usage agent has processed."""
        query = "SELECT coalesce(sum(next_offset), 0) FROM runtime.cursor WHERE agent = 'usage' AND topic = $1"
        return int(await self.connection.fetchval(query, topic.name))

    async def bytes_stored(self) -> float:
        """Return the size of the agent's tables but for its contracts, with indexes and large values."""
        return float(await self.connection.fetchval(_BYTES, CONTRACT_TABLES) or 0)

    async def rollup_count(self) -> int:
        """Return how many quarter-hour totals are stored."""
        return int(await self.connection.fetchval("SELECT count(*) FROM usage.rollup"))

    async def dead_letter_count(self) -> int:
        """Return how many events the usage agent has dead-lettered."""
        query = "SELECT count(*) FROM runtime.dead_letter WHERE agent = 'usage' AND topic = $1"
        return int(await self.connection.fetchval(query, USAGE.name))

    async def waiting_to_be_published(self) -> int:
        """Return how many rows the relay has still to publish."""
        return int(await self.connection.fetchval("SELECT count(*) FROM runtime.outbox WHERE agent = 'usage'"))

    async def busy_backends(self) -> Counter[str]:
        """Return the agents' backends at work by what they wait for at this moment; `CPU` wait for nothing."""
        return Counter({row[0]: row[1] for row in await self.connection.fetch(_WAITS)})


async def wait_until(is_so: Callable[[], Awaitable[bool]], what: str, *, seconds: float) -> None:
    """Return once `is_so` says so, asked some twenty times a second.

    Raises:
        TimeoutError: it has not after so many seconds; the text says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not await is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {seconds:.0f} s")
        await asyncio.sleep(ASK_SECONDS)


@asynccontextmanager
async def open_book(settings: Settings) -> AsyncIterator[Book]:
    """Give a book; its connection is closed at the end."""
    connection = await asyncpg.connect(settings.database_url, server_settings={"application_name": "fakturo bench"})
    try:
        yield Book(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def held(settings: Settings) -> AsyncIterator[None]:
    """Keep the usage agent's workers from their first batch until the end of the block."""
    async with open_book(settings) as book, book.connection.transaction():
        await book.connection.execute(
            "SELECT FROM runtime.cursor WHERE agent = 'usage' AND topic = $1 FOR UPDATE", USAGE.name
        )
        yield
