"""The live view of a demo: what was published, how far each agent is, statements, invoices and lag.

Place     polls Postgres four times a second on a connection of its own; draws a rich table.
"""

import asyncio
import time
from typing import Any

import asyncpg
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table

from fakturo.cli.agents import AGENTS
from fakturo.consumers.runtime.settings import Settings

POLL_SECONDS = 0.25
LINE_SECONDS = 10.0
_COUNTS = """
SELECT (SELECT count(*) FROM usage.statement) AS statements,
       (SELECT count(*) FROM invoicing.invoice) AS invoices,
       (SELECT count(*) FROM ledger.journal) AS journals,
       (SELECT count(*) FROM kpi.value) AS kpis,
       (SELECT count(*) FROM crm_sync.written WHERE NOT dirty) AS records_written_back,
       (SELECT count(*) FROM runtime.dead_letter) AS dead_letters,
       (SELECT count(*) FROM runtime.parked) AS parked
"""
_EVENTS = "SELECT coalesce(sum(event_count), 0)::bigint FROM usage.segment"
_AGENTS = """
SELECT c.agent, min(c.watermark_at) AS reached_at,
       coalesce((SELECT sum(s.last_sequence - r.last_sequence) FROM runtime.cursor r
                 JOIN runtime.outbox_sequence s USING (topic, partition)
                 WHERE r.agent = c.agent AND r.last_sequence > 0), 0) AS behind
  FROM runtime.cursor c GROUP BY c.agent
"""


class View:
    """What the screen shows; `published` and `paid` are told by the driver, the rest is polled."""

    def __init__(self, event_count: int) -> None:
        self.event_count = event_count
        self.events_published = 0
        self.payments = 0
        self.events_read = 0
        self.counts: dict[str, int] = {}
        self.agents: dict[str, Any] = {}
        self.started = time.monotonic()

    def published(self, count: int) -> None:
        """Note the usage events published so far."""
        self.events_published = count

    def paid(self, count: int) -> None:
        """Note the payments published so far."""
        self.payments = count

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the progress of usage and a row for each agent."""
        head = Table.grid(padding=(0, 2))
        for name, value in (("usage published", self.events_published), ("usage billed", self.events_read)):
            bar = ProgressBar(total=self.event_count, completed=value, width=40)
            head.add_row(name, bar, f"{value:,} of {self.event_count:,}")
        body = Table(box=None, header_style="bold")
        for column in ("agent", "time reached", "events behind", "books"):
            body.add_column(column, justify="right" if column == "events behind" else "left")
        for agent in AGENTS:
            row = self.agents.get(agent)
            reached = row["reached_at"].date().isoformat() if row and row["reached_at"] else "-"
            body.add_row(agent, reached, f"{row['behind']:,}" if row else "-", self._books(agent))
        seconds = time.monotonic() - self.started
        yield Group(head, body, f"{self.payments:,} payments, {seconds:.0f} s")

    def line(self) -> str:
        """Return the same in a line, for a log."""
        shown = ", ".join(f"{self.counts.get(name, 0):,} {name}" for name in ("statements", "invoices", "journals"))
        seconds = time.monotonic() - self.started
        return f"{seconds:.0f} s: {self.events_read:,} of {self.event_count:,} flights billed, {shown}"

    def _books(self, agent: str) -> str:
        shown = {
            "contracts": ("parked",),
            "usage": ("statements", "dead_letters"),
            "invoicing": ("invoices",),
            "ledger": ("journals",),
            "kpi": ("kpis",),
            "crm_sync": ("records_written_back",),
        }[agent]
        return ", ".join(f"{self.counts.get(name, 0):,} {name.replace('_', ' ')}" for name in shown)


async def observe(settings: Settings, view: View, console: Console) -> None:
    """Poll until cancelled; where `console` is no terminal, which shows no live view, print a line now and then."""
    connection = await asyncpg.connect(settings.database_url)
    last_line = time.monotonic()
    try:
        while True:
            view.counts = dict(await connection.fetchrow(_COUNTS) or {})
            view.agents = {row["agent"]: row for row in await connection.fetch(_AGENTS)}
            view.events_read = await connection.fetchval(_EVENTS)
            if not console.is_terminal and time.monotonic() - last_line >= LINE_SECONDS:
                console.print(view.line(), highlight=False)
                last_line = time.monotonic()
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()
