"""The usage client against a broker: nothing lost at exit, room is bounded, a broker that is away is waited for."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from fakturo.cli.stack.broker import EmbeddedBroker
from fakturo.producers import usage
from fakturo.producers.usage import DeliveryError, UsageClient, send_usage
from fakturo.producers.usage_event import UsageEvent
from fakturo.schemas.codec import decode_envelope
from fakturo.schemas.errors import SchemaError

AT = datetime(2013, 1, 1, 10, tzinfo=UTC)
PARTITIONS = 3


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> str:
    return await create(kafka_bootstrap, topic_prefix + "billing.usage")


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker that a test may stop and freeze."""
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


async def create(bootstrap: str, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs={"max.message.bytes": "4194304"})])
    await admin.close()
    return name


async def records(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Return all that lies in `topic`."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[ConsumerRecord] = []
    while any([await consumer.position(place) < ends[place] for place in partitions]):
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            found.extend(batch)
    await consumer.stop()
    return found


def event(number: int) -> UsageEvent:
    data = {"distance": Decimal(number)}
    return UsageEvent(account=f"A{number % 7}", type="flight", id=str(number), time=AT, data=data, source="test")


async def test_everything_sent_is_there_once_when_the_block_is_left(kafka_bootstrap: str, topic: str) -> None:
    async with UsageClient(kafka_bootstrap, topic=topic, source="test") as client:
        for number in range(2500):
            await client.send(account="A", type="flight", id=str(number), time=AT, data={"distance": number})
    found = await records(kafka_bootstrap, topic)
    assert sorted(int(decode_envelope(record.value, record.headers).id) for record in found) == list(range(2500))
    assert client.in_flight == 0


async def test_a_record_has_the_accounts_key_and_partition_and_says_what_it_is(
    kafka_bootstrap: str, topic: str
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with UsageClient(kafka_bootstrap, topic=topic) as client:
        for account in ("Ærø 1", "UA", "AA", "DL"):
            await client.send(
                account=account, type="flight", id="1", time=AT, data={}, source="test", traceparent=trace
            )
    found = await records(kafka_bootstrap, topic)
    assert len(found) == 4
    for record in found:
        assert decode_envelope(record.value).subject == record.key.decode()
        assert record.partition == DefaultPartitioner()(record.key, list(range(PARTITIONS)), list(range(PARTITIONS)))
        headers = dict(record.headers)
        assert headers == {"content-type": b"application/cloudevents+json", "traceparent": trace.encode()}


async def test_what_was_sent_before_the_block_failed_is_there(kafka_bootstrap: str, topic: str) -> None:
    with pytest.raises(SchemaError, match="float"):
        async with UsageClient(kafka_bootstrap, topic=topic, source="test", linger_ms=500) as client:
            await client.send(account="A", type="flight", id="1", time=AT, data={})
            await client.send(account="A", type="flight", id="2", time=AT, data={"distance": 1.5})
    assert [decode_envelope(record.value).id for record in await records(kafka_bootstrap, topic)] == ["1"]


async def test_what_was_sent_before_the_task_was_cancelled_is_there(kafka_bootstrap: str, topic: str) -> None:
    sent = asyncio.Event()

    async def program() -> None:
        async with UsageClient(kafka_bootstrap, topic=topic, source="test", linger_ms=500) as client:
            await client.send(account="A", type="flight", id="1", time=AT, data={})
            sent.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(program())
    await sent.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(await records(kafka_bootstrap, topic)) == 1


def test_a_program_without_a_loop_sends_many(kafka_bootstrap: str, topic_prefix: str) -> None:
    name = asyncio.run(create(kafka_bootstrap, topic_prefix + "sync"))
    assert send_usage((event(number) for number in range(500)), kafka_bootstrap, topic=name, in_flight_max=50) == 500
    found = asyncio.run(records(kafka_bootstrap, name))
    assert sorted(int(decode_envelope(record.value).id) for record in found) == list(range(500))


async def test_a_megabyte_less_the_envelope_goes_through(kafka_bootstrap: str, topic: str) -> None:
    async with UsageClient(kafka_bootstrap, topic=topic, source="test") as client:
        await client.send(account="A", type="flight", id="1", time=AT, data={"note": "x" * 1_048_000})
    (record,) = await records(kafka_bootstrap, topic)
    assert len(record.value) > 1_048_000


async def test_a_topic_that_is_not_there_is_said_at_the_start(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> None:
        raise UnknownTopicOrPartitionError

    monkeypatch.setattr(usage.AIOKafkaProducer, "partitions_for", none)  # some brokers create a topic when asked
    with pytest.raises(UnknownTopicOrPartitionError, match="topics apply"):
        async with UsageClient(kafka_bootstrap, topic=topic_prefix + "none"):
            pass


def test_without_a_broker_named_it_says_which_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAKTURO_KAFKA", raising=False)
    with pytest.raises(ValueError, match="FAKTURO_KAFKA"):
        UsageClient()


async def test_a_closed_client_takes_nothing(kafka_bootstrap: str, topic: str) -> None:
    async with UsageClient(kafka_bootstrap, topic=topic, source="test") as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.send(account="A", type="flight", id="1", time=AT, data={})


async def test_send_waits_while_the_room_is_taken_and_goes_on_when_the_broker_does(own_broker: EmbeddedBroker) -> None:
    topic = await create(own_broker.bootstrap, "billing.usage")
    async with UsageClient(own_broker.bootstrap, source="test", in_flight_max=20, linger_ms=0) as client:
        async with frozen(own_broker):
            sending = asyncio.create_task(client.send_many(event(number) for number in range(100)))
            await asyncio.sleep(1)
            assert client.in_flight == 20
            assert not sending.done()
        assert await sending == 100
    found = await records(own_broker.bootstrap, topic)
    assert sorted(int(decode_envelope(record.value).id) for record in found) == list(range(100))


async def test_events_sent_while_the_broker_restarts_are_there_once(own_broker: EmbeddedBroker) -> None:
    topic = await create(own_broker.bootstrap, "billing.usage")
    async with UsageClient(own_broker.bootstrap, source="test") as client:
        await client.send_many(event(number) for number in range(100))
        await asyncio.to_thread(own_broker.stop)
        for number in range(100, 200):
            await client.send_event(event(number))
        await asyncio.to_thread(own_broker.start)
    found = await records(own_broker.bootstrap, topic)
    assert sorted(int(decode_envelope(record.value).id) for record in found) == list(range(200))


async def test_a_broker_that_does_not_come_back_ends_in_an_error_that_lists_the_ids(
    own_broker: EmbeddedBroker,
) -> None:
    await create(own_broker.bootstrap, "billing.usage")
    started_at = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        async with UsageClient(own_broker.bootstrap, source="test", delivery_seconds_max=1) as client:
            await client.send_event(event(1))
            await client.flush()
            own_broker.kill()
            for number in (2, 3):
                await client.send_event(event(number))
    assert caught.value.ids == ["2", "3"]
    assert set(caught.value.failures) == {("test", "2"), ("test", "3")}
    assert "not acknowledged within 1 seconds" in str(caught.value)
    assert time.monotonic() - started_at < 10


async def test_an_event_that_finds_no_room_in_time_is_not_sent_and_says_so(own_broker: EmbeddedBroker) -> None:
    topic = await create(own_broker.bootstrap, "billing.usage")
    async with UsageClient(own_broker.bootstrap, source="test", in_flight_max=1, delivery_seconds_max=2) as client:
        async with frozen(own_broker):
            await client.send_event(event(1))
            with pytest.raises(DeliveryError, match="no room for it") as caught:
                await client.send_event(event(2))
            assert caught.value.ids == ["2"]
        await client.flush()
        await client.send_event(event(3))
    found = await records(own_broker.bootstrap, topic)
    assert sorted(decode_envelope(record.value).id for record in found) == ["1", "3"]


class frozen:  # noqa: N801 - reads as a word of the sentence
    """Holds the broker's process still for a while."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        process = broker.process
        assert process is not None
        self._pid = process.pid

    async def __aenter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    async def __aexit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


async def refused(*_: object, **__: object) -> asyncio.Future[object]:
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_exception(UnknownTopicOrPartitionError("gone"))
    return future


async def test_what_the_broker_refuses_is_raised_once_by_the_next_flush(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with UsageClient(kafka_bootstrap, topic=topic, source="test", in_flight_max=2) as client:
        with monkeypatch.context() as patched:
            patched.setattr(usage.AIOKafkaProducer, "send", refused)
            for number in range(5):  # more than there is room for: a refused event gives its place back
                await client.send_event(event(number))
        with pytest.raises(DeliveryError, match="gone") as caught:
            await client.flush()
        assert caught.value.ids == ["0", "1", "2", "3", "4"]
        await client.flush()
    assert await records(kafka_bootstrap, topic) == []
