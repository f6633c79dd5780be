"""Logs: one JSON object a line, ours and the libraries', without secrets."""

import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from fakturo.consumers.runtime.logs import Repeats, configure_logs, mask


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("json", "usage", "7", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_our_lines_and_a_librarys_have_the_same_shape(lines: io.StringIO) -> None:
    structlog.get_logger("ours").info("batch done", topic="billing.usage", partition=3)
    logging.getLogger("some.library").warning("lost %s", "node 1")
    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (ours["event"], ours["agent"], ours["instance"], ours["partition"]) == ("batch done", "usage", "7", 3)
    assert (theirs["event"], theirs["agent"], theirs["level"]) == ("lost node 1", "usage", "warning")
    assert ours["at"].endswith("Z")


def test_a_password_in_a_url_is_masked_in_values_and_in_tracebacks(lines: io.StringIO) -> None:
    url = "postgresql://me:hunter2@db:5432/books"
    log = structlog.get_logger("ours")
    log.info("connecting", url=url)
    failing = OSError(f"cannot reach {url}")
    log.error("failed", exc_info=failing)
    logging.getLogger("lib").error("failed", exc_info=failing)
    assert "hunter2" not in lines.getvalue()
    assert "postgresql://me:***@db:5432/books" in lines.getvalue()


def test_an_address_without_password_is_left_alone() -> None:
    assert mask("postgresql://me@db/books http://x:9000/y") == "postgresql://me@db/books http://x:9000/y"


def test_what_a_library_repeats_is_heard_once_a_minute_and_what_we_say_always() -> None:
    seconds = [0.0]
    repeats = Repeats(lambda: seconds[0])

    def heard(name: str, message: str, *args: object) -> bool:
        return repeats.filter(logging.LogRecord(name, logging.ERROR, "", 0, message, args, None))

    assert heard("aiokafka", "Unable connect to node %s", 1)
    assert not heard("aiokafka", "Unable connect to node %s", 2)
    assert heard("aiokafka", "another thing")
    assert [heard("fakturo.x", "ours"), heard("fakturo.x", "ours")] == [True, True]
    seconds[0] = 61
    assert heard("aiokafka", "Unable connect to node %s", 1)


def test_a_process_whose_c_code_crashes_leaves_its_python_stack_on_stderr() -> None:
    """What a signal ended says nothing by itself: one worker ended so in CI, and nobody knows where."""
    program = (
        "import os, signal\n"
        "from fakturo.consumers.runtime.logs import configure_logs\n"
        "configure_logs('json', 'usage')\n"
        "def crashing(): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "crashing()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in ended.stderr
    assert "in crashing" in ended.stderr
