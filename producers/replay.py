"""Replay of a recorded history: publishes its lines in order with clock ticks between, and waits for the agents.

Place     `fakturo replay` -> [this] -> the input topics.
Order     lines of one topic in a row are published together; before the topic changes, and at every tick, all agents
          finish what is under way. So two replays of one file see every record in the same order everywhere.
Time      a tick before the first line of each new day (UTC), and one when the topic changes (from one `sf.cdc` topic to
          another there is none: together they make one contract); time never goes back, so a line with an earlier `at`
          is recorded late, as it would have been.
"""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.settlement import settle
from fakturo.producers.clock import tick
from fakturo.producers.replay_lines import EPOCH, ReplayLine
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import INPUT_TOPICS, SF_TOPICS

Headers = Sequence[tuple[str, bytes]]
Acknowledgement = tuple[str, int, Awaitable[RecordMetadata]]

CHANGE_TOPICS = frozenset(topic.name for topic in SF_TOPICS)

INSTANT_STEP = timedelta(milliseconds=1)
"""The least step of a tick: Kafka's timestamps count milliseconds."""


@dataclass(slots=True, kw_only=True)
class Replay:
    """The state of one replay: what was published where, and what time it has reached."""

    settings: Settings
    producer: AIOKafkaProducer
    connection: asyncpg.Connection
    produced: dict[tuple[str, int], int] = field(default_factory=dict)
    ticked_at: datetime | None = None
    reached_at: datetime = EPOCH
    topic: str | None = None
    buffer: list[ReplayLine] = field(default_factory=list)

    async def publish(self, lines: Iterable[ReplayLine]) -> int:
        """Publish `lines` in order; return their number."""
        count = 0
        for line in lines:
            count += 1
            await self._make_way_for(line)
            self.buffer.append(line)
            self.reached_at = max(self.reached_at, line.at)
            if len(self.buffer) >= self.settings.batch_records_max:
                await self._send_buffer()
        await self._finish_segment()
        return count

    async def tick(self, at: datetime) -> None:
        """Let time reach `at` (or just past the last tick) everywhere and wait until all that falls due is done."""
        at = max(at, self.ticked_at + INSTANT_STEP) if self.ticked_at else at
        prefix = self.settings.topic_prefix
        self.produced |= await tick(self.producer, INPUT_TOPICS, at, prefix=prefix, recorded_at=at)
        self.ticked_at = at
        self.reached_at = max(self.reached_at, at)
        await settle(self.connection, self.produced, at)

    async def _make_way_for(self, line: ReplayLine) -> None:
        new_day = line.at.date() > self.reached_at.date()
        if self.topic is not None and line.topic != self.topic:
            await self._finish_segment()
            if not new_day and not (self.topic in CHANGE_TOPICS and line.topic in CHANGE_TOPICS):
                await self.tick(self.reached_at)
        if new_day:
            await self._finish_segment()
            await self.tick(datetime.combine(line.at.date(), time(), UTC))
        self.topic = line.topic

    async def _finish_segment(self) -> None:
        await self._send_buffer()
        await settle(self.connection, self.produced, self.ticked_at)

    async def _send_buffer(self) -> None:
        count = self.settings.partitions
        futures = [
            await self._send(
                line.topic, partition_for(line.key or b"", count), line.key, line.value, line.headers, line.at
            )
            for line in self.buffer
        ]
        self.buffer.clear()
        await self._acknowledged(futures)

    async def _send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        at: datetime,
    ) -> Acknowledgement:
        future = await self.producer.send(
            self.settings.topic_prefix + topic,
            value=value,
            key=key,
            partition=partition,
            headers=list(headers),
            timestamp_ms=int((at - EPOCH) / INSTANT_STEP),
        )
        return topic, partition, future

    async def _acknowledged(self, sent: Sequence[Acknowledgement]) -> None:
        for topic, partition, future in sent:
            metadata = await future
            self.produced[topic, partition] = metadata.offset + 1
