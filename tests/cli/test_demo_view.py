"""The demo's live view: a row for each agent on a terminal, and figures that come from the books."""

import asyncio

import asyncpg
from rich.console import Console

from fakturo.cli.agents import AGENTS
from fakturo.cli.demo_view import View, observe
from tests.cli.company import CALLS, Company, account, item, settings_of, subscription


def test_a_terminal_shows_every_agent() -> None:
    console = Console(force_terminal=True, width=120, record=True)
    console.print(View(10))
    shown = console.export_text()
    assert all(agent in shown for agent in AGENTS)


async def test_events_and_books_are_counted_as_they_are_stored(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    company = Company(connection)
    await company.sign(account(), subscription(item("calls", meter=CALLS)))
    await company.use("2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z", "2026-02-01T10:00:00Z")
    view = View(3)
    watching = asyncio.create_task(observe(settings_of(database_url=database_url), view, Console(width=120)))
    while not view.events_read and not watching.done():
        await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await connection.close()
    assert view.line().endswith("s: 3 of 3 flights billed, 0 statements, 0 invoices, 0 journals")
    assert view.counts["records_written_back"] == 0
