"""The usage agent as it is deployed, one worker or several of one group, measured from outside while it works.

Place     usage.py -> [this] -> worker processes; the book says how far they are.
Fair      the workers are held at the lock of their cursors until all of them have partitions and a batch in hand; then
          the clock starts. It stops when the last event is committed.
Figures   CPU of the workers, of Postgres (all its processes) and of the broker by /proc; by part of the path as the
          worker's own samples say; what the database's backends wait for, looked at each 20 ms.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakturo.cli.bench.machine import cpu_seconds, peak_rss_mb, rss_mb
from fakturo.cli.bench.sampling import PATH_VARIABLE, TELL
from fakturo.cli.bench.topic_reading import reading
from fakturo.cli.bench.usage_book import Book, held, open_book
from fakturo.cli.stack import Stack, background
from fakturo.cli.stack.background import Process
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.topics import USAGE

LOOK_SECONDS = 0.02
SECONDS_MAX = 3600.0
READY_SECONDS_MAX = 60.0
RSS_MARKS = (10, 50, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What every step of the bench needs. A process id is None where the part is not ours."""

    stack: Stack
    settings: Settings
    environment: Mapping[str, str]
    broker_pid: int | None
    database_pid: int | None


@dataclass(slots=True, kw_only=True)
class Measured:
    """What the workers did with the events from one count to another."""

    workers: int
    events: int = 0
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    samples: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    peak_rss_mb: float = 0.0
    rss_mb: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Return events a second."""
        return self.events / self.seconds

    def us(self, cpu: float) -> float:
        """Return CPU seconds as microseconds an event."""
        return round(cpu / self.events * 1e6, 1)

    def by_part(self) -> dict[str, float]:
        """Return CPU microseconds an event: the worker's by part, and that of each process."""
        total = self.samples.total() or 1
        agent = self.cpu["agent"]
        parts = {part: self.us(agent * count / total) for part, count in sorted(self.samples.items())}
        return parts | {name: self.us(cpu) for name, cpu in self.cpu.items()}

    def wait_shares(self) -> dict[str, float]:
        """Return how many backends, on average, were on a CPU, and how many waited for what."""
        return {name: round(count / max(self.looks, 1), 3) for name, count in sorted(self.waits.items())}


async def measure_workers(rig: Rig, workers: int, until: int) -> Measured:
    """Let `workers` workers process the usage topic until `until` of its records are behind; return the figures."""
    measured = Measured(workers=workers)
    async with open_book(rig.settings) as book:
        processes = await _start_held(rig, workers, book)
        try:
            await _watch(rig, processes, book, until, measured)
        finally:
            await asyncio.to_thread(rig.stack.stop_agents)
    return measured


async def topic_end(rig: Rig) -> dict[int, int]:
    """Return where each partition of the usage topic ends now."""
    async with reading(rig.settings, USAGE.name) as topic:
        return {place.partition: offset for place, offset in (await topic.ends()).items()}


def start_sampled(rig: Rig, instance: int) -> Process:
    """Start one worker of the usage agent that samples itself."""
    name = "usage" if not instance else f"usage-{instance}"
    extra = {**rig.environment, "FAKTURO_INSTANCE": str(instance), PATH_VARIABLE: str(_samples(rig, name))}
    command = (background.python(), "-m", "fakturo.cli.bench.sampled_agent", "usage")
    return rig.stack.processes.start(name, command, extra)


async def _start_held(rig: Rig, workers: int, book: Book) -> list[Process]:
    """Start the workers and return when each has a batch in hand."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    async with held(rig.settings):
        processes = [await asyncio.to_thread(start_sampled, rig, instance) for instance in range(workers)]
        while (await book.busy_backends())["Lock"] < workers:
            if time.monotonic() > deadline or not all(process.alive for process in processes):
                tail = background.log_tail(Path(processes[0].log))
                raise TimeoutError(f"{workers} workers have not begun in {READY_SECONDS_MAX:.0f} s:\n{tail}")
            await asyncio.sleep(LOOK_SECONDS)
        await _samples_of(rig, processes)  # what starting has cost
    return processes


async def _watch(rig: Rig, processes: list[Process], book: Book, until: int, measured: Measured) -> None:
    first, started, cpu_before = await book.read_count(), time.perf_counter(), _cpu(rig, processes)
    deadline = time.monotonic() + SECONDS_MAX
    marks = {first + (until - first) * mark // 100: f"{mark}%" for mark in RSS_MARKS}
    while True:
        seen = await book.read_count()
        for count in [count for count in marks if count <= seen]:
            measured.rss_mb[marks.pop(count)] = max(rss_mb(process.pid) for process in processes)
        if seen >= until:
            break
        if time.monotonic() > deadline or not any(process.alive for process in processes):
            tail = background.log_tail(Path(processes[0].log))
            raise TimeoutError(f"the usage agent stands at {seen} of {until} events:\n{tail}")
        measured.waits += await book.busy_backends()
        measured.looks += 1
        await asyncio.sleep(LOOK_SECONDS)
    measured.seconds, measured.events = time.perf_counter() - started, seen - first
    after = _cpu(rig, processes)
    measured.cpu = {name: after[name] - before for name, before in cpu_before.items()}
    measured.samples = await _samples_of(rig, processes)
    measured.peak_rss_mb = max(peak_rss_mb(process.pid) for process in processes)


def _cpu(rig: Rig, processes: list[Process]) -> dict[str, float]:
    cpu = {"agent": sum(cpu_seconds(process.pid) for process in processes)}
    for name, pid in (("database", rig.database_pid), ("broker", rig.broker_pid)):
        if pid is not None:
            cpu[name] = cpu_seconds(pid)
    return cpu


async def _samples_of(rig: Rig, processes: list[Process]) -> Counter[str]:
    """Return the samples that the workers have taken since they were asked last."""
    total: Counter[str] = Counter()
    for process in processes:
        path = _samples(rig, process.name)
        path.unlink(missing_ok=True)
        process.send(TELL)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not path.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{process.name} does not tell its samples")
            await asyncio.sleep(LOOK_SECONDS / 4)
        told: dict[str, Any] = json.loads(path.read_text())
        total.update(told)
    return total


def _samples(rig: Rig, name: str) -> Path:
    return rig.stack.home / f"{name}.samples"
