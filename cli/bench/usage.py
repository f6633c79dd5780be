"""`fakturo bench usage`: the usage path beside its baselines, in one run on one stack.

Steps     1 broker and database (embedded; FAKTURO_KAFKA and DATABASE_URL; or `--kafka apache`), fsync and
            synchronous_commit on; the contracts, which the `usage` agent reads before there is any usage;
          2 the events on `billing.usage`; `baseline_read`: only read and decode them;
          3 the `usage` agent as it is deployed, from an empty book to the last event (usage_workers);
          4 as asked: more events with poison, more with many stored (usage_prefill), two and four workers;
          5 events at half of the rate of 3: from publication to statement (usage_latency);
          6 `baseline_faust`: the same handler under stock Faust, an event at a time and `take(1000)`.
Figures   events a second by the wall clock, CPU of processes by /proc, memory. usage_report says what they are called.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fakturo.cli.bench.contracts import contract_rows, stamped
from fakturo.cli.bench.synthetic_contracts import synthetic_rows
from fakturo.cli.bench.usage_book import open_book, wait_until
from fakturo.cli.bench.usage_events import UsageLine, poisoned, publish, usage_events
from fakturo.cli.bench.usage_latency import measure_latency
from fakturo.cli.bench.usage_load import PREFIX
from fakturo.cli.bench.usage_report import Report, Stored, print_report
from fakturo.cli.bench.usage_workers import Measured, Rig, measure_workers, topic_end
from fakturo.cli.lifecycle import prepare
from fakturo.cli.output import console, print_json
from fakturo.cli.stack import Stack, StackFault
from fakturo.cli.stack.kafka import ApacheKafka
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.producers.simulate.year import open_producer
from fakturo.schemas.topics import CONTRACTS, USAGE

STOCK_EVENTS = 4_000
"""Enough for a steady rate of a path that does some hundreds of events a second."""
TAKE = 1000
CHILD_SECONDS_MAX = 7200.0
FIRST_STORED = 1_000_000
LATENCY_ACCOUNTS = 500
PERIOD_ON, LATENCY_PERIOD_ON = date(2013, 1, 1), date(2014, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured. Without `accounts` the events are flights; steps that were not asked for are 0 (one worker)."""

    events: int = 200_000
    accounts: int | None = None
    poison: int = 0
    workers: int = 1
    stored: int = 0
    apache: bool = False
    stock_events: int = STOCK_EVENTS
    latency_seconds: float = 10.0

    @property
    def command(self) -> str:
        """Return the command line that measures this."""
        given = {"accounts": self.accounts, "poison": self.poison, "stored": self.stored}
        options = [f" --{name} {value}" for name, value in given.items() if value]
        options += [f" --workers {self.workers}"] if self.workers > 1 else []
        options += [" --kafka apache"] if self.apache else []
        return f"fakturo bench usage --events {self.events}" + "".join(options)


