"""`fakturo bench explain`: how long an invoice line takes to be explained with so many events stored.

Place     explain_book (a billed month among the events of others) -> cli/explain, its query part -> figures.
Cold      the first answer is on a new connection to a database that was restarted; the others follow on their own.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.bench.explain_book import OWN_EVENTS, bill_a_month, store_others
from fakturo.cli.bench.machine import machine
from fakturo.cli.explain.explaining import explain
from fakturo.cli.output import console, print_json
from fakturo.cli.stack.postgres import EmbeddedPostgres
from fakturo.consumers.runtime.database import Database, migrate
from fakturo.consumers.runtime.settings import Settings, load_settings

REPEATS = 20
EVENTS_SHOWN = 20


async def fill(settings: Settings, events: int) -> tuple[str, int]:
    """Fill the book; return the id of the line to be explained, and how many segments hold the events of others."""
    database = Database(settings.database_url)
    try:
        line = await bill_a_month(database, settings)
        return line, await store_others(database, events)
    finally:
        await database.close()


async def measure(url: str, line: str) -> dict[str, Any]:
    """Return the milliseconds that the line takes: the first time, the median and the longest of the repeats."""
    connection = await asyncpg.connect(url)
    try:
        took = [await _explained_ms(connection, line) for _ in range(REPEATS + 1)]
        held = await connection.fetchval("SELECT sum(event_count)::bigint FROM usage.segment")
    finally:
        await connection.close()
    first, ordered = took[0], sorted(took[1:])
    return {
        "events_stored": held,
        "first_ms": round(first, 1),
        "p50_ms": round(ordered[len(ordered) // 2], 1),
        "max_ms": round(ordered[-1], 1),
    }


async def _explained_ms(connection: asyncpg.Connection, line: str) -> float:
    began = time.perf_counter()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        answer = await explain(connection, line, EVENTS_SHOWN)
    took = (time.perf_counter() - began) * 1000
    if answer is None or answer.used is None or answer.used.event_count != OWN_EVENTS or answer.events is None:
        raise RuntimeError(f"line {line} was not explained by its {OWN_EVENTS} events")
    if len(answer.events.shown) != EVENTS_SHOWN or sum(step.amount for step in answer.steps) != answer.amount:
        raise RuntimeError(f"line {line} was not explained whole")
    return took


def run_bench(events: int, *, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        server = EmbeddedPostgres(Path(folder))
        try:
            url = server.start()
            migrate(url)
            with console.status(f"an invoice line among {events:,} stored events"):
                line, segments = asyncio.run(
                    fill(load_settings(kafka="unused:9092", DATABASE_URL=url, grace_seconds=0), events)
                )
                server.stop()
                url = server.start()
                figures = asyncio.run(measure(url, line))
        finally:
            server.stop()
    result = {"command": f"fakturo bench explain --events {events}", "segments": segments, **figures}
    if as_json:
        print_json({**result, "machine": machine()})
    else:
        console.print(
            f"{figures['events_stored']:,} events stored: a line is explained in {figures['p50_ms']} ms, at most "
            f"{figures['max_ms']} ms; the first time, after a restart, in {figures['first_ms']} ms.",
            highlight=False,
        )
    return 0
