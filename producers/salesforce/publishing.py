"""A transactional producer whose position lies in Kafka beside what it published: both are there, or neither is.

Place     the bridge's stream, snapshot, resync and reconciliation, each with a publisher of its own -> [this] ->
          `sf.cdc.*`, `sf.resync` and, in the same transaction, `sf.progress`.
Crash     before the commit: a reader of committed records sees nothing, the position is the old one. After it: the
          position says so. The next `open` fences this producer, ends its transaction, and reads the position.
Errors    what goes away by itself (broker, network) is retried in place: a new producer ends the transaction whose
          outcome is unknown, the mark read back tells which way, and it is published again where it was aborted.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.last_record import read_last_record
from fakturo.consumers.runtime.record_batches import Batches, append_record, send_batches
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.schemas.topics import SF_PROGRESS

PARTITION = 0
MARK_HEADER = "fakturo-mark"
"""Of a position record: which publisher wrote it and at which try, `<uuid>/<number>`."""
START_SECONDS_MAX = 20.0
PUBLISH_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 3.0
ABORT_SECONDS_MAX = 2.0
BACKOFF_SECONDS = (0.1, 5.0)
WORLD = (OSError, TimeoutError, KafkaError)

OnWaiting = Callable[[str], None]


class Fenced(RuntimeFault):
    """Another publisher of the same transactional id has taken over; this one must not be used any more."""


class RecordRefused(RuntimeFault):
    """The broker will never take a record as it is: too large, or no such partition. Nothing was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to publish; `topic` is its name in the map, without prefix. `timestamp_ms` counts from 1970."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: tuple[tuple[str, bytes], ...] = ()


def _nothing(reason: str) -> None:
    """Say nothing of a wait."""


