"""Usage that was stored as rows before migration 0024 is found in segments after it, each event as it was."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from fakturo.consumers.runtime.database import engine_url
from fakturo.consumers.usage.event_store import find_events, stored_events
from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import Desk, account, all_events, item, reasons, settings_of, subscription

AT = datetime(2026, 1, 31, 23, tzinfo=UTC)


async def migrate_to(url: str, revision: str) -> None:
    """Bring a database to `revision`."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(files("fakturo.migrations")))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    await _run(url, upgrade)


async def _run(url: str, work: Callable[[Connection], Any]) -> None:
    engine = create_async_engine(engine_url(url), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(work)
    await engine.dispose()


async def test_rows_become_segments_and_are_repeats_when_they_come_again(empty_database_url: str) -> None:
    await migrate_to(empty_database_url, "0017")
    connection = await asyncpg.connect(empty_database_url)
    rows = [
        (f"meter/{n % 3}", str(n), b"-", f"A{n % 7}" if n % 2 else "UA", "api.call", AT + timedelta(minutes=n * 7),
         json.dumps({"tokens": str(n), "text": 'ø"{}'}), n % 5 == 0, AT, n % 4, n, AT if n % 6 == 0 else None)
        for n in range(900)
    ]  # fmt: skip
    await connection.executemany(
        "INSERT INTO usage.event (source, id, payload_hash, account_id, type, at, data, late, recorded_at, partition, "
        '"offset", watermark_at) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12)',
        rows,
    )
    await connection.execute(
        'INSERT INTO usage.event_rated (account_id, type, at, partition, "offset", source, id) '
        "SELECT account_id, type, at, partition, \"offset\", source, id FROM usage.event WHERE account_id = 'A1'"
    )
    await migrate_to(empty_database_url, "head")
    facts = [
        (e.source, e.id, e.account_id, e.type, e.at, json.loads(e.data), e.late, e.partition, e.offset, e.watermark_at)
        for e in await all_events(connection)
    ]
    assert facts == sorted(
        (row[0], row[1], row[3], row[4], row[5], json.loads(row[6]), row[7], row[9], row[10], row[11]) for row in rows
    )
    assert len(await find_events(connection, [(row[0], row[1]) for row in rows])) == 900
    async with connection.transaction():
        ours = [e.id async for e in stored_events(connection, "UA", ["api.call"], AT, AT + timedelta(days=9))]
    assert ours == [str(n) for n in range(0, 900, 2)]
    data = await connection.fetchval("SELECT data FROM usage.event_rated WHERE id = '1'")
    assert json.loads(data) == {"tokens": "1", "text": 'ø"{}'}
    desk = Desk(connection, UsageAgent(settings_of()))
    await desk.sign(account(), subscription(item("calls")))
    again = desk.usage("0", AT.isoformat(), source="meter/0", data={"text": 'ø"{}', "tokens": "0"})
    tx = await desk.hand_in(again, desk.usage("2", AT.isoformat(), source="meter/2"), desk.usage("new"))
    assert (tx.outcomes["billing.usage", "duplicate"], reasons(tx)) == (1, ["identity_conflict"])
    await connection.close()
    await asyncio.sleep(0)
