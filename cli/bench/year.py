"""`fakturo bench year`: the flights year end to end, with the seconds, the events a second and each process's memory.

Place     runs `fakturo demo --report` in a temporary home and watches its processes from outside, by /proc.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fakturo.cli.bench.machine import cpu_seconds, machine, peak_rss_mb
from fakturo.cli.output import console, print_json
from fakturo.cli.stack import Stack

POLL_SECONDS = 0.2


def run_bench(*, as_json: bool) -> int:
    """Measure and print; return the demo's exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        home, report = Path(folder) / "home", Path(folder) / "report.json"
        command = [sys.executable, "-m", "fakturo.cli.main", "demo", "--home", str(home), "--report", str(report)]
        with console.status("the flights year, end to end"):
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
            processes = _watch(running, home)
        if running.returncode != 0:
            return running.returncode
        document = json.loads(report.read_text())
    result = {
        "command": "fakturo bench year",
        "seconds": document["seconds"],
        "usage_events": document["usage_events"],
        "usage_seconds": document["usage_seconds"],
        "events_per_second": round(document["usage_events"] / document["usage_seconds"]),
        "invoices": len(document["invoices"]),
        "differences": document["verify"]["differences"],
        "processes": processes,
        "machine": machine(),
    }
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 0


def _watch(running: subprocess.Popen[bytes], home: Path) -> dict[str, dict[str, float]]:
    """Return peak memory and CPU seconds by process, polled until the demo ends."""
    seen: dict[str, dict[str, float]] = {}
    while running.poll() is None:
        time.sleep(POLL_SECONDS)
        for part in Stack(home).status() if home.exists() else []:
            if part.pid is None or not (rss_mb := peak_rss_mb(part.pid)):
                continue
            kept = seen.setdefault(part.name, {"peak_rss_mb": 0.0, "cpu_seconds": 0.0})
            kept["peak_rss_mb"] = max(kept["peak_rss_mb"], rss_mb)
            kept["cpu_seconds"] = max(kept["cpu_seconds"], round(cpu_seconds(part.pid), 2))
    return seen


def _print(result: dict[str, Any]) -> None:
    console.print(
        f"{result['usage_events']:,} events and {result['invoices']} invoices in {result['seconds']} s; usage alone "
        f"{result['usage_seconds']} s, {result['events_per_second']:,} events/s; {result['differences']} differences.",
        highlight=False,
    )
    for name, figures in result["processes"].items():
        line = f"{name:<12}{figures['peak_rss_mb']:>8} MB peak {figures['cpu_seconds']:>8} s CPU"
        console.print(line, highlight=False)
    console.print(json.dumps(result["machine"]), highlight=False, soft_wrap=True)
