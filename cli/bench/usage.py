"""`fakturo bench usage`: the usage path beside its baselines, in one run on one stack.

Steps     1 an embedded broker and database (or FAKTURO_KAFKA and DATABASE_URL), fsync and synchronous_commit on;
          2 the contracts, which the `usage` agent reads before there is any usage (else it would only park it);
            then the flights as events on `billing.usage`, repeated with other ids beyond a year;
          3 `baseline_read`: only read and decode; 4 the `usage` agent as it is deployed, from an empty book to the last
          event; 5, 6 `baseline_faust`: the same handler under stock Faust, an event at a time and `take(1000)`.
Figures   events a second by the wall clock, CPU of the process by /proc, peak memory. Each step has an empty book.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.bench.contracts import contract_rows
from fakturo.cli.bench.machine import cpu_seconds, machine, peak_rss_mb
from fakturo.cli.lifecycle import prepare
from fakturo.cli.output import console, print_json
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.simulate.flights import usage_records
from fakturo.producers.simulate.year import open_producer
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import CONTRACTS, USAGE, Topic

STOCK_EVENTS = 4_000
"""Enough for a steady rate of a path that does some hundreds of events a second."""
TAKE = 1000
SECONDS_MAX = 900.0


def run_bench(event_count: int, *, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        stack = Stack(Path(folder))
        try:
            result = _measure(stack, event_count)
        finally:
            stack.fresh()
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 0


def _measure(stack: Stack, event_count: int) -> dict[str, Any]:
    with console.status("starting broker and database"):
        parts = stack.start_parts()
        settings = prepare(parts, stack.home, keep_producer_time=True)
    environment = {**parts, "FAKTURO_GRACE_SECONDS": "0", "FAKTURO_LOG_FORMAT": "console"}
    environment["APP_DATADIR"] = str(stack.home / "faust")  # else stock Faust makes folders where it is started
    with console.status("contracts"):
        asyncio.run(_agree(stack, settings, environment))
    with console.status(f"publishing {event_count:,} events"):
        asyncio.run(_publish(settings, event_count))
    with console.status("only reading and decoding"):
        read = _child("fakturo.cli.bench.baseline_read", environment, str(event_count))
    with console.status("the usage agent"):
        ours = asyncio.run(_usage_agent(stack, settings, environment, event_count))
    stock: dict[str, dict[str, float]] = {}
    for name, count, take in (("event", STOCK_EVENTS, 1), ("take", min(event_count, 20 * STOCK_EVENTS), TAKE)):
        with console.status(f"the same handler under stock Faust: {name}"):
            asyncio.run(_empty_book(settings))
            stock[name] = _child("fakturo.cli.bench.baseline_faust", environment, str(count), str(take))
    return _result(event_count, read, ours, stock)


async def _agree(stack: Stack, settings: Settings, environment: dict[str, str]) -> None:
    """Publish the contracts and let the usage agent read them."""
    rows = await contract_rows(settings)
    async with open_producer(settings) as producer:
        for row in rows:
            contracts = settings.topic_prefix + CONTRACTS.name
            await producer.send(contracts, row.value, key=row.key, partition=row.partition, headers=list(row.headers))
        await producer.flush()
    async with _book(settings) as connection:
        await asyncio.to_thread(stack.start_worker, "usage", environment=environment)
        try:
            await _reached(connection, len(rows), CONTRACTS)
        finally:
            await asyncio.to_thread(stack.stop_agents)


async def _publish(settings: Settings, event_count: int) -> None:
    async with open_producer(settings) as producer:
        topic = settings.topic_prefix + USAGE.name
        for account, value, time_ms in _events(event_count):
            partition = partition_for(account, settings.partitions)
            await producer.send(topic, value, key=account.encode(), partition=partition, timestamp_ms=time_ms)
        await producer.flush()


def _events(event_count: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield `event_count` flights; beyond a year they come again under other ids."""
    made, round_number = 0, 0
    while True:
        suffix = b'"id":"r%d/' % round_number if round_number else b'"id":"'
        for record in usage_records():
            if made == event_count:
                return
            yield record.account, record.value.replace(b'"id":"', suffix, 1), record.time_ms
            made += 1
        round_number += 1


