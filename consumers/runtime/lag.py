"""How far each agent stands behind: in records and in seconds, a partition at a time.

Place     runtime.cursor (Postgres) and the partitions' ends (Kafka) -> [this] -> `fakturo status`, `/metrics`.
Markers   a transaction's marker takes an offset but is no record, and a cursor cannot stand beyond a marker that no
          batch has followed. So a small distance is read, not subtracted: nothing but markers left means no lag.
Seconds   the age of the oldest record that is still to be read, by the database's clock (the broker's append time).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.settings import Settings

PROBE_MS = 250
PROBED_OFFSETS_MAX = 64
"""A distance of at most this many offsets is read through to tell records from markers."""

_CURSORS = "SELECT agent, topic, partition, next_offset, now() AS at FROM runtime.cursor ORDER BY 1, 2, 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """The lag of one agent in one partition; `seconds` is 0.0 where nothing is left to read."""

    agent: str
    topic: str
    partition: int
    next_offset: int
    end_offset: int
    records: int
    seconds: float


async def open_prober(settings: Settings) -> AIOKafkaConsumer:
    """Return a started consumer without a group, for `measure_lag`; the caller stops it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=65_536,
    )
    await consumer.start()
    return consumer


async def measure_lag(settings: Settings, connection: asyncpg.Connection, prober: AIOKafkaConsumer) -> list[Lag]:
    """Return the lag of every cursor; ends are last stable offsets, since agents read only what is committed."""
    cursors = await connection.fetch(_CURSORS)
    prefix = settings.topic_prefix
    partitions = {TopicPartition(prefix + row["topic"], row["partition"]) for row in cursors}
    if not partitions:
        return []
    ends: Mapping[TopicPartition, int] = await prober.end_offsets(partitions)
    lags = []
    for row in cursors:
        partition = TopicPartition(prefix + row["topic"], row["partition"])
        records, oldest_at = await _left(prober, partition, row["next_offset"], ends[partition])
        lags.append(
            Lag(
                agent=row["agent"],
                topic=row["topic"],
                partition=row["partition"],
                next_offset=row["next_offset"],
                end_offset=ends[partition],
                records=records,
                seconds=max((row["at"] - oldest_at).total_seconds(), 0.0) if oldest_at else 0.0,
            )
        )
    return lags


async def _left(
    prober: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> tuple[int, datetime | None]:
    """Return how many records lie in [start, end) and when the first was appended."""
    if end <= start:
        return 0, None
    prober.assign([partition])
    prober.seek(partition, start)
    count, first_at = 0, None
    for _ in range(4):
        for record in (await prober.getmany(partition, timeout_ms=PROBE_MS)).get(partition, ()):
            if record.offset < end:
                first_at = first_at or datetime.fromtimestamp(record.timestamp / 1000, UTC)
                count += 1
        if end - start > PROBED_OFFSETS_MAX and first_at:
            return end - start, first_at
        if await prober.position(partition) >= end:
            return count, first_at
    return end - start, first_at


async def lag_once(settings: Settings, connection: asyncpg.Connection, seconds_max: float = 15.0) -> list[Lag]:
    """Return the lag of every cursor with a consumer opened for the occasion; for the command line.

    Raises:
        KafkaError, TimeoutError: the broker does not answer.
    """
    prober = await asyncio.wait_for(open_prober(settings), seconds_max)
    try:
        return await asyncio.wait_for(measure_lag(settings, connection, prober), seconds_max)
    finally:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(prober.stop(), seconds_max)
