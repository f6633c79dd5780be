"""The consumer of docs/consume-invoices.md, as it stands there, against transactions as the relay writes them."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fakturo.producers.publisher import make_producer
from fakturo.schemas import generate

DOCUMENT = Path(__file__).parents[2] / "docs" / "consume-invoices.md"
EXAMPLE = json.loads((generate.EXAMPLES / "fakturo.invoice.finalized.v1.json").read_text())

Record = tuple[int, int, str]
"""Partition, sequence and event id."""
Consume = Callable[..., Any]


@pytest.fixture(scope="module")
def consume() -> Consume:
    """Return the function that the document shows."""
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(blocks[0], str(DOCUMENT), "exec"), names)
    found: Consume = names["consume"]
    return found


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> str:
    name = topic_prefix + "billing.invoices"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    await admin.close()
    return name


@pytest.fixture
async def relay(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = make_producer(kafka_bootstrap, transactional_id=topic_prefix + "relay", environment={})
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def books(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "accounting.db")
    connection.execute("CREATE TABLE booked (id TEXT)")
    connection.commit()
    return connection


async def publish(relay: AIOKafkaProducer, topic: str, records: Sequence[Record], *, commit: bool = True) -> None:
    await relay.begin_transaction()
    for partition, sequence, id_ in records:
        kind = {"type": "fakturo.clock.advanced.v1", "data": {}} if id_ == "tick" else {}
        value = json.dumps({**EXAMPLE, "id": id_, **kind}).encode()
        headers = [("fakturo-sequence", str(sequence).encode())]
        await relay.send_and_wait(topic, value, partition=partition, headers=headers)
    await (relay.commit_transaction() if commit else relay.abort_transaction())


def book(event: dict[str, Any], books: sqlite3.Connection) -> None:
    books.execute("INSERT INTO booked VALUES (?)", (event["id"],))


def booked(books: sqlite3.Connection) -> list[str]:
    return [id_ for (id_,) in books.execute("SELECT id FROM booked ORDER BY id")]


async def run(consuming: Any, books: sqlite3.Connection, number: int, *, linger_seconds: float = 0.5) -> None:
    """Run the consumer until `number` events are booked, and a little longer, then stop it as a deployment would."""
    task = asyncio.create_task(consuming)
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while len(booked(books)) < number and not task.done():
                await asyncio.sleep(0.02)
    await asyncio.wait([task], timeout=linger_seconds)
    if task.done():
        task.result()
    task.cancel()
    await asyncio.wait([task])


async def test_each_committed_event_is_booked_once_and_no_aborted_one(
    consume: Consume, kafka_bootstrap: str, topic: str, relay: AIOKafkaProducer, books: sqlite3.Connection
) -> None:
    await publish(relay, topic, [(0, 1, "a"), (1, 1, "b"), (0, 2, "c")])
    await publish(relay, topic, [(0, 3, "taken back"), (1, 2, "taken back too")], commit=False)
    await publish(relay, topic, [(0, 3, "d"), (1, 2, "tick"), (1, 3, "e"), (0, 4, "tick")])
    await run(consume(topic, kafka_bootstrap, books, book), books, 5)
    assert booked(books) == ["a", "b", "c", "d", "e"]
    assert books.execute("SELECT part, sequence FROM place ORDER BY part").fetchall() == [(0, 4), (1, 3)]
    assert books.execute("SELECT count(*) FROM seen").fetchone() == (5,), "ticks need not be remembered"


async def test_it_goes_on_where_it_stopped_and_books_nothing_again(
    consume: Consume, kafka_bootstrap: str, topic: str, relay: AIOKafkaProducer, books: sqlite3.Connection
) -> None:
    await publish(relay, topic, [(0, 1, "a"), (0, 2, "b")])
    await run(consume(topic, kafka_bootstrap, books, book), books, 2)
    await publish(relay, topic, [(0, 3, "c"), (1, 1, "d")])
    await run(consume(topic, kafka_bootstrap, books, book), books, 4)
    assert booked(books) == ["a", "b", "c", "d"]


async def test_a_repeat_is_booked_once(
    consume: Consume, kafka_bootstrap: str, topic: str, relay: AIOKafkaProducer, books: sqlite3.Connection
) -> None:
    await publish(relay, topic, [(0, 1, "a"), (0, 2, "b"), (0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (1, 1, "a")])
    await run(consume(topic, kafka_bootstrap, books, book), books, 3)
    assert booked(books) == ["a", "b", "c"]


async def test_a_loss_stops_it_before_anything_after_it_is_booked(
    consume: Consume, kafka_bootstrap: str, topic: str, relay: AIOKafkaProducer, books: sqlite3.Connection
) -> None:
    await publish(relay, topic, [(0, 1, "a"), (0, 3, "c")])
    with pytest.raises(RuntimeError, match="goes from 1 to 3"):
        await run(consume(topic, kafka_bootstrap, books, book), books, 9)
    assert booked(books) == ["a"]


async def test_a_crash_while_booking_loses_nothing_and_doubles_nothing(
    consume: Consume, kafka_bootstrap: str, topic: str, relay: AIOKafkaProducer, books: sqlite3.Connection
) -> None:
    def crash_at_b(event: dict[str, Any], books: sqlite3.Connection) -> None:
        book(event, books)
        if event["id"] == "b":
            raise OSError("the disk is full")

    await publish(relay, topic, [(0, 1, "a"), (0, 2, "b"), (0, 3, "c")])
    with pytest.raises(OSError, match="disk"):
        await run(consume(topic, kafka_bootstrap, books, crash_at_b), books, 9)
    assert booked(books) == ["a"]
    await run(consume(topic, kafka_bootstrap, books, book), books, 3)
    assert booked(books) == ["a", "b", "c"]


def test_the_document_keeps_its_word_on_length() -> None:
    block = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)[0]
    assert len([line for line in block.splitlines() if line.strip()]) <= 25
