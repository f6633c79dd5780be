"""What tests stand on: a broker and a database server a worker, an empty database and a topic prefix a test.

Place     every test that talks to the world asks for `environment` (child processes), `settings` (in this process), or
          the single parts. By default both are the embedded ones; FAKTURO_TEST_BROKER=apache takes a real Apache Kafka
          (`make test-kafka`); FAKTURO_KAFKA and DATABASE_URL take what you have running.
Workers   `make test` runs two (docs/adr/0030-tests-in-parallel.md); to a session's fixture each worker is a session.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest

from fakturo.cli.stack.broker import EmbeddedBroker
from fakturo.cli.stack.kafka import ApacheKafka
from fakturo.cli.stack.postgres import EmbeddedPostgres
from tests.databases import Databases, execute, run_anywhere, with_database

hypothesis.settings.register_profile("shared machine", deadline=None)  # how long an example takes says nothing here
hypothesis.settings.load_profile("shared machine")

HEAVIEST_FIRST = (
    "tests/golden/",
    "tests/flights/",
    "tests/journey/",
    "tests/conformance/test_flights_year.py",
    "tests/cli/salesforce/test_resync_and_drift.py",
    "tests/cli/test_commands.py",
    "tests/integration/",
    "tests/consumers/crm_sync/",
    "tests/cli/",
)
"""What takes longest begins first, so that no worker ends long after the other. Only time depends on this order."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the heaviest files first; the order within a file stays."""

    def rank(item: pytest.Item) -> int:
        places = (place for place, begins in enumerate(HEAVIEST_FIRST) if item.nodeid.startswith(begins))
        return next(places, len(HEAVIEST_FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return host:port of the session's broker."""
    folder = tmp_path_factory.mktemp("broker")
    if os.environ.get("FAKTURO_TEST_BROKER") == "apache":
        with ApacheKafka(folder) as kafka:
            yield kafka.bootstrap
    elif external := os.environ.get("FAKTURO_KAFKA"):
        yield external
    else:
        broker = EmbeddedBroker(folder)
        yield broker.start()
        broker.kill()  # its folder goes too: no last snapshot


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a database on the session's server, from which others are created."""
    if external := os.environ.get("DATABASE_URL"):
        yield external
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    url = server.start()
    execute(url, "alter system set fsync = off")  # tests kill processes; nobody pulls the plug of the machine
    execute(url, "select pg_reload_conf()")
    yield url
    server.stop()


@pytest.fixture(scope="session")
def template_database(database_server: str) -> Iterator[str]:
    """Return the name of a migrated database that no test writes to."""
    from fakturo.consumers.runtime.database import migrate

    name = f"template_{uuid.uuid4().hex[:12]}"
    execute(database_server, f"create database {name}")
    run_anywhere(lambda: migrate(with_database(database_server, name)))
    yield name
    execute(database_server, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def databases(database_server: str, template_database: str) -> Iterator[Databases]:
    """Return what gives out migrated, empty databases."""
    databases = Databases(database_server, template_database)
    yield databases
    databases.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Return the URL of a migrated, empty database of this test's own."""
    url = databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection to this test's migrated database."""
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def empty_database_url(database_server: str) -> Iterator[str]:
    """Return the URL of a database without any table, for tests of the migrations."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    execute(database_server, f"create database {name}")
    yield with_database(database_server, name)
    execute(database_server, f"drop database {name} with (force)")


@pytest.fixture
def topic_prefix() -> str:
    """Return a prefix that no other test's topics and groups have; FAKTURO_TOPIC_PREFIX takes it."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def environment(kafka_bootstrap: str, database_url: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    """Return the variables that point a child process at this test's broker, database and topics."""
    return {
        "FAKTURO_KAFKA": kafka_bootstrap,
        "DATABASE_URL": database_url,
        "FAKTURO_TOPIC_PREFIX": topic_prefix,
        "FAKTURO_HOME": str(tmp_path / "home"),
        "FAKTURO_PARTITIONS": "2",
        "FAKTURO_SESSION_SECONDS": "6",
    }


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the runtime's settings for this test, by the way production takes them: the environment."""
    from fakturo.consumers.runtime.settings import load_settings

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()
