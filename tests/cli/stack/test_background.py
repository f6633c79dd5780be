"""One background process: known by pid and start time, in a session of its own, stopped in order."""

import os
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fakturo.cli.stack import background
from fakturo.cli.stack.ports import wait_until

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
)


def test_a_process_runs_in_a_session_of_its_own(tmp_path: Path) -> None:
    process = background.start("sleeper", SLEEP, log=tmp_path / "log")
    try:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
    finally:
        process.stop(seconds=5)


def test_stop_ends_it_by_sigterm_and_leaves_no_zombie(tmp_path: Path) -> None:
    process = background.start("sleeper", SLEEP, log=tmp_path / "log")
    assert process.alive
    assert process.stop(seconds=5) is True
    assert not process.alive
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_who_ignores_sigterm_is_killed_after_the_deadline(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = background.start("deaf", DEAF, log=log)
    assert wait_until(lambda: "deaf" in background.log_tail(log), seconds=10)
    assert process.stop(seconds=0.3) is False
    assert not process.alive


def test_a_reused_pid_is_not_taken_for_the_process(tmp_path: Path) -> None:
    process = background.start("sleeper", SLEEP, log=tmp_path / "log")
    try:
        earlier = replace(process, started_ticks=process.started_ticks - 1)
        assert not earlier.alive
        earlier.send(signal.SIGKILL)
        earlier.stop(seconds=0)
        assert process.alive
    finally:
        process.stop(seconds=5)


def test_what_is_saved_is_loaded_again_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    process = background.start("sleeper", SLEEP, log=tmp_path / "log", environment={"DATABASE_URL": "secret"}, port=7)
    try:
        background.save(process, tmp_path / "run")
        assert background.load("sleeper", tmp_path / "run") == process
        assert stat.S_IMODE((tmp_path / "run" / "sleeper.json").stat().st_mode) == 0o600
    finally:
        process.stop(seconds=5)


def test_a_torn_pid_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"name": "bro')
    assert background.load("broken", tmp_path) is None
    assert background.load_all(tmp_path) == []


def test_output_and_errors_go_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    command = (sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)")
    process = background.start("speaker", command, log=log)
    assert wait_until(lambda: not process.alive, seconds=10)
    assert sorted(log.read_text().split()) == ["err", "out"]
