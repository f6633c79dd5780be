"""The driver of the year on a broker: what lies where, in which order, and who pays after reading what."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.producers.clock import tick
from fakturo.producers.simulate.flights import usage_records
from fakturo.producers.simulate.year import midnights, open_producer, pay_invoices, publish_contracts, publish_usage
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.invoices import INVOICE_FINALIZED, Invoice, Party
from fakturo.schemas.events.requests import POINTS_REDEMPTION_REQUESTED, PointsRedemption
from fakturo.schemas.events.usage import PeriodBounds
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import INVOICES

pytestmark = pytest.mark.integration
TICK = "fakturo.clock.advanced.v1"
PARTITIONS = 3
FIRST_DAYS = 2000


@pytest.fixture
async def settings(kafka_bootstrap: str, topic_prefix: str) -> Settings:
    values: dict[str, Any] = {"DATABASE_URL": "postgresql://unused", "kafka": kafka_bootstrap}
    made = Settings(**values, topic_prefix=topic_prefix, partitions=PARTITIONS)
    await apply_topics(made, keep_producer_time=True)
    return made


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(settings) as opened:
        yield opened


async def _read(settings: Settings, topic: str) -> dict[int, list[Any]]:
    """Return the records of every partition of `topic`, in their order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic_prefix + topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[Any]] = {number: [] for number in range(PARTITIONS)}
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                found[partition.partition] += records
        return found
    finally:
        await consumer.stop()


async def test_a_request_lies_between_the_ticks_of_its_day_and_the_next(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    """One on a day with flights, one on a day without."""
    requests = [
        Event(
            specversion="1.0",
            id=at.isoformat(),
            source="test",
            type=POINTS_REDEMPTION_REQUESTED,
            time=at,
            data=PointsRedemption(redemption_id=at.isoformat(), account="UA", points=1),
        )
        for at in (datetime(2013, 1, 2, 12, tzinfo=UTC), datetime(2013, 1, 9, tzinfo=UTC))
    ]
    await publish_usage(
        producer,
        settings,
        flights=usage_records(FIRST_DAYS),
        until=datetime(2013, 1, 10, tzinfo=UTC),
        requests=requests,
    )
    records = (await _read(settings, "billing.requests"))[partition_for("UA", PARTITIONS)]
    times = [datetime.fromisoformat(msgspec.json.decode(record.value)["time"]) for record in records]
    days = [datetime(2013, 1, day, tzinfo=UTC) for day in range(2, 11)]
    assert times == [days[0], requests[0].time, *days[1:8], requests[1].time, days[8]]


async def test_usage_lies_in_its_accounts_partition_by_time_with_a_tick_before_each_day(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    until = datetime(2013, 1, 10, tzinfo=UTC)
    seen: list[int] = []
    assert await publish_contracts(producer, settings) == 117
    count = await publish_usage(
        producer, settings, flights=usage_records(FIRST_DAYS), until=until, on_progress=seen.append
    )
    assert count == FIRST_DAYS == seen[-1]
    assert seen == sorted(seen)

    read: list[bytes] = []
    for partition, records in (await _read(settings, "billing.usage")).items():
        ticks = []
        for record in records:
            event = msgspec.json.decode(record.value)
            time = datetime.fromisoformat(event["time"])
            assert record.timestamp == int(time.timestamp()) * 1000
            if event["type"] == TICK:
                ticks.append(time)
                continue
            assert partition == partition_for(event["subject"], PARTITIONS)
            assert ticks[-1] <= time < ticks[-1] + timedelta(days=1)
            read.append(record.value)
        assert ticks == [datetime(2013, 1, day, tzinfo=UTC) for day in range(1, 11)]
    assert sorted(read) == sorted(record.value for record in usage_records(FIRST_DAYS))


async def test_contracts_lie_before_the_first_tick_of_each_partition(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    await publish_contracts(producer, settings)
    total = 0
    for topic in ("sf.cdc.Account", "sf.cdc.Order", "sf.cdc.OrderItem", "sf.cdc.Product2"):
        for records in (await _read(settings, topic)).values():
            documents = [msgspec.json.decode(record.value) for record in records]
            assert [document.get("type") == TICK for document in documents] == [False] * (len(documents) - 1) + [True]
            for record, document in zip(records[:-1], documents[:-1], strict=True):
                assert (record.key.decode(), record.timestamp) == (document["recordId"], document["commit"]["ts"])
            total += len(records) - 1
    assert total == 117


def _invoice(account: str, period: int, due: date) -> Invoice:
    at = datetime(2013, period, 1, 5, tzinfo=UTC)
    values: dict[str, Any] = dict.fromkeys(("subtotal_minor", "total_minor", "amount_due_minor"), 9_999)
    return Invoice(
        **values,
        invoice_id=f"{account}/{period}",
        number=None,
        account=account,
        customer=Party(name=account),
        seller=Party(name="Airports"),
        currency="USD",
        period=PeriodBounds(start=at, end=at),
        issue_date=at.date(),
        due_date=due,
        payment_terms="",
        lines=(),
        discounts=(),
        taxes=(),
        tax_minor=0,
        credits_applied_minor=0,
        corrects=None,
        price_versions=(),
    )


async def test_payments_follow_the_invoices_that_were_read_and_their_topics_time(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    until = datetime(2013, 3, 20, tzinfo=UTC)
    for invoice in (
        _invoice("AA", 2, date(2013, 3, 3)),
        _invoice("YV", 2, date(2013, 2, 15)),
        _invoice("OO", 2, date(2013, 3, 3)),
    ):
        event = event_of(
            agent="invoicing",
            event_type=INVOICE_FINALIZED,
            id=invoice.invoice_id,
            subject=invoice.account,
            time=invoice.period.end,
            data=invoice,
        )
        partition = partition_for(invoice.account, PARTITIONS)
        await producer.send_and_wait(settings.topic_prefix + INVOICES.name, encode(event), partition=partition)
    await tick(producer, (INVOICES,), until, prefix=settings.topic_prefix)  # one jump over many days

    assert await pay_invoices(producer, settings, until=until) == 2  # AA's, and the first half of YV's
    paid = []
    for records in (await _read(settings, "billing.payments")).values():
        ticks = []
        for record in records:
            event = msgspec.json.decode(record.value)
            if event["type"] == TICK:
                ticks.append(datetime.fromisoformat(event["time"]))
            else:
                received_at = datetime.fromisoformat(event["data"]["received_at"])
                assert ticks[-1] < received_at <= ticks[-1] + timedelta(days=1)
                paid.append((event["data"]["invoice_id"], event["data"]["amount"], record.key))
        assert ticks == list(midnights(datetime(2012, 12, 31, tzinfo=UTC), until))
    assert sorted(paid) == [("AA/2", "99.99", b"AA"), ("YV/2", "49.99", b"YV")]
