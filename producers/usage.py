"""`UsageClient`: what upstream systems import to publish usage; it needs aiokafka and the schemas, nothing else.

Place     your program -> [this] -> `billing.usage` -> usage agent.
Promise   `send` returns when the event is accepted for delivery; `flush`, and leaving the `async with`, return when the
          broker has every event on all its replicas, or raise DeliveryError naming those it may not have. Send those
          again: (source, id) makes an event count once.
Pressure  at most `in_flight_max` events wait for the broker; `send` waits for room.

    from datetime import UTC, datetime
    from decimal import Decimal

    from fakturo.producers.usage import UsageClient

    async def main() -> None:
        async with UsageClient("localhost:9092", source="crm/eu") as usage:
            now = datetime.now(UTC)
            await usage.send(account="ACME-1", type="api.request", id="r-7f3a", time=now, data={"mb": Decimal("1.25")})
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.producers.usage_event import UsageEvent, correction, encode_usage
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import USAGE

CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
IN_FLIGHT_MAX = 10_000
LINGER_MS = 20
DELIVERY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 3.0
METADATA_SECONDS_MAX = 10.0
REQUEST_TIMEOUT_MS = 40_000
"""Also how long an event waits while its partition has no leader: long enough for an election."""

Identity = tuple[str, str]

log = logging.getLogger(__name__)


class DeliveryError(Exception):
    """Events that the broker refused, or did not acknowledge in time (they may have arrived all the same).

    `failures` is each event's (source, id) with what went wrong. Sending them again is safe.
    """

    def __init__(self, failures: Mapping[Identity, str]) -> None:
        self.failures = dict(failures)
        self.ids = [identity[1] for identity in self.failures]
        shown = "; ".join(f"{id_} of {source}: {text}" for (source, id_), text in list(self.failures.items())[:5])
        rest = f"; and {len(self.failures) - 5} more" if len(self.failures) > 5 else ""
        super().__init__(f"{len(self.failures)} events may not have been delivered: {shown}{rest}")


class UsageClient:
    """Publishes usage events to one topic; an async context manager, used from one event loop.

    `bootstrap` defaults to FAKTURO_KAFKA, `source` to what each `send` names. Security comes from the environment
    (`producers/publisher.py`). `delivery_seconds_max` bounds how long `send`, `flush` and the exit wait for the broker.
    """

    def __init__(
        self,
        bootstrap: str | None = None,
        *,
        source: str = "",
        topic: str = USAGE.name,
        in_flight_max: int = IN_FLIGHT_MAX,
        linger_ms: int = LINGER_MS,
        delivery_seconds_max: float = DELIVERY_SECONDS_MAX,
    ) -> None:
        self._bootstrap = bootstrap or os.environ.get("FAKTURO_KAFKA", "")
        if not self._bootstrap:
            raise ValueError("no broker: pass bootstrap='host:port', or set FAKTURO_KAFKA")
        self._source = source
        self._topic = topic
        self._linger_ms = linger_ms
        self._seconds_max = delivery_seconds_max
        self._slots = asyncio.Semaphore(in_flight_max)
        self._pending: dict[asyncio.Future[Any], Identity] = {}
        self._failures: dict[Identity, str] = {}
        self._producer: AIOKafkaProducer | None = None
        self._partition_count = 0

    @property
    def in_flight(self) -> int:
        """Return how many events the broker has not acknowledged yet."""
        return len(self._pending)

    async def __aenter__(self) -> Self:
        """Connect and read how many partitions the topic has.

        Raises:
            KafkaError: no broker answers, or the topic is not there.
        """
        producer = make_producer(self._bootstrap, linger_ms=self._linger_ms)
        try:
            await producer.start()
            self._partition_count = len(await producer.partitions_for(self._topic))
        except UnknownTopicOrPartitionError as error:
            await stop_producer(producer, seconds=STOP_SECONDS_MAX)
            raise UnknownTopicOrPartitionError(
                f"{self._topic} is not there: `fakturo topics apply` makes it"
            ) from error
        except BaseException:
            await stop_producer(producer, seconds=STOP_SECONDS_MAX)
            raise
        self._producer = producer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is acknowledged, also when the block failed; raise DeliveryError for what is not."""
        producer, self._producer = self._producer, None
        assert producer is not None, "left before it was entered"  # noqa: S101 - a programmer's error
        try:
            await self.flush()
        finally:
            await stop_producer(producer, seconds=STOP_SECONDS_MAX)

    async def send(
        self,
        *,
        account: str,
        type: str,  # noqa: A002 - the attribute's own name
        id: str,  # noqa: A002
        time: datetime,
        data: Mapping[str, Any],
        source: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Accept one event for delivery; waits while `in_flight_max` events are on their way.

        Raises:
            SchemaError: the event could not be billed as it is; nothing is sent.
            DeliveryError: no room after `delivery_seconds_max`; this event is not sent.
        """
        await self.send_event(
            UsageEvent(
                account=account,
                type=type,
                id=id,
                time=time,
                data=data,
                source=self._source if source is None else source,
                traceparent=traceparent,
            )
        )

    async def send_event(self, event: UsageEvent) -> None:
        """Accept `event` for delivery, as `send` does."""
        if self._producer is None:
            raise RuntimeError("the client is closed: send inside `async with UsageClient(...)`")
        value = encode_usage(event)
        headers = [CONTENT_TYPE]
        if event.traceparent:
            headers.append(("traceparent", event.traceparent.encode()))
        identity = (event.source, event.id)
        async with self._slot(identity):
            acknowledged = await self._buffered(self._producer, event.account, value, headers)
        self._pending[acknowledged] = identity
        acknowledged.add_done_callback(self._settled)

    async def correct(
        self,
        *,
        account: str,
        id: str,  # noqa: A002 - the attribute's own name
        time: datetime,
        corrects: Identity,
        by: UsageEvent,
        source: str | None = None,
    ) -> None:
        """Replace the event sent as `corrects` (its source, its id) by `by`, which has an id of its own.

        `account` is that of the event that is corrected; `by` may be of another, of another time or type. The original
        may be on its way still. Correct again by naming the original or its replacement: the latest `time` stands.
        Raises as `send`.
        """
        own = self._source if source is None else source
        await self.send_event(correction(account=account, id=id, time=time, source=own, corrects=corrects, by=by))

    async def void(
        self,
        *,
        account: str,
        id: str,  # noqa: A002
        time: datetime,
        corrects: Identity,
        source: str | None = None,
    ) -> None:
        """Have the event sent as `corrects` (its source, its id) count no longer. Otherwise as `correct`."""
        own = self._source if source is None else source
        await self.send_event(correction(account=account, id=id, time=time, source=own, corrects=corrects, by=None))

    async def _buffered(
        self, producer: AIOKafkaProducer, account: str, value: bytes, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        partition = partition_for(account, self._partition_count)
        while True:
            try:
                future: asyncio.Future[Any] = await producer.send(
                    self._topic, value, key=account.encode(), partition=partition, headers=headers
                )
            except KafkaTimeoutError:
                continue  # the partition's buffer is full; how long we wait for it is `_slot`'s to say
            return future

    async def send_many(self, events: Iterable[UsageEvent]) -> int:
        """Send `events` and wait until the broker has them; return their number. Raises as `send` and `flush`."""
        count = 0
        for event in events:
            await self.send_event(event)
            count += 1
        await self.flush()
        return count

    async def flush(self) -> None:
        """Return when everything accepted so far is acknowledged.

        Raises:
            DeliveryError: events that failed since the last flush, or that are not acknowledged in time.
        """
        waiting = list(self._pending)
        if waiting:
            await asyncio.wait(waiting, timeout=self._seconds_max)
            await asyncio.sleep(0)  # lets `_settled` run for what was done before we began to wait
        failures, self._failures = self._failures, {}
        text = f"not acknowledged within {self._seconds_max:g} seconds"
        failures |= {self._pending[future]: text for future in waiting if future in self._pending}
        if failures:
            raise DeliveryError(failures)

    @asynccontextmanager
    async def _slot(self, identity: Identity) -> AsyncIterator[None]:
        """Take a place among the events in flight for a send; give it back where the send does not happen."""
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._slots.acquire()
                try:
                    yield
                except BaseException:
                    self._slots.release()
                    raise
        except TimeoutError as error:
            text = f"no room for it within {self._seconds_max:g} seconds; it was not sent"
            raise DeliveryError({identity: text}) from error

    def _settled(self, acknowledged: asyncio.Future[Any]) -> None:
        identity = self._pending.pop(acknowledged)
        self._slots.release()
        error = None if acknowledged.cancelled() else acknowledged.exception()
        if acknowledged.cancelled() or error is not None:
            text = "cancelled" if error is None else f"{type(error).__name__}: {error}"
            self._failures[identity] = text
            log.error("usage event %s of %s was not delivered: %s", identity[1], identity[0], text)


def send_usage(events: Iterable[UsageEvent], bootstrap: str | None = None, **options: Any) -> int:
    """Send `events` from a program without an event loop and return when the broker has them; return their number.

    `options` are UsageClient's. Raises as `UsageClient.send_many`, and RuntimeError inside a running loop.
    """

    async def run() -> int:
        async with UsageClient(bootstrap, **options) as client:
            return await client.send_many(events)

    return asyncio.run(run())
