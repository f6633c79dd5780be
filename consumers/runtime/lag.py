"""How far each agent stands behind: in records and in seconds, a partition at a time.

Place     runtime.cursor (Postgres) and the partitions' ends (Kafka) -> [this] -> `fakturo status`, `/metrics`.
Markers   a transaction's marker takes an offset but is no record, and a cursor cannot stand beyond a marker that no
          batch has followed. So a small distance is read, not subtracted: nothing but markers left means no lag.
Seconds   the age of the oldest record that is still to be read, by the database's clock (the broker's append time).
          A great distance is not read (the embedded broker would send all of it): there the age of the last tick that
          was read stands for it, which is at most an interval of the clock too much.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.fetch_pacing import pace_fetches
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_names import broker_name
from fakturo.schemas.topics import TOPICS

Left = tuple[int, datetime | None]
"""How many records are left to be read, and when the first of them was appended."""

PROBE_MS = 50
PROBE_SECONDS_MAX = 2.0
PROBED_OFFSETS_MAX = 64
"""A distance of at most this many offsets is read through to tell records from markers."""

_CURSORS = (
    "SELECT agent, topic, partition, next_offset, now() AS at, "
    "coalesce(watermark_recorded_at, updated_at) AS ticked_at "
    "FROM runtime.cursor ORDER BY 1, 2, 3"
)


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
    pace_fetches(consumer)
    await consumer.start()
    return consumer


async def measure_lag(settings: Settings, connection: asyncpg.Connection, prober: AIOKafkaConsumer) -> list[Lag]:
    """Return the lag of every cursor; ends are last stable offsets, since agents read only what is committed."""
    cursors = await _on_the_broker(await connection.fetch(_CURSORS), prober)
    prefix = settings.topic_prefix
    partitions = {_partition(row, prefix) for row in cursors}
    if not partitions:
        return []
    ends: Mapping[TopicPartition, int] = await prober.end_offsets(partitions)
    left: dict[tuple[TopicPartition, int], Left] = {}
    near: set[tuple[TopicPartition, int]] = set()
    for row in cursors:
        place = (_partition(row, prefix), row["next_offset"])
        distance = ends[place[0]] - place[1]
        if distance > PROBED_OFFSETS_MAX:
            left[place] = (distance, row["ticked_at"])
        elif distance > 0:
            near.add(place)
    left |= await _read_ahead(prober, near, ends)
    prober.unsubscribe()  # or it would go on fetching what nobody takes
    return [_lag(row, _partition(row, prefix), ends, left) for row in cursors]


async def _on_the_broker(cursors: list[asyncpg.Record], prober: AIOKafkaConsumer) -> list[asyncpg.Record]:
    """Leave out other people's topics that are no more: their owners may delete them, the cursors stay."""
    if all(row["topic"] in TOPICS for row in cursors):
        return cursors
    there = await prober.topics()
    return [row for row in cursors if row["topic"] in TOPICS or row["topic"] in there]


def _partition(row: asyncpg.Record, prefix: str) -> TopicPartition:
    return TopicPartition(broker_name(row["topic"], prefix), row["partition"])


def _lag(
    row: asyncpg.Record,
    partition: TopicPartition,
    ends: Mapping[TopicPartition, int],
    left: Mapping[tuple[TopicPartition, int], Left],
) -> Lag:
    records, oldest_at = left.get((partition, row["next_offset"]), (0, None))
    return Lag(
        agent=row["agent"],
        topic=row["topic"],
        partition=row["partition"],
        next_offset=row["next_offset"],
        end_offset=ends[partition],
        records=records,
        seconds=max((row["at"] - oldest_at).total_seconds(), 0.0) if oldest_at else 0.0,
    )


async def _read_ahead(
    prober: AIOKafkaConsumer, places: set[tuple[TopicPartition, int]], ends: Mapping[TopicPartition, int]
) -> dict[tuple[TopicPartition, int], Left]:
    """Return what lies between each place and its partition's end; all partitions at once, a place of each a round."""
    left: dict[tuple[TopicPartition, int], Left] = {}
    while waiting := places - left.keys():
        starts = dict(sorted(waiting, reverse=True))
        found = await _probe(prober, starts, ends)
        left |= {(partition, start): found[partition] for partition, start in starts.items()}
    return left


async def _probe(
    prober: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Left]:
    prober.assign(list(starts))
    for partition, start in starts.items():
        prober.seek(partition, start)
    counts = dict.fromkeys(starts, 0)
    first_at: dict[TopicPartition, datetime] = {}
    unread = set(starts)
    deadline = time.monotonic() + PROBE_SECONDS_MAX
    while unread and time.monotonic() < deadline:
        for partition, records in (await prober.getmany(*unread, timeout_ms=PROBE_MS)).items():
            for record in records:
                counts[partition] += record.offset < ends[partition]
                first_at.setdefault(partition, datetime.fromtimestamp(record.timestamp / 1000, UTC))
        unread -= {partition for partition in unread if await prober.position(partition) >= ends[partition]}
    done = {p: counts[p] for p in starts if p not in unread}
    return {
        p: (done.get(p, ends[p] - start), first_at.get(p) if done.get(p, 1) else None) for p, start in starts.items()
    }


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
