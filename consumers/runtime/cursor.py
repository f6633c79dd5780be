"""The cursor rows of an agent: the next offset of each partition, its last sequence and its watermark.

Place     processor and watermark -> [this] -> runtime.cursor. The only record of what was processed;
          runners seek to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

Place = tuple[str, int]
"""Topic (logical name) and partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where an agent stands in one partition.

    `last_sequence` counts the records of a topic of ours; `watermark_recorded_at` is when we knew of `watermark_at`.
    """

    topic: str
    partition: int
    next_offset: int
    last_sequence: int
    watermark_at: datetime | None
    watermark_recorded_at: datetime | None

    @property
    def place(self) -> Place:
        """Return the topic and the partition."""
        return self.topic, self.partition


_LOCK = """
SELECT topic, partition, next_offset, last_sequence, watermark_at, watermark_recorded_at
  FROM runtime.cursor JOIN unnest($2::text[], $3::int[]) AS asked(topic, partition) USING (topic, partition)
 WHERE agent = $1 ORDER BY topic, partition FOR UPDATE OF cursor
"""
_MOVE = """
UPDATE runtime.cursor c SET next_offset = m.next_offset, last_sequence = m.last_sequence,
       watermark_at = m.watermark_at, watermark_recorded_at = m.watermark_recorded_at, updated_at = now()
  FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
       AS m(topic, partition, next_offset, last_sequence, watermark_at, watermark_recorded_at)
 WHERE c.agent = $1 AND c.topic = m.topic AND c.partition = m.partition
"""


async def ensure_cursors(driver: asyncpg.Connection, agent: str, partitions: Mapping[str, int]) -> None:
    """Insert the missing rows of topics with so many partitions; time stands until all that tick have a cursor."""
    await driver.execute(
        "INSERT INTO runtime.cursor (agent, topic, partition) SELECT $1, topic, partition "
        "FROM unnest($2::text[], $3::int[]) AS t(topic, count) CROSS JOIN generate_series(0, count - 1) partition "
        "ORDER BY 2, 3 "
        "ON CONFLICT DO NOTHING",
        agent,
        list(partitions),
        list(partitions.values()),
    )
    await driver.execute("INSERT INTO runtime.watermark (agent) VALUES ($1) ON CONFLICT DO NOTHING", agent)


async def lock_cursors(driver: asyncpg.Connection, agent: str, places: Sequence[Place]) -> dict[Place, Cursor]:
    """Return the cursors of `places`, locked in (topic, partition) order so that two workers cannot deadlock."""
    rows = await driver.fetch(_LOCK, agent, [place[0] for place in places], [place[1] for place in places])
    return {(row["topic"], row["partition"]): Cursor(**dict(row)) for row in rows}


async def move_cursors(driver: asyncpg.Connection, agent: str, cursors: Sequence[Cursor]) -> None:
    """Write the cursors as they stand after a batch."""
    await driver.execute(
        _MOVE,
        agent,
        [cursor.topic for cursor in cursors],
        [cursor.partition for cursor in cursors],
        [cursor.next_offset for cursor in cursors],
        [cursor.last_sequence for cursor in cursors],
        [cursor.watermark_at for cursor in cursors],
        [cursor.watermark_recorded_at for cursor in cursors],
    )


async def read_offsets(driver: asyncpg.Connection, agent: str) -> dict[Place, int]:
    """Return the next offset of every partition that `agent` reads."""
    rows = await driver.fetch("SELECT topic, partition, next_offset FROM runtime.cursor WHERE agent = $1", agent)
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def begin_at(driver: asyncpg.Connection, agent: str, offsets: Mapping[Place, int]) -> None:
    """Let an agent that has never read these partitions begin at `offsets`, where the broker's log begins now."""
    await driver.execute(
        "UPDATE runtime.cursor c SET next_offset = b.next_offset "
        "FROM unnest($2::text[], $3::int[], $4::bigint[]) AS b(topic, partition, next_offset) "
        "WHERE c.agent = $1 AND c.topic = b.topic AND c.partition = b.partition AND c.next_offset = 0",
        agent,
        [place[0] for place in offsets],
        [place[1] for place in offsets],
        list(offsets.values()),
    )
