"""The input of a run: contracts, flights, ticks, requests, payments, in portions, by a producer that outlives outages.

Place     producers/simulate/year -> [this] -> the broker. Portions end at an instant of event time, so that the flow
          lasts as long as the strikes.
Outages   what the broker has not acknowledged is sent again, by a new producer if need be: a repeat is legitimate
          input, a loss is not. A day's tick is sent only after all of that day is acknowledged (year.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.simulate.flights import UsageRecord
from fakturo.producers.simulate.year import BATCH_BYTES, Progress, pay_invoices, publish_usage
from fakturo.schemas.envelope import Event

DELIVERY_SECONDS_MAX = 90.0
REST_SECONDS = 0.5
OVERHEAD_BYTES = 64
OPEN = datetime(9999, 1, 1, tzinfo=UTC)


class Gate:
    """Lets event time flow up to an instant."""

    def __init__(self) -> None:
        self._open_until = OPEN
        self._moved = asyncio.Event()

    def open_until(self, at: datetime) -> None:
        """Let everything before `at` pass."""
        self._open_until = at
        self._moved.set()

    async def passes(self, timestamp_ms: int) -> None:
        """Wait until `timestamp_ms` may pass."""
        while datetime.fromtimestamp(timestamp_ms / 1000, UTC) > self._open_until:
            self._moved.clear()
            await self._moved.wait()


class Draft:
    """The records of a batch, kept so that it can be made again for another producer."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._bytes = 0

    def append(self, **record: Any) -> bool | None:
        """Add a record; None where the batch is full."""
        size = len(record["key"]) + len(record["value"]) + OVERHEAD_BYTES
        if self._bytes + size > BATCH_BYTES // 2:
            return None
        self._bytes += size
        self.records.append(record)
        return True


class Channel:
    """What year.py uses of a producer, over as many producers as it takes."""

    def __init__(self, settings: Settings, gate: Gate | None = None) -> None:
        self.repeated = 0
        self._settings = settings
        self._gate = gate or Gate()
        self._current: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Open the first producer."""
        await self._producer()

    async def stop(self) -> None:
        """Close the producer."""
        if self._current is not None:
            await self._discard(self._current)

    async def partitions_for(self, topic: str) -> set[int]:
        """Return the partitions of `topic`: all topics have the same."""
        return set(range(self._settings.partitions))

    async def send(self, topic: str, value: bytes, **where: Any) -> Awaitable[Any]:
        """Send a record when its time may pass; the result is done when the broker has it."""
        await self._gate.passes(where["timestamp_ms"])
        return asyncio.create_task(self._deliver(lambda producer: producer.send(topic, value, **where)))

    def create_batch(self) -> Draft:
        """Begin a batch."""
        return Draft()

    async def send_batch(self, draft: Draft, topic: str, *, partition: int) -> Awaitable[Any]:
        """Send a batch when its first record's time may pass; the result is done when the broker has it."""
        await self._gate.passes(draft.records[0]["timestamp"])

        async def once(producer: AIOKafkaProducer) -> Any:
            batch = producer.create_batch()
            for record in draft.records:
                batch.append(**record)
            return await producer.send_batch(batch, topic, partition=partition)

        return asyncio.create_task(self._deliver(once))

    async def _deliver(self, once: Callable[[AIOKafkaProducer], Awaitable[Any]]) -> Any:
        while True:
            producer = await self._producer()
            try:
                async with asyncio.timeout(DELIVERY_SECONDS_MAX):
                    return await (await once(producer))
            except (KafkaError, TimeoutError):
                self.repeated += 1
                await self._discard(producer)
                await asyncio.sleep(REST_SECONDS)

    async def _producer(self) -> AIOKafkaProducer:
        async with self._lock:
            while self._current is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._settings.kafka,
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=4 * BATCH_BYTES,
                    request_timeout_ms=30_000,
                )
                try:
                    await producer.start()
                except (KafkaError, OSError):
                    with suppress(KafkaError, OSError):
                        await producer.stop()
                    await asyncio.sleep(REST_SECONDS)
                else:
                    self._current = producer
            return self._current

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._current is producer:
            self._current = None
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 5)


async def flow_until(
    channel: Channel,
    settings: Settings,
    *,
    flights: Iterable[UsageRecord],
    until: datetime,
    on_progress: Progress,
    requests: Sequence[Event[Any]],
    said_later: Sequence[UsageRecord],
) -> tuple[int, int]:
    """Publish `flights`, ticks up to `until`, requests and payments; return the numbers of flights and payments."""
    sent, payments = await asyncio.gather(
        publish_usage(
            channel,
            settings,
            flights=flights,
            until=until,
            on_progress=on_progress,
            requests=requests,
            said_later=said_later,
        ),
        _pay(channel, settings, until),
    )
    return sent, payments


async def _pay(channel: Channel, settings: Settings, until: datetime) -> int:
    """Pay as the airlines do; a reader that broke begins anew and repeats payments, which the ledger must bear."""
    while True:
        try:
            return await pay_invoices(channel, settings, until=until)
        except (KafkaError, OSError):
            await asyncio.sleep(REST_SECONDS)