async def _usage_agent(
    stack: Stack, settings: Settings, environment: dict[str, str], event_count: int
) -> dict[str, float]:
    await _empty_book(settings)
    async with _book(settings) as connection:
        process = await asyncio.to_thread(stack.start_worker, "usage", environment=environment)
        try:
            await _reached(connection, 1)
            started, cpu_started, first = time.perf_counter(), cpu_seconds(process.pid), await _read_count(connection)
            await _reached(connection, event_count)
            return {
                "events": event_count - first,
                "seconds": time.perf_counter() - started,
                "cpu_seconds": cpu_seconds(process.pid) - cpu_started,
                "peak_rss_mb": peak_rss_mb(process.pid),
                "bytes_per_event": await connection.fetchval(_BYTES) / event_count,
            }
        finally:
            await asyncio.to_thread(stack.stop_agents)


_BYTES = (
    "SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = 'usage' AND c.relkind = 'r'"
)


async def _reached(connection: asyncpg.Connection, count: int, topic: Topic = USAGE) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while await _read_count(connection, topic) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the usage agent has not read {count} of {topic.name} in {SECONDS_MAX:.0f} s")
        await asyncio.sleep(0.02)


async def _read_count(connection: asyncpg.Connection, topic: Topic = USAGE) -> int:
    query = "SELECT coalesce(sum(next_offset), 0) FROM runtime.cursor WHERE agent = 'usage' AND topic = $1"
    return int(await connection.fetchval(query, topic.name))


async def _empty_book(settings: Settings) -> None:
    """Empty the usage agent's tables but for its contracts, and set its cursor to the beginning of the usage topic."""
    async with _book(settings) as connection:
        await connection.execute(
            "TRUNCATE usage.event, usage.event_rated, usage.event_late_for, usage.rollup, runtime.parked, "
            "runtime.dead_letter"
        )
        await connection.execute("DELETE FROM runtime.cursor WHERE agent = 'usage'")


@asynccontextmanager
async def _book(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield connection
    finally:
        await connection.close()


def _child(module: str, environment: dict[str, str], *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _result(
    event_count: int, read: dict[str, float], ours: dict[str, float], stock: dict[str, dict[str, float]]
) -> dict[str, Any]:
    speed, read_speed = _rate(ours), _rate(read)
    return {
        "command": f"fakturo bench usage --events {event_count}",
        "events": event_count,
        "events_per_second": round(speed),
        "read_decode_events_per_second": round(read_speed),
        "faust_events_per_second": round(_rate(stock["event"])),
        "faust_take_events_per_second": round(_rate(stock["take"])),
        "share_of_read_decode": round(speed / read_speed, 3),
        "times_stock_faust": round(speed / _rate(stock["event"]), 1),
        "times_stock_faust_take": round(speed / _rate(stock["take"]), 1),
        "cpu_us_per_event": {
            "agent": round(ours["cpu_seconds"] / ours["events"] * 1e6, 1),
            "read_decode": round(read["cpu_seconds"] / read["events"] * 1e6, 1),
            "faust": round(stock["event"]["cpu_seconds"] / stock["event"]["events"] * 1e6, 1),
        },
        "bytes_per_event": round(ours["bytes_per_event"]),
        "peak_rss_mb": ours["peak_rss_mb"],
        "machine": machine(),
    }


def _rate(figures: dict[str, float]) -> float:
    return figures["events"] / figures["seconds"]


def _print(result: dict[str, Any]) -> None:
    console.print(f"[bold]{result['command']}[/bold]", highlight=False)
    for label, key in (
        ("the usage path, exactly once", "events_per_second"),
        ("only read and decode", "read_decode_events_per_second"),
        ("stock Faust, an event at a time", "faust_events_per_second"),
        ("stock Faust, take(1000)", "faust_take_events_per_second"),
    ):
        console.print(f"{label:<34}{result[key]:>12,} events/s", highlight=False)
    console.print(
        f"{result['share_of_read_decode']:.1%} of reading alone; {result['times_stock_faust']} times stock Faust, "
        f"{result['times_stock_faust_take']} times take(1000); {result['cpu_us_per_event']['agent']} µs CPU and "
        f"{result['bytes_per_event']} bytes an event; peak {result['peak_rss_mb']} MB.",
        highlight=False,
    )
    console.print(json.dumps(result["machine"]), highlight=False, soft_wrap=True)
