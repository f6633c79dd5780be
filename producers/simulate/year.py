"""The driver of the flights year: contracts, usage and the clock in time order, payments by whoever reads invoices.

Place     `fakturo demo`, the storm and the tests -> [this] -> `sf.cdc.*`, `billing.usage`, `billing.payments`; what the
          storm asks for on `billing.requests` too.
Time      one tick a day (UTC midnight), before the first event of that day. Every input topic is ticked here in time
          order, but for `billing.payments`: only by `pay_invoices`, after the invoices topic has reached that day.
Records   carry their event time as timestamp, so `recorded_at` is the same in every run.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from fakturo.consumers.runtime.fetch_pacing import pace_fetches
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.clock import tick
from fakturo.producers.publisher import make_producer
from fakturo.producers.simulate.flights import UsageRecord, usage_records
from fakturo.producers.simulate.flights_contracts import change_lines
from fakturo.producers.simulate.payments import payments_of
from fakturo.schemas.codec import decode_data, decode_envelope, encode
from fakturo.schemas.envelope import Event
from fakturo.schemas.events.invoices import INVOICE_FINALIZED
from fakturo.schemas.events.payments import Payment
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import CLOCK_ADVANCED, INPUT_TOPICS, INVOICES, MEGABYTE, PAYMENTS, REQUESTS, USAGE, Topic

YEAR_STARTS_AT = datetime(2013, 1, 1, tzinfo=UTC)
YEAR_ENDS_AT = datetime(2014, 4, 15, tzinfo=UTC)
"""The last tick: the last payment (YV's rest of December, 24 February) is in, and a month has passed since."""

DAY = timedelta(days=1)
DAY_MS = 86_400_000
TICKED_TOPICS = tuple(topic for topic in INPUT_TOPICS if topic is not PAYMENTS)
BATCH_BYTES = MEGABYTE
CONTENT_TYPE = ("content-type", b"application/cloudevents+json")
Progress = Callable[[int], None]
"""Called with the number of events published so far."""


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Open an idempotent producer (acks from all in-sync replicas) for the driver."""
    producer = make_producer(settings.kafka, request_timeout_ms=60_000, batch_bytes_max=BATCH_BYTES)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish_contracts(producer: AIOKafkaProducer, settings: Settings) -> int:
    """Publish the airlines' contracts as Salesforce change records, then the year's first tick; return their number."""
    sent = [
        await producer.send(
            settings.topic_prefix + line.topic.name,
            line.value,
            key=line.record_id.encode(),
            partition=partition_for(line.record_id, settings.partitions),
            timestamp_ms=int(line.at.timestamp()) * 1000,
        )
        for line in change_lines()
    ]
    await asyncio.gather(*sent)
    await begin_year(producer, settings)
    return len(sent)


async def begin_year(producer: AIOKafkaProducer, settings: Settings) -> None:
    """Publish the year's first tick: contracts that were entered before it are known when the first flight leaves."""
    await _tick(producer, settings, YEAR_STARTS_AT)


async def publish_usage(
    producer: AIOKafkaProducer,
    settings: Settings,
    *,
    flights: Iterable[UsageRecord] | None = None,
    until: datetime = YEAR_ENDS_AT,
    on_progress: Progress | None = None,
    requests: Sequence[Event[Any]] = (),
    said_later: Sequence[UsageRecord] = (),
) -> int:
    """Publish `flights` (default all of the year), which come by time, and a tick for every day up to `until`.

    `requests` go to `billing.requests`, and what is `said_later` to `billing.usage`: each between the ticks of its own
    day and the next, whenever what it tells took place; none is of the first day.
    Returns the number of flights, when the last of them is acknowledged by the broker.
    """
    count, ticked_at = 0, YEAR_STARTS_AT
    for day_at, records in _by_day(usage_records() if flights is None else flights):
        for at in midnights(ticked_at, day_at):
            await _begin_day(producer, settings, at, requests, said_later)
        ticked_at = max(ticked_at, day_at)
        count += await _publish_day(producer, settings, records)
        if on_progress is not None:
            on_progress(count)
    for at in midnights(ticked_at, until):
        await _begin_day(producer, settings, at, requests, said_later)
    return count


async def pay_invoices(
    producer: AIOKafkaProducer,
    settings: Settings,
    *,
    until: datetime = YEAR_ENDS_AT,
    on_progress: Progress | None = None,
) -> int:
    """Read `billing.invoices` (committed only) and pay as the airlines do, until time there has reached `until`.

    A payment is published when the invoices topic's watermark has reached the day after it, then that day's tick: so
    payments of a day come before its tick whatever the agents' speed. Returns the number of payments.
    """
    desk = PaymentDesk(dict.fromkeys(range(settings.partitions), YEAR_STARTS_AT - DAY))
    ticked_at, count = YEAR_STARTS_AT - DAY, 0
    async with _invoice_reader(settings) as consumer:
        while ticked_at < until:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    desk.take(record)
            for at in midnights(ticked_at, min(desk.watermark_at, until)):
                count += await _pay(producer, settings, desk.due(at))
                await tick(producer, (PAYMENTS,), at, prefix=settings.topic_prefix, recorded_at=at)
                ticked_at = at
                if on_progress is not None:
                    on_progress(count)
    return count


@dataclass(slots=True)
class PaymentDesk:
    """What the airlines have still to pay, by the day they will; `reached_at` is each partition's watermark."""

    reached_at: dict[int, datetime]
    waiting: list[tuple[datetime, str, Event[Payment]]] = field(default_factory=list)

    @property
    def watermark_at(self) -> datetime:
        """Return what time has reached in every partition of the invoices topic."""
        return min(self.reached_at.values())

    def take(self, record: ConsumerRecord) -> None:
        """Note the payments of a finalized invoice, or that time went on in the record's partition."""
        event = decode_envelope(record.value, record.headers)
        if event.type == CLOCK_ADVANCED:
            at = decode_data(event).at
            self.reached_at[record.partition] = max(self.reached_at[record.partition], at)
        elif event.type == INVOICE_FINALIZED:
            for payment in payments_of(decode_data(event)):
                heapq.heappush(self.waiting, (payment.time, payment.id, payment))

    def due(self, at: datetime) -> Iterator[Event[Payment]]:
        """Yield the payments that arrive up to `at`, by time and id."""
        while self.waiting and self.waiting[0][0] <= at:
            yield heapq.heappop(self.waiting)[2]


def midnights(after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the UTC midnights after `after`, up to and including `until`."""
    at = after.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    while at <= until:
        yield at
        at += DAY


def _by_day(records: Iterable[UsageRecord]) -> Iterator[tuple[datetime, list[UsageRecord]]]:
    """Yield (midnight, records) of each UTC day that has any."""
    for day, found in groupby(records, key=lambda record: record.time_ms // DAY_MS):
        yield datetime.fromtimestamp(day * DAY_MS // 1000, UTC), list(found)


async def _publish_day(producer: AIOKafkaProducer, settings: Settings, records: Iterable[UsageRecord]) -> int:
    """Publish `records` in their order, one batch a partition at a time, and wait for the broker."""
    by_partition: dict[int, list[UsageRecord]] = {}
    for record in records:
        by_partition.setdefault(_partition(record.account, settings.partitions), []).append(record)
    await asyncio.gather(
        *(_publish_partition(producer, settings, number, found) for number, found in by_partition.items())
    )
    return sum(len(found) for found in by_partition.values())


async def _publish_partition(
    producer: AIOKafkaProducer, settings: Settings, partition: int, records: Iterable[UsageRecord]
) -> None:
    topic = settings.topic_prefix + USAGE.name
    batch, sent = producer.create_batch(), []
    for record in records:
        key = record.account.encode()
        if batch.append(key=key, value=record.value, timestamp=record.time_ms) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=record.value, timestamp=record.time_ms)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)


@lru_cache(maxsize=1024)
def _partition(account: str, count: int) -> int:
    return partition_for(account, count)


async def _tick(producer: AIOKafkaProducer, settings: Settings, at: datetime) -> None:
    await tick(producer, TICKED_TOPICS, at, prefix=settings.topic_prefix, recorded_at=at)


async def _begin_day(
    producer: AIOKafkaProducer,
    settings: Settings,
    at: datetime,
    requests: Sequence[Event[Any]],
    said_later: Sequence[UsageRecord],
) -> None:
    await _tick(producer, settings, at)
    await _send(producer, settings, REQUESTS, [request for request in requests if at <= request.time < at + DAY])
    await _publish_day(producer, settings, [record for record in said_later if at <= record.at < at + DAY])


async def _pay(producer: AIOKafkaProducer, settings: Settings, payments: Iterable[Event[Payment]]) -> int:
    return await _send(producer, settings, PAYMENTS, payments)


async def _send(producer: AIOKafkaProducer, settings: Settings, topic: Topic, events: Iterable[Event[Any]]) -> int:
    """Publish events of accounts, each with its own time as timestamp; return their number."""
    sent = [
        await producer.send(
            settings.topic_prefix + topic.name,
            encode(event),
            key=event.data.account.encode(),
            partition=_partition(event.data.account, settings.partitions),
            timestamp_ms=int(event.time.timestamp()) * 1000,
            headers=[CONTENT_TYPE],
        )
        for event in events
    ]
    await asyncio.gather(*sent)
    return len(sent)


@asynccontextmanager
async def _invoice_reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=8 * MEGABYTE,
        max_partition_fetch_bytes=4 * MEGABYTE,
    )
    pace_fetches(consumer)
    await consumer.start()
    try:
        name = settings.topic_prefix + INVOICES.name
        consumer.assign([TopicPartition(name, partition) for partition in range(settings.partitions)])
        await consumer.seek_to_beginning()
        yield consumer
    finally:
        await consumer.stop()
