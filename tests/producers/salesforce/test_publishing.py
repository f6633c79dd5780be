"""Records and the position after them: both or neither, one writer at a time, on a real broker."""

import asyncio

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced

from fakturo.consumers.runtime.record_batches import send_batches
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics, partition_count
from fakturo.producers.salesforce.publishing import Fenced, Outgoing, PositionedPublisher, RecordRefused
from fakturo.producers.salesforce.resync_requests import ResyncRequest, decode_request, request_record
from fakturo.schemas.topics import SF_ACCOUNT, SF_PROGRESS, SF_RESYNC
from tests.producers.salesforce.kafka_reading import committed

ID = "fakturo.salesforce.00D000000000001EAA.changes.stream"


def account(text: str, partition: int = 0) -> Outgoing:
    return Outgoing(
        topic=SF_ACCOUNT.name,
        partition=partition,
        key=b"001000000000001AAA",
        value=text.encode(),
        timestamp_ms=1359721800000,
        headers=(("sf-entity", b"Account"),),
    )


@pytest.fixture
async def topics(settings: Settings) -> Settings:
    await apply_topics(settings, keep_producer_time=True)
    return settings


async def bodies(settings: Settings) -> list[bytes]:
    return sorted(bytes(record.value) for record in await committed(settings, SF_ACCOUNT.name))


async def test_a_position_is_read_back_as_it_was_published_and_none_before(topics: Settings) -> None:
    publisher = PositionedPublisher(topics, ID)
    assert await publisher.open() is None
    await publisher.publish([account("one"), account("two", 1)], b'{"at":1}')
    await publisher.publish([], b'{"at":2}')
    await publisher.close()
    again = PositionedPublisher(topics, ID)
    assert await again.open() == b'{"at":2}'
    await again.close()
    assert await bodies(topics) == [b"one", b"two"]
    (record, *_) = await committed(topics, SF_ACCOUNT.name)
    assert (record.timestamp, record.headers) == (1359721800000, (("sf-entity", b"Account"),))


async def test_publishers_of_other_ids_have_positions_of_their_own(topics: Settings) -> None:
    first, second = PositionedPublisher(topics, ID), PositionedPublisher(topics, f"{ID}.other")
    await first.open()
    await first.publish([], b"first")
    assert await second.open() is None
    await second.publish([], b"second")
    await first.close()
    assert await first.open() == b"first"
    for publisher in (first, second):
        await publisher.close()


async def test_a_second_publisher_fences_the_first_whose_transaction_is_never_seen(topics: Settings) -> None:
    first, second = PositionedPublisher(topics, ID), PositionedPublisher(topics, ID)
    await first.open()
    await first.publish([account("before")], b"1")
    assert await second.open() == b"1"
    with pytest.raises(Fenced):
        await first.publish([account("too late")], b"2")
    await second.publish([account("after")], b"3")
    assert await bodies(topics) == [b"after", b"before"]
    await second.close()
    assert await second.open() == b"3"
    await second.close()


@pytest.mark.parametrize("committed_first", [True, False], ids=["commit reached the broker", "commit was lost"])
async def test_an_answer_that_never_came_is_asked_for_and_nothing_is_published_twice(
    topics: Settings, committed_first: bool
) -> None:
    said: list[str] = []
    publisher = PositionedPublisher(topics, ID, on_waiting=said.append)
    await publisher.open()
    await publisher.publish([account("one")], b"1")
    producer = publisher._producer
    commit = producer.commit_transaction

    async def commit_whose_answer_is_lost() -> None:
        if committed_first:
            await commit()
        raise KafkaConnectionError("the connection is gone")

    producer.commit_transaction = commit_whose_answer_is_lost
    await publisher.publish([account("two")], b"2")
    await publisher.publish([account("three")], b"3")
    assert await bodies(topics) == [b"one", b"three", b"two"]
    assert len(said) == 1
    await publisher.close()


async def test_after_a_lost_answer_a_publisher_that_was_overtaken_gives_up(topics: Settings) -> None:
    first, second = PositionedPublisher(topics, ID), PositionedPublisher(topics, ID)
    await first.open()
    await first.publish([], b"1")
    await first.close()  # as after an unknown outcome: the next publish starts a producer and looks
    await second.open()
    await second.publish([account("theirs")], b"2")
    with pytest.raises(Fenced):
        await first.publish([account("ours")], b"3")
    assert await bodies(topics) == [b"theirs"]
    await second.close()


async def test_a_cancelled_transaction_leaves_a_publisher_that_goes_on(topics: Settings) -> None:
    publisher = PositionedPublisher(topics, ID)
    await publisher.open()
    producer = publisher._producer

    async def never() -> None:
        await asyncio.sleep(3600)

    producer.commit_transaction = never
    publishing = asyncio.create_task(publisher.publish([account("cancelled")], b"1"))
    await asyncio.sleep(0.3)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    await publisher.publish([account("next")], b"2")
    assert await bodies(topics) == [b"next"]
    await publisher.close()


async def test_a_record_for_a_partition_that_is_not_there_is_refused_and_nothing_is_published(topics: Settings) -> None:
    publisher = PositionedPublisher(topics, ID)
    await publisher.open()
    with pytest.raises(RecordRefused, match=r"Account has no partition 99"):
        await publisher.publish([account("one"), account("two", 99)], b"1")
    await publisher.close()
    assert await publisher.open() is None
    assert await bodies(topics) == []
    await publisher.close()


async def test_a_fenced_producer_is_never_retried_in_place(topics: Settings) -> None:
    said: list[str] = []
    publisher = PositionedPublisher(topics, ID, on_waiting=said.append)
    await publisher.open()

    async def fenced() -> None:
        raise ProducerFenced

    publisher._producer.commit_transaction = fenced
    with pytest.raises(Fenced):
        await publisher.publish([account("one")], b"1")
    assert said == []


def test_a_resync_request_survives_its_record() -> None:
    request = ResyncRequest(
        org="00D000000000001EAA",
        entity="OrderItem",
        record_ids=("802000000000001AAA",),
        gap_ms=1359721800000,
        reason="gap",
        requested_at_ms=1359721801000,
        request_id="f1e0",
    )
    record = request_record(request)
    assert (record.topic, record.partition, record.key) == (SF_RESYNC.name, 0, b"OrderItem")
    assert decode_request(record.value) == request
    whole = msgspec.structs.replace(request, record_ids=None, gap_ms=None)
    assert decode_request(request_record(whole).value) == whole


def test_the_bridges_own_topics_have_one_partition_whatever_the_others_have(settings: Settings) -> None:
    assert [partition_count(topic, settings) for topic in (SF_RESYNC, SF_PROGRESS, SF_ACCOUNT)] == [1, 1, 2]


async def test_a_killed_neighbours_open_transaction_holds_up_nobody_once_all_have_fenced(topics: Settings) -> None:
    killed = PositionedPublisher(topics, f"{ID}.killed")
    await killed.open()
    await killed._producer.begin_transaction()
    batches = killed._batches(killed._producer, [account("never seen")], b"1", b"mark")
    await send_batches(killed._producer, batches)  # and no commit: the process is gone
    stream, successor = PositionedPublisher(topics, ID), PositionedPublisher(topics, f"{ID}.killed")
    await asyncio.gather(stream.fence(), successor.fence())
    async with asyncio.timeout(10):
        assert await stream.open() is None
        assert await successor.open() is None
    for publisher in (killed, stream, successor):
        await publisher.close()
    assert await bodies(topics) == []
