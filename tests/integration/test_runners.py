"""One conformance test for both runners: kills, stops, freezes and rebalances, and each event has one effect."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from toy_agent import START, make_tables, tick_value

from fakturo.consumers.runtime.settings import Settings

WORKER = Path(__file__).parents[1] / "consumers" / "runtime" / "toy_worker.py"
PAYMENTS, INVOICES = "billing.payments", "billing.invoices"
RUNNERS = pytest.mark.parametrize("runner", ["faust", "bulk"])


class Workers:
    """The worker processes of one test."""

    def __init__(self, runner: str, environment: dict[str, str], log: Path) -> None:
        self.runner = runner
        self.environment = environment
        self.log = log
        self.running: dict[int, asyncio.subprocess.Process] = {}

    async def start(self, instance: int, **extra: str) -> None:
        environment = {**os.environ, **self.environment, "FAKTURO_INSTANCE": str(instance), **extra}
        with self.log.open("ab") as log:
            self.running[instance] = await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), self.runner, env=environment, stderr=log, stdout=log
            )

    async def end(self, instance: int, number: int) -> int:
        process = self.running.pop(instance)
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), 15)

    async def close(self) -> None:
        for process in self.running.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def workers(
    runner: str, environment: dict[str, str], topics: list[str], tmp_path: Path, database_url: str
) -> AsyncIterator[Workers]:
    await make_tables(database_url)
    made = Workers(runner, environment, tmp_path / "workers.log")
    yield made
    await made.close()
    sys.stdout.write(made.log.read_text()[-8000:] if made.log.exists() else "")


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def producing(settings: Settings, name: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=name, linger_ms=2)
    await producer.start()
    yield producer
    await producer.stop()


async def until(holds: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # type: ignore[misc]
            await asyncio.sleep(0.05)


async def send_payments(settings: Settings, count: int, pause: float = 0.0, first: int = 0) -> None:
    async with producing(settings) as producer:
        for number in range(first, first + count):
            topic = settings.topic_prefix + PAYMENTS
            await producer.send(topic, f"ok:p{number}".encode(), partition=number % settings.partitions)
            if pause and number % 50 == 0:
                await asyncio.sleep(pause)
        await producer.flush()


async def send_invoices(settings: Settings, count: int) -> None:
    """Send numbered records in transactions, every third one aborted: markers and unseen records lie between."""
    topic, partitions = settings.topic_prefix + INVOICES, settings.partitions
    async with producing(settings, settings.topic_prefix + "test") as producer:
        number = turn = 0
        while number < count:
            turn += 1
            await producer.begin_transaction()
            batch = range(number, min(number + 37, count))
            for one in batch:
                headers = [("fakturo-sequence", str(one // partitions + 1).encode())]
                await producer.send(topic, f"ok:i{one}".encode(), partition=one % partitions, headers=headers)
            if turn % 3 == 0:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
                number = batch[-1] + 1
            await asyncio.sleep(0.01)


async def counts(watch: asyncpg.Connection) -> tuple[int, int]:
    row = await watch.fetchrow("SELECT count(*), count(DISTINCT name) FROM toy.effect")
    return row[0], row[1]


@RUNNERS
async def test_each_event_has_one_effect_through_kills_freezes_and_rebalances(
    runner: str, workers: Workers, settings: Settings, watch: asyncpg.Connection
) -> None:
    count = 3000
    sending = [
        asyncio.create_task(send_payments(settings, count, pause=0.15)),
        asyncio.create_task(send_invoices(settings, 1000)),
    ]
    chance = random.Random(7)
    await workers.start(0)
    await workers.start(1)
    for _ in range(6):
        await asyncio.sleep(chance.uniform(0.8, 2.0))
        instance = chance.choice((0, 1))
        how = chance.choice(("kill", "stop", "freeze"))
        if how == "freeze":
            workers.running[instance].send_signal(signal.SIGSTOP)
            await asyncio.sleep(7)  # longer than the session: the others take over, then it wakes as a zombie
            workers.running[instance].send_signal(signal.SIGCONT)
        else:
            await workers.end(instance, signal.SIGKILL if how == "kill" else signal.SIGTERM)
            await workers.start(instance)
    await asyncio.gather(*sending)

    async def all_there() -> bool:
        return (await counts(watch))[1] == count + 1000

    await until(all_there)
    assert await counts(watch) == (count + 1000, count + 1000)
    assert await watch.fetchval("SELECT count(*) FROM runtime.outbox WHERE topic = 'billing.ledger'") == count + 1000
    assert await watch.fetchval("SELECT count(*) FROM runtime.dead_letter") == 0


@RUNNERS
async def test_the_cursor_in_postgres_decides_where_to_read(
    runner: str, workers: Workers, settings: Settings, watch: asyncpg.Connection
) -> None:
    """The contract with Faust and aiokafka: on assignment our seek is called. Kafka's own offsets say nothing."""
    await send_payments(settings, 20)
    await watch.execute(
        "INSERT INTO runtime.cursor (agent, topic, partition, next_offset) "
        "VALUES ('ledger', $1, 0, 4), ('ledger', $1, 1, 7)",
        PAYMENTS,
    )
    await workers.start(0)

    async def at_end() -> bool:
        return await watch.fetchval("SELECT sum(next_offset) FROM runtime.cursor WHERE topic = $1", PAYMENTS) == 20

    await until(at_end)
    rows = await watch.fetch(
        'SELECT partition, min("offset") AS first, count(*) AS n FROM toy.effect GROUP BY 1 ORDER BY 1'
    )
    assert [(row["partition"], row["first"], row["n"]) for row in rows] == [(0, 4, 6), (1, 7, 3)]