def run_bench(plan: Plan, *, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-", ignore_cleanup_errors=True) as folder:
        result = measure(plan, Path(folder)).document()
    if as_json:
        print_json(result)
    else:
        print_report(result)
    return 0


def measure(plan: Plan, folder: Path) -> Report:
    """Measure `plan` on a stack of its own under `folder`."""
    with _rig(plan, folder) as rig:
        bench = _Bench(plan, rig)
        bench.agree()
        bench.main()
        bench.variations()
        bench.latency()
        if plan.workers > 1:
            bench.more_workers()
        bench.stock()
        return bench.report


@contextmanager
def _rig(plan: Plan, folder: Path) -> Iterator[Rig]:
    with ExitStack() as ending:
        kafka, given = None, {}
        if plan.apache:
            try:
                kafka = ending.enter_context(ApacheKafka(folder / "kafka"))
            except StackFault as fault:
                raise SettingsFault(str(fault)) from fault
            given = {"FAKTURO_KAFKA": kafka.bootstrap}
        stack = Stack(folder / "home", environment={**os.environ, **given})
        ending.callback(stack.fresh)
        with console.status("starting broker and database"):
            parts = stack.start_parts()
            settings = prepare(parts, stack.home, keep_producer_time=True)
        embedded = stack.broker.process
        database = stack.database.process
        yield Rig(
            stack=stack,
            settings=settings,
            # Without a data folder stock Faust makes folders where it is started.
            environment={
                **parts,
                "FAKTURO_GRACE_SECONDS": "0",
                "FAKTURO_LOG_FORMAT": "console",
                "APP_DATADIR": str(stack.home / "faust"),
            },
            broker_pid=kafka.pid(1) if kafka else embedded.pid if embedded else None,
            database_pid=database.pid if database else None,
        )


@dataclass(slots=True)
class _Bench:
    """The steps of one run; each leaves its figures in `report`."""

    plan: Plan
    rig: Rig
    report: Report = field(init=False)
    numbered: int = 0
    """Events that were made so far: each has a number of its own."""
    published_bytes: int = 0
    stored: int = 0
    """What the book holds."""

    def __post_init__(self) -> None:
        broker = "Apache Kafka" if self.plan.apache else "embedded" if self.rig.broker_pid else "FAKTURO_KAFKA"
        self.report = Report(command=self.plan.command, events=self.plan.events, broker=broker)

    def agree(self) -> None:
        """Publish the contracts and let the usage agent read them."""
        with console.status("contracts"):
            asyncio.run(self._agree())

    async def _agree(self) -> None:
        settings, count = self.rig.settings, self.rig.settings.partitions
        rows = await contract_rows(settings)
        if self.plan.accounts:
            rows += synthetic_rows(self.plan.accounts, count, start_on=PERIOD_ON)
        rows += synthetic_rows(self.latency_accounts, count, start_on=LATENCY_PERIOD_ON, prefix=PREFIX)
        async with open_producer(settings) as producer:
            topic = settings.topic_prefix + CONTRACTS.name
            for row in stamped(rows):
                await producer.send(topic, row.value, key=row.key, partition=row.partition, headers=list(row.headers))
            await producer.flush()
        async with open_book(settings) as book:

            async def _read() -> bool:
                return await book.read_count(CONTRACTS) >= len(rows)

            await asyncio.to_thread(self.rig.stack.start_worker, "usage", environment=self.rig.environment)
            try:
                await wait_until(_read, "the contracts are read", seconds=CHILD_SECONDS_MAX)
            finally:
                await asyncio.to_thread(self.rig.stack.stop_agents)

    @property
    def latency_accounts(self) -> int:
        return self.plan.accounts or LATENCY_ACCOUNTS

    def main(self) -> None:
        """Only reading and decoding, then the agent, from an empty book."""
        self._publish(self._more_events())
        self.report.event_bytes = self.published_bytes / self.plan.events
        with console.status("only reading and decoding"):
            self.report.read = self._child("baseline_read", str(self.plan.events))
        self.report.main = self._workers("the usage agent", 1, begin_at={})
        asyncio.run(self._sizes())

    async def _sizes(self) -> None:
        async with open_book(self.rig.settings) as book:
            self.report.bytes_stored = await book.bytes_stored()
            self.report.rollups = await book.rollup_count()

    def variations(self) -> None:
        """What was asked for beside the main measurement."""
        if self.plan.poison:
            self._publish(poisoned(self._more_events(), self.plan.poison))
            self.report.poison_percent = self.plan.poison
            self.report.poisoned = self._workers(f"{self.plan.poison} % poison", 1)
        if self.plan.stored:
            self._stored()

    def _stored(self) -> None:
        """Measure as many events after a million stored, and after as many as were asked for."""
        for target in sorted({min(FIRST_STORED, self.plan.stored), self.plan.stored}):
            missing = max(target - self.stored, 0)
            if missing:
                with console.status(f"storing events up to {target:,}"):
                    self._child("usage_prefill", str(missing), str(self.numbered), str(self.plan.accounts or 0))
                self.numbered, self.stored = self.numbered + missing, self.stored + missing
            before = self.stored
            self._publish(self._more_events())
            self.report.stored.append(Stored(before, self._workers(f"with {before:,} events stored", 1)))

    def latency(self) -> None:
        """From publication to statement, at half the rate."""
        rate = max(self.report.main.rate / 2, 1.0)
        with console.status(f"half the load: {rate:,.0f} events a second"):
            self.report.latency = asyncio.run(
                measure_latency(self.rig, self.latency_accounts, rate, self.plan.latency_seconds)
            )

    def more_workers(self) -> None:
        """Two and four workers, each time with as many new events onto an empty book.

        Nothing that needs all partitions comes after it: the group keeps those of members that have left for a while.
        """
        self.report.by_workers = [self.report.main]
        for workers in (2, 4)[: self.plan.workers // 2]:
            before = asyncio.run(topic_end(self.rig))
            self._publish(self._more_events())
            self.report.by_workers.append(self._workers(f"{workers} workers", workers, begin_at=before))

    def stock(self) -> None:
        """The same handler under stock Faust, an event at a time and in batches."""
        stock = self.plan.stock_events
        for name, count, take in (("event", stock, 1), ("take", 20 * stock, TAKE)):
            with console.status(f"the same handler under stock Faust: {name}"):
                asyncio.run(self._empty({}))
                count = min(self.plan.events, count)
                self.report.stock[name] = self._child("baseline_faust", str(count), str(take))

    def _more_events(self) -> Iterator[UsageLine]:
        first, self.numbered = self.numbered, self.numbered + self.plan.events
        return usage_events(self.plan.events, self.plan.accounts, first=first)

    def _publish(self, lines: Iterator[UsageLine]) -> None:
        with console.status(f"publishing {self.plan.events:,} events"):
            self.published_bytes = asyncio.run(self._publish_all(lines))

    async def _publish_all(self, lines: Iterator[UsageLine]) -> int:
        settings = self.rig.settings
        async with open_producer(settings) as producer:
            return await publish(producer, settings.topic_prefix + USAGE.name, settings.partitions, lines)

    def _workers(self, what: str, workers: int, *, begin_at: dict[int, int] | None = None) -> Measured:
        """Measure `workers` from where the cursor stands, or on an empty book from `begin_at`, to the topic's end."""
        with console.status(what):
            if begin_at is not None:
                asyncio.run(self._empty(begin_at))
                self.stored = 0
            until = sum(asyncio.run(topic_end(self.rig)).values())
            measured = asyncio.run(measure_workers(self.rig, workers, until))
        self.stored += measured.events
        return measured

    async def _empty(self, begin_at: dict[int, int]) -> None:
        async with open_book(self.rig.settings) as book:
            await book.empty()
            await book.begin_at(begin_at)

    def _child(self, module: str, *arguments: str) -> dict[str, float]:
        command = [sys.executable, "-m", f"fakturo.cli.bench.{module}", *arguments]
        environment = {**os.environ, **self.rig.environment}
        done = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=CHILD_SECONDS_MAX, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures
