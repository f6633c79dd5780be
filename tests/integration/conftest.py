"""Integration tests: every test of this folder is marked `integration` and has topics of its own.

Place     the parts come from `tests/conftest.py`; here is what only tests with real topics need.
"""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fakturo.schemas.topics import TOPICS

PARTITIONS = 2
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lives in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def partitions(environment: dict[str, str]) -> int:
    """Return how many partitions every topic of this test has; FAKTURO_PARTITIONS says the same to child processes."""
    environment["FAKTURO_PARTITIONS"] = str(PARTITIONS)
    return PARTITIONS


@pytest.fixture
async def topics(kafka_bootstrap: str, topic_prefix: str, partitions: int) -> dict[str, str]:
    """Create every topic of the map, and its dead letters, under this test's prefix; return name by plain name."""
    plain = [*TOPICS, *(topic.dead_letter_name for topic in TOPICS.values())]
    names = {name: topic_prefix + name for name in plain}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        new = [NewTopic(name, partitions, 1, topic_configs={"max.message.bytes": "5242880"}) for name in names.values()]
        response = await admin.create_topics(new, timeout_ms=30_000)
        failed = [error for error in response.topic_errors if error[1] != 0]
        assert not failed, f"topics not created: {failed}"
    finally:
        await admin.close()
    return names
