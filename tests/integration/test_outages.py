"""Broker and database go away and come back while a worker runs: it waits, says so, and loses and doubles nothing."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from toy_agent import make_tables

from fakturo.cli.stack.broker import EmbeddedBroker
from fakturo.cli.stack.postgres import EmbeddedPostgres
from fakturo.consumers.runtime.database import migrate
from fakturo.consumers.runtime.settings import load_settings
from fakturo.consumers.runtime.topic_admin import apply_topics

WORKER = Path(__file__).parents[1] / "consumers" / "runtime" / "toy_worker.py"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker(tmp_path / "broker")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path / "postgres")
    made.start()
    yield made
    made.stop()


async def send(bootstrap: str, first: int, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for number in range(first, first + count):
        await producer.send_and_wait("billing.payments", f"ok:p{number}".encode(), partition=number % 2)
    await producer.stop()


async def wait_for_effects(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT count(DISTINCT name) FROM toy.effect") < count:
            await asyncio.sleep(0.05)
    assert await connection.fetchval("SELECT count(*) FROM toy.effect") == count
    await connection.close()


async def wait_for_words(log: Path, words: str, times: int = 1) -> None:
    async with asyncio.timeout(30):
        while log.read_text().count(words) < times:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("runner", ["faust", "bulk"])
async def test_a_worker_sits_out_a_broker_and_a_database_that_go_away(
    runner: str, broker: EmbeddedBroker, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = await asyncio.to_thread(postgres.start)
    environment = {
        "FAKTURO_KAFKA": broker.bootstrap,
        "DATABASE_URL": url,
        "FAKTURO_PARTITIONS": "2",
        "FAKTURO_SESSION_SECONDS": "6",
        "FAKTURO_HOME": str(tmp_path / "home"),
    }
    log = tmp_path / "worker.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), runner, env={**os.environ, **environment}, stderr=out, stdout=out
        )
    try:
        await wait_for_words(log, "run `fakturo migrate`")
        await asyncio.to_thread(migrate, url)
        await make_tables(url)
        await wait_for_words(log, "run `fakturo topics apply`")
        await apply_topics(load_settings(kafka=broker.bootstrap, DATABASE_URL=url, partitions=2))
        await send(broker.bootstrap, 0, 20)
        await wait_for_effects(url, 20)

        await asyncio.to_thread(broker.stop)
        await wait_for_words(log, "none of 127.0.0.1")
        await asyncio.to_thread(broker.start)
        await send(broker.bootstrap, 20, 20)
        await wait_for_effects(url, 40)

        await asyncio.to_thread(postgres.stop)
        await send(broker.bootstrap, 40, 20)
        await wait_for_words(log, '"waits_for": "the database"', times=2)  # the first was about the migrations
        await asyncio.to_thread(postgres.start)
        await wait_for_effects(url, 60)
        assert process.returncode is None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        sys.stdout.write(log.read_text()[-6000:])
