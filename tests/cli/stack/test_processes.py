"""A set of processes: crashed ones come back with back-off, stopped ones do not, a second command sees the same."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakturo.cli.stack.ports import wait_until
from fakturo.cli.stack.processes import BACKOFF_FIRST_SECONDS, Processes

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
CRASH = (sys.executable, "-c", "raise SystemExit(1)")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    these = Processes(tmp_path)
    yield these
    these.stop([process.name for process in these.known()], seconds=5)


def test_a_second_command_sees_what_the_first_has_started(processes: Processes, tmp_path: Path) -> None:
    started = processes.start("usage", SLEEP)
    assert Processes(tmp_path).find("usage") == started


def test_starting_twice_gives_the_one_that_runs(processes: Processes) -> None:
    assert processes.start("usage", SLEEP) == processes.start("usage", SLEEP)


def test_a_killed_process_comes_back_after_its_back_off(processes: Processes) -> None:
    first = processes.start("usage", SLEEP, restart=True)
    processes.kill("usage")
    assert processes.tend() == []  # not at once
    time.sleep(BACKOFF_FIRST_SECONDS)
    assert processes.tend() == ["usage"]
    again = processes.find("usage")
    assert again is not None
    assert again.pid != first.pid
    assert again.crashes == 1


def test_the_pause_doubles_with_every_crash(processes: Processes) -> None:
    processes.start("usage", CRASH, restart=True)
    began = time.monotonic()
    times: list[float] = []

    def twice() -> bool:
        times.extend(time.monotonic() - began for _ in processes.tend())
        return len(times) == 2

    assert wait_until(twice, seconds=20)
    # 0.5 s, then 1 s after that, and the time the interpreter takes to crash on top.
    assert times[0] >= BACKOFF_FIRST_SECONDS
    assert times[1] - times[0] >= 2 * BACKOFF_FIRST_SECONDS


def test_who_was_stopped_or_never_asked_to_come_back_stays_away(processes: Processes) -> None:
    processes.start("usage", SLEEP, restart=True)
    processes.start("ledger", SLEEP)
    processes.stop(["usage"], seconds=5)
    processes.kill("ledger")
    time.sleep(BACKOFF_FIRST_SECONDS * 1.2)
    processes.tend()
    time.sleep(BACKOFF_FIRST_SECONDS * 1.2)
    assert processes.tend() == []
    assert [process.name for process in processes.known()] == ["ledger"]


def test_all_are_asked_to_end_before_the_first_is_waited_for(processes: Processes) -> None:
    deed = """import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)))
print("ready", flush=True)
time.sleep(60)"""
    slow = (sys.executable, "-c", deed)
    names = ["a", "b", "c", "d"]
    for name in names:
        processes.start(name, slow)
    assert wait_until(lambda: all("ready" in (processes.logs / f"{n}.log").read_text() for n in names), seconds=20)
    began = time.monotonic()
    assert processes.stop(names, seconds=10) == []
    assert time.monotonic() - began < 3  # not four seconds, one after the other


def test_the_watchman_brings_a_crashed_process_back(processes: Processes, tmp_path: Path) -> None:
    first = processes.start("usage", SLEEP, restart=True)
    processes.start("watch", (sys.executable, "-m", "fakturo.cli.stack.watch", str(tmp_path)), dict(os.environ))
    processes.kill("usage")
    assert wait_until(lambda: (now := processes.find("usage")) is not None and now.pid != first.pid, seconds=20)
    processes.stop(["watch"], seconds=5)
