"""Looks at a topic from outside: where its partitions end, and what committed records lie in between.

Place     salesforce_*.py -> [this] -> the broker.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from fakturo.consumers.runtime.fetch_pacing import pace_fetches
from fakturo.consumers.runtime.settings import Settings

Ends = dict[TopicPartition, int]
FETCH_BYTES_MAX = 4 * 1_048_576
FETCH_MS = 500


class TopicReader:
    """A consumer of one topic that belongs to no group."""

    def __init__(self, consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._places = places

    async def ends(self) -> Ends:
        """Return where the partitions end now; marks of transactions count too."""
        return dict(await self._consumer.end_offsets(self._places))

    async def follow(self, starts: Ends) -> None:
        """Read on from `starts`."""
        for place, offset in starts.items():
            self._consumer.seek(place, offset)

    async def next(self) -> list[ConsumerRecord]:
        """Return the committed records that came, none after half a second of silence."""
        fetched = await self._consumer.getmany(*self._places, timeout_ms=FETCH_MS)
        return [record for records in fetched.values() for record in records]

    async def read_until(
        self, count: int, starts: Ends, seconds_max: float, *, is_wanted: Callable[[ConsumerRecord], bool] = bool
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the records after `starts` until `count` have come that are wanted (all, if nothing is said).

        Raises:
            TimeoutError: fewer came.
        """
        await self.follow(starts)
        seen, deadline = 0, time.monotonic() + seconds_max
        while seen < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._places[0].topic}: {seen} of {count} records in {seconds_max:.0f} s")
            records = [record for record in await self.next() if is_wanted(record)]
            seen += len(records)
            yield records


@asynccontextmanager
async def reading(settings: Settings, topic: str) -> AsyncIterator[TopicReader]:
    """Give a reader of the topic called `topic` in the map."""
    consumer = pace_fetches(
        AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
        )
    )
    await consumer.start()
    try:
        places = [TopicPartition(settings.topic_prefix + topic, number) for number in range(settings.partitions)]
        consumer.assign(places)
        yield TopicReader(consumer, places)
    finally:
        await consumer.stop()


def grown(starts: Ends, ends: Ends) -> int:
    """Return by how many records, marks of transactions with them, the topic has grown."""
    return sum(end - starts[place] for place, end in ends.items())
