"""The golden cases: hand-made histories, and what a replay of each has written.

Files     <case>/history.jsonl (the input), catalog.yaml (the price list), expected/ (what came out; files that would be
          empty are left out).
Mend      `make golden` writes `expected/` anew; the difference is for a person to look at.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent

UNTIL: dict[str, str] = {
    "one_month_in_copenhagen": "2026-04-01",
    "contract_after_usage": "2026-07-01",
    "late_and_repeated": "2026-07-01",
    "bad_input": "2026-07-01",
    "clocks_go_forward": "2026-04-01",
    "clocks_go_back": "2026-11-01",
    "leap_day": "2025-03-01",
    "month_end_anchor": "2026-05-01",
    "moving_zone": "2026-08-01",
    "year_end": "2027-02-01",
    "late_price": "2026-05-01",
    "life_of_an_invoice": "2026-06-01",
}
"""Case -> the date at which billing ends."""


def replay(
    history: Path, output: Path, *, catalog: Path, until: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `fakturo replay` as a user would; where `environment` names no parts it runs on embedded ones."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FAKTURO_", "DATABASE_URL"))}
    options = ["--output", str(output), "--catalog", str(catalog), "--until", until]
    return subprocess.run(
        [sys.executable, "-m", "fakturo.cli.main", "replay", str(history), *options],
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=180,
    )


def run_case(case: str, output: Path, environment: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Replay a case; return name -> bytes of each file that holds something.

    Raises:
        RuntimeError: the command failed; the text is what it said.
    """
    folder = HERE / case
    done = replay(
        folder / "history.jsonl",
        output,
        catalog=folder / "catalog.yaml",
        until=UNTIL[case],
        environment=environment,
    )
    if done.returncode:
        raise RuntimeError(f"replay of {case} exits {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.stat().st_size}


def expected_of(case: str) -> dict[str, bytes]:
    """Return name -> bytes of what the case is known to give."""
    return {path.name: path.read_bytes() for path in sorted((HERE / case / "expected").iterdir())}
