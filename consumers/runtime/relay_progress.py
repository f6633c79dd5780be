"""How far a relay has published, read back from Kafka, where it was written in the same transaction as the records.

Place     relay start, and after every producer that was thrown away -> [this] -> resume or stop.
Topic     `fakturo.relay.progress`, partition 0, compacted; key the transactional id, value `{"position": n}`.
Trap      another relay's open transaction holds back the last stable offset, and a `read_committed` reader stops
          there although our own record beyond it is committed. So the end is fetched as the high watermark
          (`read_uncommitted`) after our producer's `init_transactions`, and we read until we have passed it.
"""

import asyncio
import time

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from fakturo.consumers.runtime.errors import ProgressLost
from fakturo.consumers.runtime.relay_outbox import RelayPosition
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.codec import encode
from fakturo.schemas.topics import RELAY_PROGRESS

PARTITION = 0
TAIL_RECORDS = 2_000
READ_SECONDS_MAX = 90.0


class Progress(msgspec.Struct, frozen=True):
    """The value of a progress record: everything up to this position is in Kafka."""

    position: int


def transactional_id(settings: Settings, agent: str) -> str:
    """Return the one transactional id of the agent's relay; it fences a predecessor that is still about."""
    return f"{settings.topic_prefix}fakturo-relay-{agent}"


def progress_topic(settings: Settings) -> str:
    """Return the physical name of the progress topic."""
    return settings.topic_prefix + RELAY_PROGRESS.name


def encode_progress(position: int) -> bytes:
    """Return the value of a progress record."""
    return encode(Progress(position))


async def read_progress(settings: Settings, agent: str) -> int | None:
    """Return the last committed position of the agent's relay, None where it has no record.

    To be called after the relay's producer has started, that is, when its predecessor's transaction has ended.
    """
    partition = TopicPartition(progress_topic(settings), PARTITION)
    key = transactional_id(settings, agent).encode()
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


def check_progress(agent: str, progress: int | None, known: RelayPosition) -> int:
    """Return the position to resume after.

    Raises:
        ProgressLost: Kafka and Postgres do not belong together any more; publishing would lose or double events.
    """
    if progress is None:
        if known.published > 0:
            raise ProgressLost(
                f"relay of {agent}: the topic {RELAY_PROGRESS.name} has no record of it, but {known.published} events "
                "were published; is this another Kafka, or was the topic deleted?"
            )
        return 0
    if progress < known.published:
        raise ProgressLost(
            f"relay of {agent}: {RELAY_PROGRESS.name} says {progress}, Postgres knows of {known.published} published; "
            "Kafka has lost records or is an older copy"
        )
    if progress > known.stamped:
        raise ProgressLost(
            f"relay of {agent}: {RELAY_PROGRESS.name} says {progress}, Postgres has given out {known.stamped} only; "
            "this database is an older copy or a new one: give it another topic prefix, or restore it"
        )
    return progress


async def _high_watermark(settings: Settings, partition: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await consumer.stop()


async def _last_of(
    consumer: AIOKafkaConsumer, partition: TopicPartition, key: bytes, start: int, end: int
) -> int | None:
    last: int | None = None
    consumer.seek(partition, start)
    deadline = time.monotonic() + READ_SECONDS_MAX
    while await consumer.position(partition) < end:
        if time.monotonic() > deadline:
            raise KafkaTimeoutError(f"an open transaction has held up {partition} for {READ_SECONDS_MAX:.0f} s")
        fetched = await consumer.getmany(partition, timeout_ms=100)
        for record in fetched.get(partition, ()):
            if record.key == key and record.offset < end:
                last = msgspec.json.decode(record.value, type=Progress).position
        await asyncio.sleep(0)
    return last