@RUNNERS
async def test_a_cursor_that_goes_back_is_followed(
    runner: str, workers: Workers, settings: Settings, watch: asyncpg.Connection
) -> None:
    """A fail-over of the database may lose commits: cursor and effects go back together, and are made again."""
    await send_payments(settings, 20)
    await workers.start(0)

    async def all_there() -> bool:
        return (await counts(watch))[1] == 20

    await until(all_there)
    async with watch.transaction():
        await watch.execute('DELETE FROM toy.effect WHERE "offset" >= 5')
        await watch.execute("UPDATE runtime.cursor SET next_offset = 5 WHERE topic = $1", PAYMENTS)
    await send_payments(settings, 2, first=20)

    async def again() -> bool:
        return (await counts(watch))[1] == 22

    await until(again)
    assert await counts(watch) == (22, 22)


@RUNNERS
async def test_a_bug_stops_one_partition_and_the_other_goes_on(
    runner: str, workers: Workers, settings: Settings, watch: asyncpg.Connection
) -> None:
    await workers.start(0)
    async with producing(settings) as producer:
        await producer.send_and_wait(settings.topic_prefix + PAYMENTS, b"bug", partition=0)
        await send_payments(settings, 40)

    async def other_half() -> bool:
        return (await counts(watch))[0] == 20

    await until(other_half)
    await asyncio.sleep(0.5)
    rows = await watch.fetch("SELECT partition, next_offset FROM runtime.cursor WHERE topic = $1 ORDER BY 1", PAYMENTS)
    assert [tuple(row) for row in rows] == [(0, 0), (1, 20)]


@RUNNERS
async def test_ticks_advance_time_and_sigterm_ends_within_seconds(
    runner: str, workers: Workers, settings: Settings, watch: asyncpg.Connection
) -> None:
    await workers.start(0)
    await workers.start(1)
    async with producing(settings) as producer:
        for partition in range(settings.partitions):
            await producer.send(settings.topic_prefix + PAYMENTS, tick_value(3), partition=partition)
            headers = [("fakturo-sequence", b"1")]
            await producer.send(settings.topic_prefix + INVOICES, tick_value(2), partition=partition, headers=headers)
        await producer.flush()

    async def advanced() -> bool:
        return await watch.fetchval("SELECT at FROM runtime.watermark") == START + timedelta(days=2)

    await until(advanced)
    assert await watch.fetchval("SELECT count(*) FROM toy.step WHERE kind = 'advance'") == 1
    started = asyncio.get_running_loop().time()
    assert await workers.end(0, signal.SIGTERM) == 0
    assert asyncio.get_running_loop().time() - started < 6
