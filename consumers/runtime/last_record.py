"""The newest committed record of a key in a small, compacted topic: how a writer of transactions finds its place again.

Place     relay_progress and the bridge's publisher -> [this] -> one partition, read from its tail.
Trap      another writer's open transaction holds back the last stable offset, and a `read_committed` reader stops
          there although our own record beyond it is committed. So the end is fetched as the high watermark
          (`read_uncommitted`) after our producer's `init_transactions`, and we read until we have passed it.
"""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from fakturo.consumers.runtime.settings import Settings

TAIL_RECORDS = 2_000
READ_SECONDS_MAX = 90.0


async def read_last_record(settings: Settings, partition: TopicPartition, key: bytes) -> ConsumerRecord | None:
    """Return the last committed record of `key` in `partition`, None where there is none.

    To be called after the writer's producer has started, that is, when its predecessor's transaction has ended.

    Raises:
        KafkaTimeoutError: somebody's open transaction has held up the partition for 90 seconds.
    """
    end = await _high_watermark(settings, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([partition])
        beginning = (await consumer.beginning_offsets([partition]))[partition]
        tail = TAIL_RECORDS
        while True:
            start = max(beginning, end - tail)
            found = await _last_of(consumer, partition, key, start, end)
            if found is not None or start <= beginning:
                return found
            tail *= 16
    finally:
        await consumer.stop()


async def _high_watermark(settings: Settings, partition: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await consumer.stop()


async def _last_of(
    consumer: AIOKafkaConsumer, partition: TopicPartition, key: bytes, start: int, end: int
) -> ConsumerRecord | None:
    last: ConsumerRecord | None = None
    consumer.seek(partition, start)
    deadline = time.monotonic() + READ_SECONDS_MAX
    while await consumer.position(partition) < end:
        if time.monotonic() > deadline:
            held = f"{partition.topic}/{partition.partition} for {READ_SECONDS_MAX:.0f} s"
            raise KafkaTimeoutError(
                f"an open transaction has held up {held}: see docs/runbooks/hanging-transactions.md"
            )
        fetched = await consumer.getmany(partition, timeout_ms=100)
        for record in fetched.get(partition, ()):
            if record.key == key and record.offset < end:
                last = record
        await asyncio.sleep(0)
    return last
