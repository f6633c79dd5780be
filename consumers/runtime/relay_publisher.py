"""One Kafka transaction of the relay: the rows in position order, each to its partition, and the progress with them.

Place     relay_outbox (stamped rows) -> [this] -> the topics and `fakturo.relay.progress`.
Errors    any error leaves the outcome unknown; the caller throws the publisher away, opens a new one (which ends the
          transaction, one way or the other) and reads the progress back.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.record_batches import Batches, append_record, send_batches
from fakturo.consumers.runtime.relay_outbox import StampedRow
from fakturo.consumers.runtime.relay_progress import PARTITION, encode_progress, progress_topic, transactional_id
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.topics import SEQUENCE_HEADER

OPEN_SECONDS_MAX = 20.0
PUBLISH_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 3.0
BATCH_BYTES_MAX = 262_144
TRANSACTION_TIMEOUT_MS = 30_000


class RecordRefused(RuntimeFault):
    """The broker will never take a record as it is; the relay of the agent stops until a person has looked."""


class Publisher:
    """A transactional producer of one agent's relay."""

    def __init__(self, agent: str, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.agent = agent
        self._settings = settings
        self._producer = producer

    @classmethod
    async def open(cls, agent: str, settings: Settings) -> Self:
        """Start the producer: this fences a predecessor and ends its transaction."""
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka,
            transactional_id=transactional_id(settings, agent),
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=10_000,
            retry_backoff_ms=20,
        )
        publisher = cls(agent, settings, producer)
        try:
            await asyncio.wait_for(producer.start(), OPEN_SECONDS_MAX)
        except BaseException:
            await publisher.discard()
            raise
        return publisher

    async def publish(self, rows: Sequence[StampedRow]) -> None:
        """Publish `rows` and the progress in one transaction and commit it.

        Raises:
            RecordRefused: a record is too large for its topic, or its partition is not there; nothing is committed.
            KafkaError, TimeoutError: anything else; the outcome is unknown.
        """
        try:
            await asyncio.wait_for(self._publish(rows), PUBLISH_SECONDS_MAX)
        except AssertionError as error:  # aiokafka's answer to a producer whose sender has died
            raise KafkaError(f"the producer is in no state to publish: {error}") from error

    async def discard(self) -> None:
        """Close the producer without waiting for what it may still want to send."""
        with suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(self._producer.stop(), STOP_SECONDS_MAX)
        task = self._producer._sender.sender_task
        if task is not None and not task.done():
            task.cancel()
        with suppress(KafkaError, TimeoutError, OSError):
            await asyncio.wait_for(self._producer.client.close(), STOP_SECONDS_MAX)

    async def _publish(self, rows: Sequence[StampedRow]) -> None:
        batches = self._batches(rows)
        for topic, partition in batches:
            if partition not in await self._producer.partitions_for(topic):
                raise RecordRefused(
                    f"relay of {self.agent}: {topic} has no partition {partition}: `fakturo topics apply`"
                )
        await self._producer.begin_transaction()
        if failures := await send_batches(self._producer, batches):
            await self._abort()
            raise self._refused(rows, failures) or failures[0]
        await self._producer.commit_transaction()

    def _batches(self, rows: Sequence[StampedRow]) -> Batches:
        """Return the record batches of each partition, in position order."""
        batches: Batches = {}
        prefix = self._settings.topic_prefix
        for row in rows:
            headers = list(row.headers)
            if row.sequence is not None:
                headers.append((SEQUENCE_HEADER, str(row.sequence).encode()))
            place = (prefix + row.topic, row.partition)
            append_record(self._producer, batches, place, key=row.key, value=row.value, headers=headers)
        key = transactional_id(self._settings, self.agent).encode()
        progress = encode_progress(rows[-1].position)
        place = (progress_topic(self._settings), PARTITION)
        append_record(self._producer, batches, place, key=key, value=progress, headers=())
        return batches

    async def _abort(self) -> None:
        """End the transaction at once where possible, so that readers of other records do not wait for its timeout."""
        with suppress(KafkaError, TimeoutError, AssertionError):
            await asyncio.wait_for(self._producer.abort_transaction(), STOP_SECONDS_MAX)

    def _refused(self, rows: Sequence[StampedRow], failures: Sequence[BaseException]) -> RecordRefused | None:
        if not any(isinstance(failure, MessageSizeTooLargeError) for failure in failures):
            return None
        largest = max(rows, key=lambda row: len(row.value or b""))
        return RecordRefused(
            f"relay of {self.agent}: the broker refuses a record as too large; the largest of the transaction is "
            f"position {largest.position} for {largest.topic}-{largest.partition} with {len(largest.value or b'')} "
            "bytes: raise the topic's max.message.bytes (`fakturo topics apply` sets it)"
        )
