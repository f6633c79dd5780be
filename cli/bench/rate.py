"""`fakturo bench rate`: lines a second, what more tiers cost, and memory at two sizes, beside only decoding the lines.

Place     writes lines to a temporary file, runs `fakturo rate` and the baseline (`baseline_json.py`) on them as
          processes of their own, one after the other, and reads what the kernel counted for each.
Fair      start-up is in every figure; seconds are those of the processor, since the machine is shared, and the seconds
          on the wall stand beside them.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from fakturo.cli.bench.machine import machine, peak_rss_mb
from fakturo.cli.output import console, print_json

TIERS = (3, 10, 100)
POLL_SECONDS = 0.02
RATE = ("-m", "fakturo.cli.main", "rate", "--file")
BASELINE = ("-m", "fakturo.cli.bench.baseline_json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the kernel counted for one process."""

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float


def run_bench(lines: int, *, as_json: bool) -> int:
    """Measure and print; return 1 where a line could not be rated."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        path = Path(folder) / "lines.jsonl"
        with console.status("rating"):
            rows = list(_rows(path, lines))
    result = {"command": f"fakturo bench rate --lines {lines}", "rows": rows, "machine": machine()}
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 0


def _rows(path: Path, lines: int) -> Iterator[dict[str, Any]]:
    for tiers in TIERS:
        for count, own_prices in [(lines, False), (lines // 4, False), (lines // 4, True)]:
            if tiers != TIERS[0] and (count != lines or own_prices):
                continue
            _write(path, count, tiers, own_prices=own_prices)
            rated, decoded = _run(RATE, path), _run(BASELINE, path)
            yield {
                "tiers": tiers,
                "lines": count,
                "prices": count if own_prices else 1,
                "lines_per_cpu_second": round(count / rated.cpu_seconds),
                "lines_per_second": round(count / rated.seconds),
                "decoded_per_cpu_second": round(count / decoded.cpu_seconds),
                "times_decoding": round(rated.cpu_seconds / decoded.cpu_seconds, 1),
                "peak_rss_mb": rated.peak_rss_mb,
            }


def _write(path: Path, count: int, tiers: int, *, own_prices: bool) -> None:
    """Write lines whose quantities land in every tier; with `own_prices` no two lines have the same price."""
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as target:
        for number in range(count):
            first = f"0.{100_000_000 + number}" if own_prices else "0.1"
            price = {"model": "graduated", "tiers": _tiers(tiers, first)}
            quantity = str(number * 7919 % (1000 * tiers))
            target.write(encode({"id": f"c{number}", "currency": "EUR", "price": price, "quantity": quantity}) + b"\n")


def _tiers(count: int, first: str) -> list[dict[str, str | None]]:
    bounds = [str(1000 * (index + 1)) for index in range(count - 1)]
    return [
        {"up_to": up_to, "unit_amount": first if index == 0 else f"0.{500 - index}"}
        for index, up_to in enumerate([*bounds, None])
    ]


def _run(command: tuple[str, ...], path: Path) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command, str(path)], stdout=subprocess.DEVNULL)  # noqa: S603
    done, status, usage = os.wait4(process.pid, os.WNOHANG)
    peak = 0.0
    while not done:  # what wait4 says of memory begins with ours, from which the process was forked
        peak = max(peak, peak_rss_mb(process.pid))
        time.sleep(POLL_SECONDS)
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_rss_mb=peak,
    )


def _print(result: dict[str, Any]) -> None:
    table = Table(title=result["command"], title_justify="left", header_style="bold")
    for name in result["rows"][0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in result["rows"]:
        table.add_row(*[f"{value:,}" for value in row.values()])
    console.print(table)
    console.print(f"{result['machine']['processor']}, Python {result['machine']['python']}")
