"""The relay's side of the outbox in Postgres: the lease, the stamp, and taking out what is in Kafka.

Place     agents' transactions -> runtime.outbox -> [this] -> relay_publisher -> Kafka.
Lease     a session's advisory lock on the connection that also stamps: who loses the connection can stamp no more.
Stamp     gives each new row its `position` (of the agent) and `sequence` (of its topic and partition), gapless from 1,
          and commits that before anything is published, so a second try publishes the very same records.
Why by id rows of one transaction have rising ids, and a transaction that began after another had committed has higher
          ids than it. So among the rows that a snapshot shows, id order keeps every order that an agent could mean
          (an account's events come from one cursor row, hence from transactions one after the other). A row that
          becomes visible later with a lower id is concurrent to what was stamped; it has no position yet and is taken
          in a later stamp: nothing is looked for "above the last id", so nothing is skipped. There is one stamper
          (the lease), so positions have the order in which they were given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import asyncpg

from fakturo.consumers.runtime.errors import ProgressLost
from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import decode_headers
from fakturo.schemas.topics import TOPICS

BATCH_ROWS_MAX = 2000
BATCH_BYTES_MAX = 16 * 1_048_576
CONNECT_SECONDS_MAX = 5.0
STATEMENT_SECONDS_MAX = 20.0
"""Less than the half minute after which `/livez` would call a relay dead that only waits for the database."""

FOREIGN_TOPICS = [topic.name for topic in TOPICS.values() if topic.owner is None]
"""Topics that others write too: what we put there (a replayed dead letter) takes no sequence, for nobody checks it."""

_STAMP = """
WITH sized AS (
    SELECT id, topic, partition, row_number() OVER (ORDER BY id) AS n,
           sum(coalesce(octet_length(value), 0)) OVER (ORDER BY id) AS bytes
      FROM (SELECT id, topic, partition, value FROM runtime.outbox WHERE agent = $1 AND position IS NULL
             ORDER BY id LIMIT $2) unstamped
), picked AS (
    SELECT id, topic, partition, n, row_number() OVER (PARTITION BY topic, partition ORDER BY id DESC) - 1 AS to_last
      FROM sized WHERE n = 1 OR bytes <= $3
), moved AS (
    UPDATE runtime.relay SET stamped_position = stamped_position + (SELECT count(*) FROM picked)
     WHERE agent = $1 RETURNING stamped_position - (SELECT count(*) FROM picked) AS start
), heads AS (
    INSERT INTO runtime.outbox_sequence AS head (topic, partition, last_sequence)
    SELECT topic, partition, count(*) FROM picked WHERE topic <> ALL ($4::text[])
     GROUP BY topic, partition ORDER BY topic, partition
    ON CONFLICT (topic, partition) DO UPDATE SET last_sequence = head.last_sequence + excluded.last_sequence
    RETURNING topic, partition, last_sequence
)
UPDATE runtime.outbox o SET position = moved.start + picked.n, sequence = heads.last_sequence - picked.to_last
  FROM picked CROSS JOIN moved LEFT JOIN heads USING (topic, partition)
 WHERE o.id = picked.id
RETURNING o.position, o.sequence, o.topic, o.partition, o.key, o.value, o.headers
"""

_STAMPED = """
SELECT position, sequence, topic, partition, key, value, headers FROM runtime.outbox
 WHERE agent = $1 AND position IS NOT NULL ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class StampedRow:
    """A record as it will be published; `sequence` is None in a topic that others write too."""

    position: int
    sequence: int | None
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class RelayPosition:
    """What Postgres knows of a relay: the last position given out, and the last known to be in Kafka."""

    stamped: int
    published: int


class OutboxBook:
    """The outbox of one agent, seen through one connection that also holds the lease."""

    def __init__(self, agent: str, connection: asyncpg.Connection) -> None:
        self.agent = agent
        self.connection = connection

    @classmethod
    async def open(cls, agent: str, settings: Settings) -> Self:
        """Connect; the lease is still to be taken."""
        connection = await asyncpg.connect(
            driver_url(settings.database_url),
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=min(STATEMENT_SECONDS_MAX, settings.statement_timeout_seconds),
            server_settings={"application_name": f"fakturo relay {agent}"},
        )
        return cls(agent, connection)

    async def close(self) -> None:
        """Give the lease back by closing the connection."""
        if not self.connection.is_closed():
            await self.connection.close(timeout=2)

    async def take_lease(self) -> bool:
        """Try to become the one relay of the agent; a blocking wait would hold back vacuum."""
        taken = await self.connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtextextended('fakturo relay ' || $1, 0))", self.agent
        )
        return bool(taken)

    async def position(self) -> RelayPosition:
        """Return how far this relay has come, zeroes at the very first start."""
        await self.connection.execute(
            "INSERT INTO runtime.relay (agent) VALUES ($1) ON CONFLICT (agent) DO NOTHING", self.agent
        )
        row = await self.connection.fetchrow(
            "SELECT stamped_position, published_position FROM runtime.relay WHERE agent = $1", self.agent
        )
        if row is None:
            raise ProgressLost(f"relay of {self.agent}: somebody has deleted its row of runtime.relay")
        return RelayPosition(row["stamped_position"], row["published_position"])

    async def stamped(self) -> list[StampedRow]:
        """Return the rows that were stamped but are not known to be published, in position order."""
        return _rows(await self.connection.fetch(_STAMPED, self.agent))

    async def settle(self, published: int) -> None:
        """Take out the rows up to the position `published`: they are in Kafka for good."""
        async with self.connection.transaction():
            await self._settle(published)

    async def settle_and_stamp(self, published: int | None) -> list[StampedRow]:
        """In one transaction take out what is published (None: nothing new) and stamp the next rows; return those."""
        async with self.connection.transaction():
            if published is not None:
                await self._settle(published)
            found = await self.connection.fetch(_STAMP, self.agent, BATCH_ROWS_MAX, BATCH_BYTES_MAX, FOREIGN_TOPICS)
        return _rows(sorted(found, key=lambda row: int(row["position"])))

    async def _settle(self, published: int) -> None:
        await self.connection.execute(
            "DELETE FROM runtime.outbox WHERE agent = $1 AND position <= $2", self.agent, published
        )
        await self.connection.execute(
            "UPDATE runtime.relay SET published_position = $2 WHERE agent = $1 AND published_position < $2",
            self.agent,
            published,
        )


def check_joined(agent: str, published: int, rows: Sequence[StampedRow]) -> None:
    """Check that `rows` follow on `published` without a hole.

    Raises:
        ProgressLost: a row that was stamped is gone; publishing on would hide the loss.
    """
    for expected, row in enumerate(rows, published + 1):
        if row.position != expected:
            raise ProgressLost(f"relay of {agent}: outbox row {expected} is missing, the next one is {row.position}")


def _rows(found: Sequence[asyncpg.Record]) -> list[StampedRow]:
    return [
        StampedRow(
            row["position"],
            row["sequence"],
            row["topic"],
            row["partition"],
            row["key"],
            row["value"],
            decode_headers(row["headers"]),
        )
        for row in found
    ]
