"""What the tests of reading again stand on: a sandbox org whose clock the test drives, and a client of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from fakturo.cli.sandbox.running import run_sandbox
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from tests.producers.salesforce.sandbox_reading import settings_of_sandbox

NOON = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    """Return a sandbox org at noon; its clock stands still until the test moves it."""
    async with run_sandbox(plain=True) as running:
        running.org.clock.freeze(NOON)
        yield running


@pytest.fixture
async def org(sandbox: RunningSandbox) -> AsyncIterator[Org]:
    """Return an open client of the sandbox org."""
    opened = Org(settings_of_sandbox(sandbox))
    await opened.open()
    yield opened
    await opened.close()
