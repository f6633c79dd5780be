"""`fakturo bench salesforce`: the bridge beside the bare decode, a change's way to its subscription, a snapshot.

Steps     1 an embedded broker and database (or FAKTURO_KAFKA and DATABASE_URL); a sandbox org as a child, TLS on;
          2 latency: bridge, contracts agent and relay run; items change over REST (salesforce_latency.py);
          3 the bridge alone, started again, carries the events that fill the bus (salesforce_bridge.py);
          4 `baseline_decode`: the same events, only decoded; 5 the bridge, started again, reads an object whole
          (salesforce_snapshot.py).
Cores     sandbox, broker, database and driver share the machine with the bridge; its own CPU is counted apart.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakturo.cli.bench import salesforce_latency as latency
from fakturo.cli.bench.machine import machine
from fakturo.cli.bench.salesforce_bridge import SECONDS_MAX, measure_bridge
from fakturo.cli.bench.salesforce_latency import percentile_ms
from fakturo.cli.bench.salesforce_snapshot import ENTITY, VALUES, measure_snapshot
from fakturo.cli.bench.sandbox_org import BenchOrg
from fakturo.cli.lifecycle import prepare
from fakturo.cli.output import console, print_json
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings

CHANGES_PER_SECOND = 50.0
CHANGES = 1000
BRIDGE = "salesforce"
KEEPALIVE_SECONDS = 0.2
"""So that a bridge without a position has one at once, and the baseline knows that it has everything."""


def run_bench(event_count: int, row_count: int, *, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        stack = Stack(Path(folder))
        try:
            result = measure(stack, event_count, row_count, CHANGES)
        finally:
            stack.fresh()
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 0


def measure(stack: Stack, event_count: int, row_count: int, changes: int) -> dict[str, Any]:
    """Run all parts on `stack`, which is not started yet; return the document that `--json` prints."""
    load = os.getloadavg()[0]
    with console.status("starting broker, database and sandbox org"):
        parts = stack.start_parts()
        settings = prepare(parts, stack.home)
        catalog = stack.home / "catalog.yaml"
        catalog.write_text(latency.CATALOG)
    with BenchOrg() as org:
        org.set_keepalive(KEEPALIVE_SECONDS)
        environment = {**parts, **org.environment(latency.ENTITIES), "FAKTURO_CATALOG": str(catalog)}
        with console.status(f"{changes:,} changes, from the org to their subscriptions"):
            waits = _latency(stack, settings, org, environment, changes)
        with console.status(f"the bridge: {event_count:,} change events"), _bridge(stack, environment) as pid:
            carried = asyncio.run(measure_bridge(settings, org, pid, event_count))
        with console.status("only decoding"):
            org.set_keepalive(KEEPALIVE_SECONDS)
            decoded = _decode(environment, event_count)
        with console.status(f"the bridge: {row_count:,} rows read whole"), _bridge(stack, environment) as pid:
            org.put_rows(ENTITY, VALUES, row_count - latency.ITEMS)  # and those of the orders
            snapshot = asyncio.run(measure_snapshot(settings, org.told["org_id"], pid, row_count))
    return _result(waits, carried, decoded, snapshot, load, (event_count, row_count))


def _latency(
    stack: Stack, settings: Settings, org: BenchOrg, environment: dict[str, str], changes: int
) -> dict[str, list[float]]:
    items = latency.agree(org)
    for name in ("contracts", "relay", BRIDGE):
        stack.start_worker(name, environment=environment)
    try:
        measuring = latency.measure_latency(settings, org, items, changes=changes, per_second=CHANGES_PER_SECOND)
        return asyncio.run(measuring)
    finally:
        stack.stop_agents()


@contextmanager
def _bridge(stack: Stack, environment: dict[str, str]) -> Iterator[int]:
    """Run the bridge; give its process id."""
    try:
        yield stack.start_worker(BRIDGE, environment=environment).pid
    finally:
        stack.stop_agents()


def _decode(environment: dict[str, str], event_count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "fakturo.cli.bench.baseline_decode", str(event_count)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"baseline_decode ended with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _result(
    waits: dict[str, list[float]],
    carried: dict[str, Any],
    decoded: dict[str, float],
    snapshot: dict[str, Any],
    load: float,
    asked: tuple[int, int],
) -> dict[str, Any]:
    speed, decode_speed = carried["events"] / carried["seconds"], decoded["events"] / decoded["seconds"]
    where = machine()
    return {
        "command": f"fakturo bench salesforce --events {asked[0]} --rows {asked[1]}",
        "events": carried["events"],
        "events_per_second": round(speed),
        "events_per_cpu_second": round(carried["events"] / carried["cpu_seconds"]),
        "decode_events_per_second": round(decode_speed),
        "share_of_decode": round(speed / decode_speed, 3),
        "cpu_us_per_event": round(carried["cpu_seconds"] / carried["events"] * 1e6, 1),
        "decode_cpu_us_per_event": round(decoded["cpu_seconds"] / decoded["events"] * 1e6, 1),
        "peak_rss_mb": carried["peak_rss_mb"],
        "latency_changes": len(waits["all"]),
        "latency_p50_ms": percentile_ms(waits["all"], 0.5),
        "latency_p99_ms": percentile_ms(waits["all"], 0.99),
        "latency_bridge_p50_ms": percentile_ms(waits["bridge"], 0.5),
        "latency_bridge_p99_ms": percentile_ms(waits["bridge"], 0.99),
        "snapshot_rows": snapshot["rows"],
        "snapshot_rows_per_second": round(snapshot["rows"] / snapshot["seconds"]),
        "snapshot_cpu_us_per_row": round(snapshot["cpu_seconds"] / snapshot["rows"] * 1e6, 1),
        "snapshot_rss_mb": snapshot["rss_mb"],
        "snapshot_peak_rss_mb": snapshot["peak_rss_mb"],
        "load_average_before": round(load, 2),
        "versions": where.pop("versions"),
        "machine": where,
    }


def _print(result: dict[str, Any]) -> None:
    console.print(f"[bold]{result['command']}[/bold]", highlight=False)
    rss = ", ".join(f"{value} MB at {share}" for share, value in result["snapshot_rss_mb"].items())
    for label, key in (
        ("the bridge, exactly once", "events_per_second"),
        ("only decoding", "decode_events_per_second"),
    ):
        console.print(f"{label:<34}{result[key]:>12,} events/s", highlight=False)
    console.print(
        f"{result['share_of_decode']:.1%} of decoding alone; {result['cpu_us_per_event']} µs CPU an event, decoding "
        f"{result['decode_cpu_us_per_event']}; peak {result['peak_rss_mb']} MB.\n"
        f"{result['latency_changes']:,} changes, from the org's commit to the subscription: p50 "
        f"{result['latency_p50_ms']} ms, p99 {result['latency_p99_ms']} ms; to the change record "
        f"{result['latency_bridge_p50_ms']} and {result['latency_bridge_p99_ms']} ms.\n"
        f"Snapshot of {result['snapshot_rows']:,} rows: {result['snapshot_rows_per_second']:,} rows/s; resident {rss}; "
        f"peak {result['snapshot_peak_rss_mb']} MB.",
        highlight=False,
        soft_wrap=True,
    )
    where = {**result["machine"], "versions": result["versions"], "load_average_before": result["load_average_before"]}
    console.print(json.dumps(where), highlight=False, soft_wrap=True)
