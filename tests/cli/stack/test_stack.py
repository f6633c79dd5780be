"""The embedded parts for real: books and topics survive stop and start, commits survive a kill."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fakturo.cli.stack import Stack, StackFault


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    this = Stack(tmp_path / "home", environment={})
    yield this
    this.fresh()


async def _write(bootstrap: str, values: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 3, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for value in values:
        await producer.send_and_wait("kept", value, partition=2)
    await producer.stop()


async def _read(bootstrap: str, count: int) -> tuple[int, list[bytes | None]]:
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    partitions = consumer.partitions_for_topic("kept") or set()
    found = [(await consumer.getone(TopicPartition("kept", 2))).value for _ in range(count)]
    await consumer.stop()
    return len(partitions), found


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_books_and_topics_are_there_after_down_and_up_at_the_same_addresses(stack: Stack) -> None:
    first = stack.start_parts()
    await _write(first["FAKTURO_KAFKA"], [b"one", b"two"])
    await _query(first["DATABASE_URL"], "create table kept as select 42 as answer")
    stack.down()
    assert {part.state for part in stack.status()} == {"stopped"}
    assert stack.start_parts() == first
    assert await _read(first["FAKTURO_KAFKA"], 2) == (3, [b"one", b"two"])
    assert await _query(first["DATABASE_URL"], "select answer from kept") == 42


async def test_a_killed_database_has_every_commit(stack: Stack) -> None:
    url = stack.database.start()
    await _query(url, "create table kept (n int)")
    for n in range(20):
        await _query(url, f"insert into kept values ({n})")
    stack.database.kill()
    assert stack.database.start() == url
    assert await _query(url, "select count(*) from kept") == 20
    assert [await _query(url, f"show {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
        "on"
    ] * 3


async def test_the_database_asks_for_its_password(stack: Stack) -> None:
    url = stack.database.start()
    password = (stack.home / "postgres" / "password").read_text()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _query(url.replace(password, "guess"), "select 1")


def test_named_parts_are_not_started(tmp_path: Path) -> None:
    named = {"FAKTURO_KAFKA": "broker:9092", "DATABASE_URL": "postgresql://me:secret@db:5432/books"}
    stack = Stack(tmp_path / "home", environment=named)
    assert stack.start_parts() == {**named, "FAKTURO_HOME": str(tmp_path / "home")}
    assert [(part.state, part.address) for part in stack.status()] == [
        ("external", "broker:9092"),
        ("external", "db:5432/books"),
    ]


def test_asking_for_addresses_before_the_first_start_is_a_fault(stack: Stack) -> None:
    with pytest.raises(StackFault, match="has not been started yet"):
        stack.environment()


def test_fresh_removes_the_books_and_nothing_else(stack: Stack) -> None:
    stack.start_parts()
    mine = stack.home / "notes.txt"
    mine.write_text("keep me")
    stack.fresh()
    assert [path.name for path in stack.home.iterdir()] == ["notes.txt"]
    mine.unlink()
