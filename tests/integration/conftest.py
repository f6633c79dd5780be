"""Integration tests: every test of this folder is marked `integration` and can have topics of its own.

Place     the parts come from `tests/conftest.py`; here is what only tests with real topics need.
"""

from pathlib import Path

import pytest

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lives in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
async def topics(settings: Settings) -> list[str]:
    """Create every topic of the map, and the dead letters', under this test's prefix; return their whole names.

    They keep the producer's time, as a replay's do, so that a test says when a record was appended.
    """
    return await apply_topics(settings, keep_producer_time=True)