class PositionedPublisher:
    """Publishes records and the position after them in one Kafka transaction; one at a time has a transactional id."""

    def __init__(self, settings: Settings, transactional_id: str, *, on_waiting: OnWaiting = _nothing) -> None:
        self.transactional_id = settings.topic_prefix + transactional_id
        self._settings = settings
        self._on_waiting = on_waiting
        self._writer = uuid.uuid4().hex
        self._tries = 0
        self._known_mark: bytes | None = None
        self._producer: AIOKafkaProducer | None = None
        self._is_fresh = False

    async def fence(self) -> None:
        """Fence a predecessor and end its transaction, without reading; `open` goes on from here.

        Where several publishers share the topic of their positions, all fence before one reads: an open transaction of
        any of them holds back every reader of committed records.

        Raises:
            KafkaError, OSError, TimeoutError: the broker can't be reached; call again.
        """
        await self.close()
        producer = make_producer(self._settings.kafka, transactional_id=self.transactional_id)
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await producer.start()
        except BaseException:
            await stop_producer(producer, seconds=STOP_SECONDS_MAX)
            raise
        self._producer, self._is_fresh = producer, True

    async def open(self) -> bytes | None:
        """Start: fence a predecessor, end its transaction; return the position it left, None where none was written.

        Raises:
            KafkaError, OSError, TimeoutError: the broker can't be reached; call again.
        """
        last = await self._start()
        self._known_mark = _mark_of(last)
        return None if last is None else bytes(last.value)

    async def publish(self, records: Sequence[Outgoing], position: bytes) -> None:
        """Publish `records` and `position` in one transaction; return once it is committed.

        Raises:
            Fenced: another publisher has taken over; whether this transaction was committed, its `open` tells.
            RecordRefused: a record is too large, or its partition is not there; nothing is committed.
        """
        self._tries += 1
        mark = f"{self._writer}/{self._tries}".encode()
        pause, pause_max = BACKOFF_SECONDS
        while True:
            try:
                if self._producer is None and await self._was_committed(mark):
                    return
                await self._transact(records, position, mark)
            except WORLD as error:
                self._on_waiting(f"{type(error).__name__}: {error}")
                await asyncio.sleep(pause)
                pause = min(pause * 2, pause_max)
            else:
                self._known_mark = mark
                return

    async def close(self) -> None:
        """Stop the producer; a transaction that is open is aborted by the next one's start."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer, seconds=STOP_SECONDS_MAX)

    async def _start(self) -> ConsumerRecord | None:
        if self._producer is None or not self._is_fresh:
            await self.fence()
        place = TopicPartition(self._settings.topic_prefix + SF_PROGRESS.name, PARTITION)
        try:
            last = await read_last_record(self._settings, place, self.transactional_id.encode())
        except BaseException:
            await self.close()
            raise
        self._is_fresh = False
        return last

    async def _was_committed(self, mark: bytes) -> bool:
        """Start again after an unknown outcome; return whether the transaction of `mark` was committed after all."""
        found = _mark_of(await self._start())
        is_ours = found is not None and found.startswith(self._writer.encode())
        if found != self._known_mark and not is_ours:
            await self.close()
            raise Fenced(f"{self.transactional_id}: another publisher has written since")
        self._known_mark = found
        return found == mark

    async def _transact(self, records: Sequence[Outgoing], position: bytes, mark: bytes) -> None:
        producer = self._producer
        if producer is None:
            raise Fenced(f"{self.transactional_id}: publish before open")
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._commit(producer, records, position, mark)
        except ProducerFenced as error:
            await self.close()
            raise Fenced(f"{self.transactional_id}: fenced by another publisher") from error
        except AssertionError as error:  # aiokafka's answer to a producer whose sender has died
            await self.close()
            raise KafkaError(f"the producer is in no state to publish: {error}") from error
        except BaseException:
            await self._abandon(producer)
            raise

    async def _abandon(self, producer: AIOKafkaProducer) -> None:
        """End a transaction whose outcome is unknown at once where that is possible: it holds back other readers."""
        with suppress(KafkaError, OSError, TimeoutError, AssertionError):
            async with asyncio.timeout(ABORT_SECONDS_MAX):
                await producer.abort_transaction()
        await self.close()

    async def _commit(
        self, producer: AIOKafkaProducer, records: Sequence[Outgoing], position: bytes, mark: bytes
    ) -> None:
        batches = self._batches(producer, records, position, mark)
        for topic, partition in batches:
            if partition not in await producer.partitions_for(topic):
                raise RecordRefused(f"{topic} has no partition {partition}: `fakturo topics apply`")
        await producer.begin_transaction()
        failures = await send_batches(producer, batches)
        if any(isinstance(failure, MessageSizeTooLargeError) for failure in failures):
            await producer.abort_transaction()
            raise RecordRefused(_too_large(records))
        if failures:
            raise next((one for one in failures if isinstance(one, ProducerFenced)), failures[0])
        await producer.commit_transaction()

    def _batches(
        self, producer: AIOKafkaProducer, records: Sequence[Outgoing], position: bytes, mark: bytes
    ) -> Batches:
        batches: Batches = {}
        prefix = self._settings.topic_prefix
        for one in records:
            append_record(
                producer,
                batches,
                (prefix + one.topic, one.partition),
                key=one.key,
                value=one.value,
                headers=one.headers,
                timestamp_ms=one.timestamp_ms,
            )
        append_record(
            producer,
            batches,
            (prefix + SF_PROGRESS.name, PARTITION),
            key=self.transactional_id.encode(),
            value=position,
            headers=((MARK_HEADER, mark),),
            timestamp_ms=int(time.time() * 1000),
        )
        return batches


def _mark_of(record: ConsumerRecord | None) -> bytes | None:
    return None if record is None else dict(record.headers).get(MARK_HEADER)


def _too_large(records: Sequence[Outgoing]) -> str:
    largest = max(records, key=lambda record: len(record.value))
    return (
        f"the broker refuses a record as too large; the largest of the transaction is of {largest.topic} with "
        f"{len(largest.value)} bytes: raise the topic's max.message.bytes (`fakturo topics apply` sets it)"
    )
