"""The relay on a real broker and database: each row once, in order, and at every point where it can be interrupted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from fakturo.consumers.runtime import relay as relay_module
from fakturo.consumers.runtime.errors import ProgressLost
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.record_batches import send_partition
from fakturo.consumers.runtime.relay import AgentRelay
from fakturo.consumers.runtime.relay_doorbell import Doorbell
from fakturo.consumers.runtime.relay_outbox import OutboxBook, RelayPosition
from fakturo.consumers.runtime.relay_progress import check_progress, read_progress
from fakturo.consumers.runtime.relay_publisher import Publisher
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.consumers.runtime.transaction import encode_headers

AGENT = "ledger"
TOPIC = "billing.ledger"


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    await apply_topics(settings)
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


async def add(connection: asyncpg.Connection, *bodies: str, partition: int = 0, topic: str = TOPIC) -> None:
    await connection.executemany(
        "INSERT INTO runtime.outbox (agent, topic, partition, key, value, headers) VALUES ($1, $2, $3, $4, $5, $6)",
        [(AGENT, topic, partition, b"k", body.encode(), encode_headers([("h", b"\xff1")])) for body in bodies],
    )


async def published(settings: Settings, topic: str = TOPIC, partition: int = 0) -> list[ConsumerRecord]:
    """Return what a read_committed consumer sees of a partition, up to its end.

    The end is the high watermark: Kafka writes a transaction's marker a little after it has confirmed the commit, and
    until then the last stable offset hides records that are committed.
    """
    place = TopicPartition(settings.topic_prefix + topic, partition)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False) as looking:
        end = (await looking.end_offsets([place]))[place]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        records: list[ConsumerRecord] = []
        async with asyncio.timeout(20):
            while await consumer.position(place) < end:
                for found in (await consumer.getmany(timeout_ms=100)).values():
                    records.extend(found)
        return records
    finally:
        await consumer.stop()


def sequence(record: ConsumerRecord) -> int:
    return int(dict(record.headers)["fakturo-sequence"])


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[AgentRelay]:
    doorbell = Doorbell(settings, [AGENT])
    relay = AgentRelay(AGENT, settings, doorbell, Health(AGENT))
    tasks = [asyncio.create_task(doorbell.run()), asyncio.create_task(relay.run())]
    try:
        yield relay
    finally:
        relay.stopping = True
        await asyncio.wait_for(tasks[1], 15)
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def until_empty(connection: asyncpg.Connection) -> None:
    async def empty() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM runtime.outbox WHERE agent = $1", AGENT)

    await until(empty)


@asynccontextmanager
async def leased_book(settings: Settings) -> AsyncIterator[OutboxBook]:
    book = await OutboxBook.open(AGENT, settings)
    assert await book.take_lease()
    await book.position()
    try:
        yield book
    finally:
        await book.close()


async def test_rows_come_out_once_in_order_with_their_headers_and_a_gapless_sequence_a_partition(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await add(connection, *(f"a{n}" for n in range(3000)))
    await add(connection, *(f"b{n}" for n in range(5)), partition=1)
    async with relaying(settings):
        await until_empty(connection)
        await add(connection, "a3000")
        await until_empty(connection)
    first, second = await published(settings), await published(settings, partition=1)
    assert [record.value for record in first] == [b"a%d" % n for n in range(3001)]
    assert [sequence(record) for record in first] == list(range(1, 3002))
    assert [sequence(record) for record in second] == [1, 2, 3, 4, 5]
    assert first[0].key == b"k"
    assert dict(first[0].headers)["h"] == b"\xff1"


async def test_a_relay_killed_after_kafkas_commit_is_followed_by_one_that_publishes_nothing_again(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await add(connection, "one", "two")
    async with leased_book(settings) as book:
        publisher = await Publisher.open(AGENT, settings)
        await publisher.publish(await book.settle_and_stamp(None))
        await publisher.discard()
    async with relaying(settings):
        await until_empty(connection)
    assert [record.value for record in await published(settings)] == [b"one", b"two"]
    assert await connection.fetchval("SELECT published_position FROM runtime.relay WHERE agent = $1", AGENT) == 2


async def test_a_relay_killed_inside_its_transaction_leaves_nothing_to_see_and_the_next_one_publishes_the_same(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await add(connection, "one", "two")
    async with leased_book(settings) as book:
        publisher = await Publisher.open(AGENT, settings)
        rows = await book.settle_and_stamp(None)
        await publisher._producer.begin_transaction()
        for (topic, partition), batches in publisher._batches(rows).items():
            await send_partition(publisher._producer, topic, partition, batches)
    async with relaying(settings):
        await until_empty(connection)
    records = await published(settings)
    assert [(record.value, sequence(record)) for record in records] == [(b"one", 1), (b"two", 2)]
    assert records[0].offset >= 2, "the aborted records take offsets that no reader sees"
    await publisher.discard()


async def test_a_predecessor_that_wakes_up_can_commit_nothing_any_more(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await add(connection, "one")
    async with leased_book(settings) as book:
        zombie = await Publisher.open(AGENT, settings)
        rows = await book.settle_and_stamp(None)
    async with relaying(settings):
        await until_empty(connection)
        with pytest.raises(Exception, match="newer producer"):
            await zombie.publish(rows)
    await zombie.discard()
    assert [record.value for record in await published(settings)] == [b"one"]


async def test_progress_is_found_behind_the_open_transaction_of_another_relay(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    other = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=settings.topic_prefix + "other")
    await other.start()
    await other.begin_transaction()
    await other.send_and_wait(
        settings.topic_prefix + "fakturo.relay.progress", b'{"position":9}', b"other", partition=0
    )
    await add(connection, "one")
    async with leased_book(settings) as book:
        publisher = await Publisher.open(AGENT, settings)
        await publisher.publish(await book.settle_and_stamp(None))
        await publisher.discard()
    reading = asyncio.create_task(read_progress(settings, AGENT))
    await asyncio.sleep(0.5)
    assert not reading.done(), "what is committed behind an open transaction can't be known yet"
    async with relaying(settings) as relay:

        async def says_so() -> bool:
            return relay.health.waiting_for == "reads its progress"

        await until(says_so)
        await other.commit_transaction()
    assert await asyncio.wait_for(reading, 10) == 1
    await other.stop()


async def test_a_row_that_becomes_visible_late_with_a_lower_id_is_published_after_all(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    slow = await asyncpg.connect(settings.database_url)
    transaction = slow.transaction()
    await transaction.start()
    await add(slow, "slow")
    await add(connection, "fast")
    async with relaying(settings):

        async def fast_is_out() -> bool:
            return len(await published(settings)) == 1

        await until(fast_is_out)
        await transaction.commit()

        async def both_are_out() -> bool:
            return len(await published(settings)) == 2

        await until(both_are_out)
    await slow.close()
    assert [(r.value, sequence(r)) for r in await published(settings)] == [(b"fast", 1), (b"slow", 2)]


async def test_a_second_relay_waits_and_takes_over(settings: Settings, connection: asyncpg.Connection) -> None:
    async with relaying(settings) as waiting, relaying(settings) as second:

        async def one_waits() -> bool:
            return "lease" in f"{waiting.health.waiting_for} {second.health.waiting_for}"

        await until(one_waits)
        await add(connection, "one")
        await until_empty(connection)
        first = second if waiting.health.waiting_for else waiting
        first.stopping = True
        await add(connection, "two")
        await until_empty(connection)
    assert [(r.value, sequence(r)) for r in await published(settings)] == [(b"one", 1), (b"two", 2)]


async def test_a_relay_whose_progress_is_missing_stops_and_says_why(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO runtime.relay VALUES ($1, 7, 7)", AGENT)
    await add(connection, "one")
    async with relaying(settings) as relay:

        async def stopped() -> bool:
            return bool(relay.health.stopped_partitions)

        await until(stopped)
        assert "no record of it, but 7 events were published" in next(iter(relay.health.stopped_partitions.values()))
        assert relay.health.livez()[0], "a restart would mend nothing"
    assert await published(settings) == []


@pytest.mark.parametrize(
    ("progress", "stamped", "known_published"), [(None, 5, 5), (4, 5, 5), (6, 5, 5)], ids=["none", "behind", "ahead"]
)
def test_progress_that_contradicts_the_database_is_refused(
    progress: int | None, stamped: int, known_published: int
) -> None:
    with pytest.raises(ProgressLost):
        check_progress(AGENT, progress, RelayPosition(stamped, known_published))


def test_progress_between_published_and_stamped_is_where_it_resumes() -> None:
    assert check_progress(AGENT, 7, RelayPosition(9, 5)) == 7
    assert check_progress(AGENT, None, RelayPosition(3, 0)) == 0


async def test_a_body_that_the_broker_refuses_stops_the_relay_with_a_sentence_and_loses_nothing(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "STOPPED_SECONDS", 0.5)
    await add(connection, "before")
    async with relaying(settings) as relay:
        await until_empty(connection)
        await add(connection, "x" * 7_000_000)

        async def stopped() -> bool:
            return bool(relay.health.stopped_partitions)

        await until(stopped)
        assert "7000000 bytes" in next(iter(relay.health.stopped_partitions.values()))
        await connection.execute("UPDATE runtime.outbox SET value = 'cut'")
        await until_empty(connection)
    assert [(r.value, sequence(r)) for r in await published(settings)] == [(b"before", 1), (b"cut", 2)]


async def test_a_row_for_a_partition_that_is_not_there_stops_the_relay_with_a_sentence(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await add(connection, "one", partition=77)
    async with relaying(settings) as relay:

        async def stopped() -> bool:
            return bool(relay.health.stopped_partitions)

        await until(stopped)
        assert "no partition 77" in next(iter(relay.health.stopped_partitions.values()))


async def test_a_topic_that_others_write_gets_no_sequence(settings: Settings, connection: asyncpg.Connection) -> None:
    await add(connection, "again", topic="billing.payments")
    await add(connection, "dead", topic="billing.payments.dlq")
    async with relaying(settings):
        await until_empty(connection)
    (payment,) = await published(settings, "billing.payments")
    (dead,) = await published(settings, "billing.payments.dlq")
    assert "fakturo-sequence" not in dict(payment.headers)
    assert sequence(dead) == 1
    assert [row[0] for row in await connection.fetch("SELECT topic FROM runtime.outbox_sequence")] == [
        "billing.payments.dlq"
    ]
