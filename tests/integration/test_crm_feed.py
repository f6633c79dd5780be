"""Another connector's topic, through crm_feed and the relay, into the contracts agent's book: whole, once, in order.

The topic has three partitions where ours have two, and its name carries no prefix. Half of the messages are CometD
JSON, half Confluent V2 Avro through a registry; the workers of the feed are killed meanwhile.
"""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.dead_letter_book import list_letters, replay_letters
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.lag import lag_once
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.crm_feed.foreign_registry import ForeignRegistry, avro_framed, running_registry
from tests.integration.test_bad_input_race import CATALOG

FEED, GROWN = 3, 4
"""Partitions of the foreign topic at first, and later."""
ROUNDS, RECORDS = 12, 10
OPENED_MS = 1_780_000_000_000
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "OrderItem",
    "namespace": "io.confluent.salesforce",
    "fields": [
        {"name": "Id", "type": "string"},
        *({"name": name, "type": ["null", "double"], "default": None} for name in ("Quantity", "UnitPrice")),
    ],
}


@pytest.fixture
async def foreign_topic(settings: Settings) -> AsyncIterator[str]:
    name = f"sfdc-{uuid.uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, FEED, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


@pytest.fixture
async def registry() -> AsyncIterator[ForeignRegistry]:
    async with running_registry() as found:
        found.add(17, SCHEMA)
        yield found


@pytest.fixture
def stack(
    environment: dict[str, str], tmp_path: Path, topics: list[str], foreign_topic: str, registry: ForeignRegistry
) -> Iterator[tuple[Stack, dict[str, str]]]:
    settings = {
        **environment,
        "FAKTURO_CATALOG": str(CATALOG),
        "FAKTURO_CRM_TOPICS": foreign_topic,
        "FAKTURO_CRM_REGISTRY_URL": registry.url,
    }
    stack = Stack(tmp_path / "home", environment=environment)
    stack.start_agents(("crm_feed", "contracts", "relay"), settings=settings, restart=False)
    stack.start_worker("crm_feed", instance="1", environment=settings)
    yield stack, settings
    stack.stop_agents()


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def record_id(number: int) -> str:
    return long_id(f"802D00000000{number:03d}")


def price(number: int, turn: int) -> str:
    return f"{turn}.{number:02d}"


def message(number: int, turn: int) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return value and headers of the update that gives a record its price of this turn."""
    commit_ms = OPENED_MS + turn * 1000
    if number % 2:
        header = {
            "entityName": "OrderItem",
            "recordIds": [record_id(number)[:15]],
            "changeType": "UPDATE",
            "changedFields": ["UnitPrice"],
            "commitTimestamp": commit_ms,
            "transactionKey": f"t{turn}",
            "sequenceNumber": number,
        }
        text = json.dumps({"payload": {"ChangeEventHeader": header, "UnitPrice": "@"}, "schemaId": "s"})
        return text.replace('"@"', price(number, turn)).encode(), []
    row = {"Id": record_id(number), "Quantity": None, "UnitPrice": float(price(number, turn))}
    headers = {
        "source.entity": "OrderItem",
        "source.operation": "UPDATE",
        "source.loading.mode": "Event-Driven Sync",
        "source.commit.timestamp": str(commit_ms),
        "source.transaction.key": f"t{turn}",
        "source.sequence.number": str(number),
        "source.changed.fields": "UnitPrice",
    }
    return avro_framed(17, SCHEMA, row), [(name, text.encode()) for name, text in headers.items()]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.1)


async def published(settings: Settings, topic: str) -> list[Any]:
    """Return what a read_committed reader of `topic`, ours, finds from its begin to its end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        name = settings.topic_prefix + topic
        partitions = [TopicPartition(name, number) for number in range(await _count(settings, name))]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def send(settings: Settings, topic: str, partition: int, value: bytes, headers: Any = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=partition, headers=headers)
    finally:
        await producer.stop()


