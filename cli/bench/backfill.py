"""`fakturo bench backfill`: late events of closed months are absorbed while live traffic goes on, and how it fares.

Place     contracts and events -> the usage agent's handler, on a database of its own, without a broker -> figures.
Like      the runtime: batches, parts of a tick and statements take turns (runtime/processor, watermark), each a
          transaction; a small live batch every `LIVE_PAUSE_SECONDS`, and its statements right after it.
Live      a statement counts as told when its transaction is committed: from the hand-over, turns waited included.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from fakturo.cli.bench.machine import machine
from fakturo.cli.bench.synthetic_contracts import synthetic_rows
from fakturo.cli.bench.usage_events import synthetic_account, synthetic_event
from fakturo.cli.output import console, print_json
from fakturo.cli.stack.postgres import EmbeddedPostgres
from fakturo.consumers.runtime.database import Database, migrate
from fakturo.consumers.runtime.outbox import write_out
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.topics import CONTRACTS, RATED, USAGE

SERVICE_FROM = date(2026, 1, 1)
CLOSED_AT = datetime(2026, 4, 1, tzinfo=UTC)
"""January to March are closed when the late events come; live ones are of April."""
LATE_BATCH = 5_000
LIVE_BATCH = 100
LIVE_PAUSE_SECONDS = 0.02
_CLOSED_SECONDS = 90 * 86_400


@dataclass(slots=True)
class Bench:
    """An agent with its database, and what has been measured of it."""

    agent: UsageAgent
    database: Database
    settings: Settings
    accounts: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    numbers: Iterator[int] = field(default_factory=count)
    live_seconds: list[float] = field(default_factory=list)
    part_seconds: list[float] = field(default_factory=list)
    statements: int = 0
    revisions: int = 0

    async def sign(self) -> None:
        """Give the agent the contracts of its accounts, and let the first quarter of the year pass."""
        rows = list(synthetic_rows(self.accounts, 1, start_on=SERVICE_FROM))
        for start in range(0, len(rows), LATE_BATCH):
            await self._handle([_contract(row, next(self.numbers)) for row in rows[start : start + LATE_BATCH]])
        await self.hand_in(self.accounts * 3, None)
        await self.tick(CLOSED_AT)
        self.part_seconds.clear()
        self.revisions = self.statements = 0

    async def hand_in(self, number: int, watermark_at: datetime | None) -> None:
        """Hand in `number` events, spread over the closed months, in batches."""
        for start in range(0, number, LATE_BATCH):
            size = min(LATE_BATCH, number - start)
            await self._handle([self._late(watermark_at) for _ in range(size)])

    async def tick(self, to: datetime) -> None:
        """Let time reach `to`, in parts that take turns with all else."""
        more = True
        while more:
            began = time.perf_counter()
            async with self.turn, self.database.transaction() as (sql, driver):
                tx = Transaction(self.agent.name, sql, driver, 1)
                more = await self.agent.advance(to, tx)
                await write_out(tx)
                self.revisions += sum(row.topic == RATED.name for row in tx.outbox)
            self.part_seconds.append(time.perf_counter() - began)

    async def live(self, until: asyncio.Event | None, rounds: int = 0) -> None:
        """Hand in live events and publish their statements, `rounds` times or until the event is set."""
        done = 0
        while done < rounds or (until is not None and not until.is_set()):
            done += 1
            began = time.perf_counter()
            await self._handle([self._live() for _ in range(LIVE_BATCH)])
            async with self.turn, self.database.transaction() as (sql, driver):
                tx = Transaction(self.agent.name, sql, driver, 1)
                await self.agent.flush(tx)
                await write_out(tx)
                self.statements += sum(row.topic == RATED.name for row in tx.outbox)
            self.live_seconds.append(time.perf_counter() - began)
            await asyncio.sleep(LIVE_PAUSE_SECONDS)

    async def _handle(self, records: list[Record]) -> None:
        async with self.turn, self.database.transaction() as (sql, driver):
            tx = Transaction(self.agent.name, sql, driver, 1)
            await self.agent.handle(records, tx)
            await write_out(tx)
            if tx.rejections:
                raise RuntimeError(f"the bench's own event was rejected: {tx.rejections[0].message}")

    def _late(self, watermark_at: datetime | None) -> Record:
        number = next(self.numbers)
        at = CLOSED_AT - timedelta(seconds=1 + number * 7919 % _CLOSED_SECONDS)
        return self._record(number, at, watermark_at)

    def _live(self) -> Record:
        number = next(self.numbers)
        return self._record(number, CLOSED_AT + timedelta(seconds=number % 86_400), CLOSED_AT)

    def _record(self, number: int, at: datetime, watermark_at: datetime | None) -> Record:
        account = synthetic_account(number % self.accounts)
        value = synthetic_event(number, account, int(at.timestamp() * 1000))
        return Record(USAGE.name, 0, number, account.encode(), value, (), at, watermark_at)


def _contract(row: OutboxRow, offset: int) -> Record:
    return Record(CONTRACTS.name, 0, offset, row.key, row.value, row.headers, CLOSED_AT)


async def measure(settings: Settings, late_events: int, accounts: int, *, idle_rounds: int = 50) -> dict[str, Any]:
    """Return the figures of absorbing `late_events` while live traffic goes on; the database is migrated and empty."""
    database = Database(settings.database_url)
    bench = Bench(UsageAgent(settings), database, settings, accounts)
    try:
        await bench.sign()
        await bench.live(None, idle_rounds)
        idle, bench.live_seconds = bench.live_seconds, []
        bench.statements = 0
        absorbed = asyncio.Event()
        live = asyncio.create_task(bench.live(absorbed))
        began = time.perf_counter()
        await bench.hand_in(late_events, CLOSED_AT)
        taken_seconds = time.perf_counter() - began
        bench.revisions = 0
        await bench.tick(CLOSED_AT + timedelta(days=1))
        absorbed_seconds = time.perf_counter() - began
        absorbed.set()
        await live
        return {
            "late_events": late_events,
            "accounts": accounts,
            "late_events_per_second": round(late_events / absorbed_seconds),
            "taken_seconds": round(taken_seconds, 2),
            "absorbed_seconds": round(absorbed_seconds, 2),
            "revisions": bench.revisions,
            "tick_parts": len(bench.part_seconds),
            "longest_part_ms": round(max(bench.part_seconds) * 1000),
            "live_statements": bench.statements,
            "live_p50_ms": {"idle": _percentile(idle, 50), "absorbing": _percentile(bench.live_seconds, 50)},
            "live_p99_ms": {"idle": _percentile(idle, 99), "absorbing": _percentile(bench.live_seconds, 99)},
        }
    finally:
        await database.close()


def _percentile(seconds: list[float], percent: int) -> int:
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000)


def run_bench(late_events: int, accounts: int, *, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        server = EmbeddedPostgres(Path(folder))
        try:
            url = server.start()
            migrate(url)
            settings = load_settings(kafka="unused:9092", DATABASE_URL=url, grace_seconds=0)
            with console.status(f"{late_events:,} late events of closed months beside live traffic"):
                figures = asyncio.run(measure(settings, late_events, accounts))
        finally:
            server.stop()
    result = {"command": f"fakturo bench backfill --events {late_events} --accounts {accounts}", **figures}
    if as_json:
        print_json({**result, "machine": machine()})
        return 0
    p50, p99 = figures["live_p50_ms"], figures["live_p99_ms"]
    console.print(
        f"{late_events:,} late events absorbed in {figures['absorbed_seconds']} s ({figures['revisions']:,} statements "
        f"revised, {figures['tick_parts']} parts, the longest {figures['longest_part_ms']} ms). "
        f"{figures['live_statements']:,} live statements beside, p50 {p50['absorbing']} ms, p99 {p99['absorbing']} ms; "
        f"idle {p50['idle']} and {p99['idle']} ms.",
        highlight=False,
    )
    return 0
