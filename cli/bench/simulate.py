"""`fakturo bench simulate`: how long the flights year takes under another price list.

Place     runs `fakturo demo` in a temporary home, brings its books up, and times `fakturo simulate` as a process,
          beside the seconds that billing the year took in the same run.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fakturo.cli.bench.machine import machine
from fakturo.cli.output import console, print_json
from fakturo.producers import simulate

CATALOG = Path(simulate.__file__).with_name("flights_catalog.yaml")


def run_bench(*, as_json: bool) -> int:
    """Measure and print; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="fakturo-bench-") as folder:
        home, report = str(Path(folder) / "home"), Path(folder) / "report.json"
        with console.status("the flights year, billed and simulated"):
            _fakturo("demo", "--home", home, "--report", str(report))
            _fakturo("up", "--home", home)
            try:
                question = ("simulate", "--home", home, "--catalog", str(CATALOG), "--from", "2013-01-01")
                began = time.monotonic()
                answer = json.loads(_fakturo(*question, "--to", "2014-01-01", "--json"))
                seconds = time.monotonic() - began
            finally:
                _fakturo("down", "--home", home)
        year_seconds = json.loads(report.read_text())["seconds"]
    result = {
        "command": "fakturo bench simulate",
        "seconds": round(seconds, 2),
        "billing_seconds": year_seconds,
        "ratio": round(seconds / year_seconds, 3),
        "billing_periods": answer["billing_periods"],
        "difference_minor": answer["totals"][0]["difference_minor"],
        "machine": machine(),
    }
    _print(result, as_json=as_json)
    return 0


def _fakturo(*arguments: str) -> str:
    command = [sys.executable, "-m", "fakturo.cli.main", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    console.print(
        f"{result['billing_periods']} billing periods rated twice in {result['seconds']} s, {result['ratio']} of the "
        f"{result['billing_seconds']} s that billing them took.",
        highlight=False,
    )
