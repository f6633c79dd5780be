"""What the processor's tests stand on: a toy agent over this test's own database."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import asyncpg
import pytest
from toy_agent import Toy, make_tables

from fakturo.consumers.runtime.cursor import ensure_cursors
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.processor import Processor
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.watermark import Timekeeper
from fakturo.schemas.topics import read_by


@pytest.fixture
def toy_settings(database_url: str) -> Settings:
    return Settings(
        kafka="127.0.0.1:1", DATABASE_URL=database_url, partitions=2, event_bytes_max=1000, interim_seconds=0
    )


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection that looks at the books from outside, with the toy's tables made."""
    await make_tables(database_url)
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def worker(toy_settings: Settings, watch: asyncpg.Connection) -> AsyncIterator[SimpleNamespace]:
    """Return one worker of the toy agent: `toy`, `health`, `process(slices)`, `time`, `database`."""
    made = await make_worker(toy_settings)
    yield made
    await made.database.close()


@pytest.fixture
async def second_worker(toy_settings: Settings, watch: asyncpg.Connection) -> AsyncIterator[SimpleNamespace]:
    """Return another worker of the same agent, with connections of its own."""
    made = await make_worker(toy_settings)
    yield made
    await made.database.close()


@pytest.fixture
async def invoicing_worker(toy_settings: Settings, watch: asyncpg.Connection) -> AsyncIterator[SimpleNamespace]:
    """Return a worker of a toy that reads what `invoicing` reads: `billing.ledger` comes back to it as feedback."""
    made = await make_worker(toy_settings, "invoicing")
    yield made
    await made.database.close()


async def make_worker(settings: Settings, name: str = "ledger") -> SimpleNamespace:
    toy, health = Toy(name), Health(name)
    database = Database(settings.database_url)
    async with database.transaction() as (_, driver):
        await ensure_cursors(driver, toy.name, {topic.name: settings.partitions for topic in read_by(toy.name)})
    processor = Processor(toy, database, settings, health)
    timekeeper = Timekeeper(toy, database, settings, health)
    return SimpleNamespace(
        toy=toy, health=health, database=database, process=processor.process, time=timekeeper, processor=processor
    )