async def send_rounds(stack: Stack, agent_settings: dict[str, str], topic: str) -> None:
    """Send every round of updates; kill a worker of the feed after each fourth and start it again."""
    producer = AIOKafkaProducer(bootstrap_servers=agent_settings["FAKTURO_KAFKA"])
    await producer.start()
    try:
        for turn in range(1, ROUNDS + 1):
            for number in range(RECORDS):
                value, headers = message(number, turn)
                await producer.send(topic, value, partition=number % FEED, headers=headers)
            await producer.flush()
            if turn % 4 == 0:
                instance = str(turn // 4 % 2)
                stack.processes.kill("crm_feed" if instance == "0" else f"crm_feed-{instance}")
                stack.start_worker("crm_feed", instance=instance, environment=agent_settings)
            await asyncio.sleep(0.2)
    finally:
        await producer.stop()


async def worked_off(watch: asyncpg.Connection, topic: str, count: int) -> None:
    """Wait until the feed has read `count` messages of `topic` and the relay has published what came of them."""

    async def holds() -> bool:
        read = await watch.fetchval("SELECT sum(next_offset) FROM runtime.cursor WHERE topic = $1", topic)
        left = await watch.fetchval("SELECT count(*) FROM runtime.outbox WHERE agent = 'crm_feed'")
        return bool(read == count and left == 0)

    await until(holds)


async def book_says(watch: asyncpg.Connection, wanted: dict[str, str]) -> None:
    """Wait until the contracts agent's book holds these prices by record."""

    async def holds() -> bool:
        rows = await watch.fetch("SELECT record_id, field_values->>'UnitPrice' AS price FROM contracts.record")
        return {row["record_id"]: row["price"] for row in rows} == wanted

    await until(holds)


async def test_what_another_connector_tells_is_in_the_book_whole_and_once(
    stack: tuple[Stack, dict[str, str]], settings: Settings, foreign_topic: str, watch: asyncpg.Connection
) -> None:
    await send_rounds(*stack, foreign_topic)
    repeated, headers = message(1, ROUNDS)
    await send(settings, foreign_topic, 1, repeated, headers)  # the same message once more
    count = ROUNDS * RECORDS + 1
    await worked_off(watch, foreign_topic, count)
    await book_says(watch, {record_id(number): _plain(price(number, ROUNDS)) for number in range(RECORDS)})

    changes = [decode_change(record.value) for record in await published(settings, "sf.cdc.OrderItem")]
    each = [(record_id(number), OPENED_MS + turn * 1000) for number in range(RECORDS) for turn in range(1, ROUNDS + 1)]
    twice = (record_id(1), OPENED_MS + ROUNDS * 1000)
    assert Counter((change.recordId, change.commit.ts) for change in changes) == Counter([*each, twice])
    first, again = (change for change in changes if (change.recordId, change.commit.ts) == twice)
    assert first == again  # the contracts agent knows it by its id
    versions = await watch.fetchval("SELECT count(*) FROM contracts.field_version WHERE field = 'UnitPrice'")
    assert versions == ROUNDS * RECORDS
    assert await _end_of(settings, foreign_topic) == count  # nothing was written to other people's topic
    lags = [one for one in await lag_once(settings, watch) if one.agent == "crm_feed"]
    assert {one.topic for one in lags} == {foreign_topic, "sf.retry"}
    assert sum(one.records for one in lags) == 0


async def test_what_cannot_be_read_is_a_dead_letter_that_can_be_mended_and_put_back(
    stack: tuple[Stack, dict[str, str]], settings: Settings, foreign_topic: str, watch: asyncpg.Connection
) -> None:
    await send(settings, foreign_topic, 2, b"{", [("h", b"1")])
    await worked_off(watch, foreign_topic, 1)
    (letter,) = await list_letters(watch)
    assert (letter.agent, letter.topic, letter.partition) == ("crm_feed", foreign_topic, 2)
    assert letter.reason == "malformed_json"
    (dead,) = await published(settings, f"{foreign_topic}.dlq")
    assert (dead.partition, dead.value) == (2, b"{")

    mended, _ = message(1, 1)
    await replay_letters(watch, [letter.id], value=mended)
    await book_says(watch, {record_id(1): price(1, 1)})
    assert await _end_of(settings, foreign_topic) == 1


async def test_a_topic_that_gains_partitions_is_read_in_them_and_its_dead_letters_have_room(
    settings: Settings, topics: list[str], foreign_topic: str, watch: asyncpg.Connection
) -> None:
    from toy_agent import Toy

    database = Database(settings.database_url)
    feed = Feed(Toy("crm_feed"), database, settings, Health("crm_feed"), [foreign_topic])
    await feed.prepare()
    places = [(foreign_topic, number) for number in range(FEED)]
    assert await feed.cursors_of(places, {}) == dict.fromkeys(places, 0)
    assert await _count(settings, f"{settings.topic_prefix}{foreign_topic}.dlq") == FEED
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.create_partitions({foreign_topic: NewPartitions(total_count=GROWN)})
    await admin.close()
    assert await feed.cursors_of([(foreign_topic, FEED)], {}) == {(foreign_topic, FEED): 0}
    assert await _count(settings, f"{settings.topic_prefix}{foreign_topic}.dlq") == GROWN
    await feed.cursors_of([*places, (foreign_topic, FEED)], {})  # again: nothing is lost, nothing made twice
    assert await watch.fetchval("SELECT count(*) FROM runtime.cursor WHERE topic = $1", foreign_topic) == GROWN
    await database.close()


def _plain(text: str) -> str:
    """Return a price as canonical values have it: without zeroes at its end."""
    return text.rstrip("0").rstrip(".")


async def _end_of(settings: Settings, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets([TopicPartition(topic, number) for number in range(FEED)])).values())
    finally:
        await consumer.stop()


async def _count(settings: Settings, name: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([name])
        return len(found["partitions"])
    finally:
        await admin.close()
