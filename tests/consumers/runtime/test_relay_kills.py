"""The relay's process under kill -9 while others write: a read_committed reader sees each row once, gapless."""

import asyncio
import contextlib
import os
import random
import sys

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.consumers.runtime.transaction import encode_headers

AGENT, TOPIC = "invoicing", "billing.invoices"
KILLS = 10
WRITERS = 3
STILL_SECONDS_MAX = 60.0
"""How many rows the writers get in depends on the machine, so the time for them counts from the last that moved."""
MAIN = (
    "import asyncio; from fakturo.consumers.runtime.relay import run_relay; "
    "from fakturo.consumers.runtime.settings import load_settings; "
    "asyncio.run(run_relay(load_settings(), ['invoicing']))"
)

pytestmark = pytest.mark.integration


async def write(url: str, partitions: int, writer: int, told: asyncio.Event) -> int:
    """Add rows in transactions of all sizes, some rolled back, some held open while others commit; return how many."""
    chance = random.Random(writer)
    connection = await asyncpg.connect(url)
    written = 0
    while not told.is_set():
        size = chance.choice((1, 3, 20, 300))
        rows = [
            (AGENT, TOPIC, (written + n) % partitions, f"{writer}".encode(), f"{writer}:{written + n}".encode(), b"[]")
            for n in range(size)
        ]
        transaction = connection.transaction()
        await transaction.start()
        await connection.executemany(
            "INSERT INTO runtime.outbox (agent, topic, partition, key, value, headers) VALUES ($1, $2, $3, $4, $5, $6)",
            rows,
        )
        await asyncio.sleep(chance.choice((0, 0, 0.005, 0.1)))
        if chance.random() < 0.1:
            await transaction.rollback()
            continue
        await transaction.commit()
        written += size
    await connection.close()
    return written


async def spawn(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAIN, env={**os.environ, **environment}, stderr=asyncio.subprocess.DEVNULL
    )


async def read_all(settings: Settings) -> dict[int, list[ConsumerRecord]]:
    """Return what a read_committed consumer sees up to the high watermarks (the last stable offsets may lag)."""
    places = [TopicPartition(settings.topic_prefix + TOPIC, number) for number in range(settings.partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False) as looking:
        ends = await looking.end_offsets(places)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign(places)
    await consumer.seek_to_beginning()
    records: dict[int, list[ConsumerRecord]] = {number: [] for number in range(settings.partitions)}
    async with asyncio.timeout(STILL_SECONDS_MAX) as limit:
        for place in places:
            while await consumer.position(place) < ends[place]:
                for found, batch in (await consumer.getmany(timeout_ms=100)).items():
                    records[found.partition].extend(batch)
                    limit.reschedule(asyncio.get_running_loop().time() + STILL_SECONDS_MAX)
    await consumer.stop()
    return records


async def test_each_row_is_seen_once_and_gapless_although_the_relay_is_killed_again_and_again(
    settings: Settings, environment: dict[str, str]
) -> None:
    assert encode_headers([]) == b"[]"
    await apply_topics(settings)
    told = asyncio.Event()
    url, count = settings.database_url, settings.partitions
    writers = [asyncio.create_task(write(url, count, number, told)) for number in range(WRITERS)]
    chance = random.Random(2)
    connection = await asyncpg.connect(settings.database_url)
    for _ in range(KILLS):
        before = await published_position(connection)
        process = await spawn(environment)
        while await published_position(connection) == before:
            await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0, 0.4))
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    told.set()
    written = await asyncio.gather(*writers)
    process = await spawn(environment)
    await drained(connection)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 15) == 0
    await connection.close()

    partitions = await read_all(settings)
    values = [record.value.decode() for batch in partitions.values() for record in batch]
    expected = [f"{writer}:{n}" for writer, count in enumerate(written) for n in range(count)]
    assert sorted(values) == sorted(expected), f"{len(values)} seen, {len(expected)} written"
    for batch in partitions.values():
        assert [int(dict(record.headers)["fakturo-sequence"]) for record in batch] == list(range(1, len(batch) + 1))
        for writer in range(WRITERS):
            own = [int(r.value.split(b":")[1]) for r in batch if r.key == str(writer).encode()]
            assert own == sorted(own), "a writer's rows keep their order in their partition"


async def drained(connection: asyncpg.Connection) -> None:
    """Wait until the outbox is empty, for as long as rows leave it."""
    before = None
    async with asyncio.timeout(STILL_SECONDS_MAX) as limit:
        while left := await connection.fetchval("SELECT count(*) FROM runtime.outbox"):
            if left != before:
                limit.reschedule(asyncio.get_running_loop().time() + STILL_SECONDS_MAX)
            before = left
            await asyncio.sleep(0.05)


async def published_position(connection: asyncpg.Connection) -> int:
    found = await connection.fetchval("SELECT published_position FROM runtime.relay WHERE agent = $1", AGENT)
    return int(found or 0)
