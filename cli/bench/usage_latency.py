"""From a usage event's publication to the running statement that holds it, on `billing.rated`, at half the load.

Place     usage.py -> [this]: usage_load publishes -> usage agent -> relay -> a reader of committed records, here.
Clock     of the machine. An event's time runs from the moment it was handed to the producer until the reader has the
          first statement of its item that holds it. An account has one item and one partition, in order: a statement
          whose `recorded_at` is the event's moment or later holds it. The relay, two more clients and the load itself
          share the cores with what is measured.
"""

import asyncio
import json
import os
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fakturo.cli.bench.salesforce_latency import percentile_ms
from fakturo.cli.bench.topic_reading import TopicReader, reading
from fakturo.cli.bench.usage_book import Book, open_book, wait_until
from fakturo.cli.bench.usage_events import send, synthetic_account, synthetic_event
from fakturo.cli.bench.usage_load import PERIOD_MS, PREFIX
from fakturo.cli.bench.usage_workers import Rig, start_sampled, topic_end
from fakturo.producers.simulate.year import open_producer
from fakturo.schemas.codec import decode_event
from fakturo.schemas.events.usage import UsageRated
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import RATED, USAGE

READY_SECONDS_MAX = 300.0
DRAIN_SECONDS_MAX = 120.0
_FIRST = 2**40
"""Numbers of events that come before all that are measured, of accounts that nobody knows: they are parked."""

Statements = dict[str, list[tuple[int, float]]]
"""By account what came: the newest event that the statement holds, in ms since 1970, and when it was read, in s."""


@dataclass(slots=True)
class Reader:
    """Reads statements as they are published."""

    statements: Statements = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    async def follow(self, topic: TopicReader) -> None:
        """Note what comes, for ever."""
        await topic.follow(await topic.ends())
        while True:
            records = await topic.next()
            at = time.time()
            for record in records:
                data = decode_event(record.value, record.headers).data
                if isinstance(data, UsageRated) and data.recorded_at is not None:
                    self.statements[data.account].append((round(data.recorded_at.timestamp() * 1000), at))
                    self.count += 1


async def measure_latency(rig: Rig, accounts: int, rate: float, seconds: float) -> dict[str, Any]:
    """Publish `rate` events a second for `seconds` onto an empty book; return percentiles and what was reached."""
    async with open_book(rig.settings) as book, reading(rig.settings, RATED.name) as topic:
        await _ready(rig, book)
        reader = Reader()
        following = asyncio.create_task(reader.follow(topic))
        try:
            load, moments = await _load(rig, accounts, rate, seconds)
            with suppress(TimeoutError):  # what has no statement by then is counted as such
                await _answered(reader.statements, moments, accounts)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await asyncio.to_thread(rig.stack.stop_agents)
    taken = latencies(moments, reader.statements, accounts)
    return {
        "latency_p50_ms": percentile_ms(taken, 0.5) if taken else None,
        "latency_p99_ms": percentile_ms(taken, 0.99) if taken else None,
        "latency_max_ms": percentile_ms(taken, 1.0) if taken else None,
        "latency_events": len(moments),
        "latency_unanswered": len(moments) - len(taken),
        "latency_events_per_second": round(load["events"] / load["seconds"]),
        "latency_accounts": accounts,
        "statements_per_second": round(reader.count / _span(reader.statements)),
    }


async def _ready(rig: Rig, book: Book) -> None:
    """Start worker and relay on an empty book, at the usage topic's end; return once both work."""
    await book.empty()
    await book.begin_at(await topic_end(rig))
    before = await book.read_count()
    await asyncio.to_thread(start_sampled, rig, 0)
    await asyncio.to_thread(rig.stack.start_worker, "relay", environment=rig.environment)
    await _first_events(rig)

    async def is_ready() -> bool:
        return await book.read_count() >= before + rig.settings.partitions and not await book.waiting_to_be_published()

    await wait_until(is_ready, "worker and relay are at work", seconds=READY_SECONDS_MAX)


async def _first_events(rig: Rig) -> None:
    """Publish one event to each partition: once they are read, the worker has its seat."""
    topic, partitions = rig.settings.topic_prefix + USAGE.name, rig.settings.partitions
    accounts = {
        partition_for(name, partitions): name for name in (f"{PREFIX}-first-{n}" for n in range(64 * partitions))
    }
    async with open_producer(rig.settings) as producer:
        for partition, account in accounts.items():
            value = synthetic_event(_FIRST + partition, account, PERIOD_MS)
            await send(producer, topic, partition, [(account, value, time.time_ns() // 1_000_000)])
        await producer.flush()


async def _load(rig: Rig, accounts: int, rate: float, seconds: float) -> "tuple[Mapping[str, float], array[int]]":
    path = rig.stack.home / "moments"
    command = ("-m", "fakturo.cli.bench.usage_load", str(accounts), str(rate), str(seconds), str(path))
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **rig.environment}, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await running.communicate()
    if running.returncode:
        raise RuntimeError(f"the load ended with {running.returncode}")
    moments: array[int] = array("q")
    moments.frombytes(path.read_bytes())
    return json.loads(told), moments


async def _answered(statements: Statements, moments: Sequence[int], accounts: int) -> None:
    """Wait until each account's newest event is in a statement."""
    last = range(max(len(moments) - accounts, 0), len(moments))
    newest = {synthetic_account(number % accounts, PREFIX): moments[number] for number in last}

    async def all_are() -> bool:
        return all(statements[name] and statements[name][-1][0] >= at for name, at in newest.items())

    await wait_until(all_are, "statements of all events", seconds=DRAIN_SECONDS_MAX)


def latencies(
    moments: Sequence[int], statements: Mapping[str, Sequence[tuple[int, float]]], accounts: int
) -> list[float]:
    """Return, of each event that a statement holds, the seconds until the first such statement was read.

    `moments` are those of the events, the accounts' in turn.
    """
    taken: list[float] = []
    for number in range(accounts):
        said = list(statements.get(synthetic_account(number, PREFIX), ()))
        place = 0
        for moment in moments[number::accounts]:
            while place < len(said) and said[place][0] < moment:
                place += 1
            if place == len(said):
                break
            taken.append(max(said[place][1] - moment / 1000, 0.0))
    return taken


def _span(statements: Statements) -> float:
    """Return the seconds between the first and the last statement read."""
    times = [at for said in statements.values() for _, at in said]
    return max(max(times, default=0.0) - min(times, default=0.0), 1.0)
