"""The storm's processes are stopped whatever ends it: a SIGTERM (a CI's time limit) is taken as Ctrl-C."""

import logging
import os
import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _terminated_like_interrupted() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", autouse=True)
def _quiet_client() -> None:
    """A client says each refused connection; while a broker is being killed that is no news."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
