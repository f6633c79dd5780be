"""Liveness, readiness and metrics as Kubernetes and Prometheus see them: over HTTP."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from fakturo.consumers.runtime import backoff
from fakturo.consumers.runtime.health import Health, HealthServer
from fakturo.consumers.runtime.health_checks import agent_checks, code_revision
from fakturo.consumers.runtime.settings import Settings, load_settings


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """Settings whose broker and database are not there."""
    url = "postgresql://nobody:secret@127.0.0.1:9/none"
    return load_settings(kafka="127.0.0.1:9", DATABASE_URL=url, home=tmp_path, metrics_port=0)


async def get(port: int, path: str, accept: str = "*/*") -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def test_it_is_alive_while_the_loop_moves_and_dead_after_thirty_still_seconds() -> None:
    clock = Clock()
    health = Health("usage", clock)
    clock.seconds += 29
    assert health.livez()[0]
    clock.seconds += 2
    assert health.livez() == (False, "nothing has moved for 31 s")
    health.beat()
    assert health.livez() == (True, "the loop moves")


def test_a_declared_back_off_keeps_it_alive_only_as_long_as_it_goes_on() -> None:
    clock = Clock()
    health = Health("usage", clock)
    for _ in range(10):
        clock.seconds += 25
        health.waiting("the database is away")
        assert health.livez() == (True, "waiting: the database is away")
    clock.seconds += 31
    assert not health.livez()[0]


def test_a_stopped_partition_makes_it_unready_but_not_dead() -> None:
    health = Health("usage")
    health.assigned(4)
    assert health.assignment() == (True, "4 partitions")
    health.stopped("billing.usage", 3, "ZeroDivisionError")
    assert health.assignment() == (False, "stopped: billing.usage-3: ZeroDivisionError")
    assert health.livez()[0]
    health.resumed("billing.usage", 3)
    assert health.assignment()[0]


async def test_the_server_says_in_its_file_where_it_listens_and_answers_by_status(offline: Settings) -> None:
    clock = Clock()
    health = Health("usage", clock)
    server = HealthServer(health, offline)
    await server.start()
    assert (offline.home / "run" / "usage-0.port").read_text() == str(server.port)
    assert (await get(server.port, "/livez"))[0] == 200
    clock.seconds += 60
    status, headers, body = await get(server.port, "/livez")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body) == {"live": False, "agent": "usage", "says": "nothing has moved for 60 s"}
    assert (await get(server.port, "/nothing"))[0] == 404
    await server.stop()
    assert not (offline.home / "run" / "usage-0.port").exists()


async def test_metrics_come_in_the_format_that_the_scraper_asks_for(offline: Settings) -> None:
    server = HealthServer(Health("usage"), offline)
    await server.start()
    _, plain, body = await get(server.port, "/metrics")
    assert plain["Content-Type"].startswith("text/plain")
    assert b"# TYPE fakturo_events_total counter" in body
    _, headers, body = await get(server.port, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    await server.stop()


async def test_without_broker_and_database_it_is_unready_and_each_check_says_why(offline: Settings) -> None:
    health = Health("usage")
    ready, document = await HealthServer(health, offline, agent_checks(health, offline)).readyz()
    assert not ready
    checks = document["checks"]
    assert isinstance(checks, dict)
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": False,
        "broker": False,
        "assignment": False,
    }
    assert "none of 127.0.0.1:9 takes connections" in checks["broker"]["says"]
    assert "secret" not in json.dumps(document)


async def test_with_broker_database_and_assignment_it_is_ready(settings: Settings) -> None:
    health = Health("usage")
    health.assigned(2)
    ready, document = await HealthServer(health, settings, agent_checks(health, settings)).readyz()
    assert ready, document


async def test_a_database_without_migrations_makes_it_unready(settings: Settings, empty_database_url: str) -> None:
    bare = settings.model_copy(update={"database_url": empty_database_url})
    health = Health("usage")
    _, document = await HealthServer(health, bare, agent_checks(health, bare)).readyz()
    checks = document["checks"]
    assert isinstance(checks, dict)
    assert "its migrations stand at None" in checks["database"]["says"]


def test_the_codes_revision_is_the_highest_number_among_the_migration_files() -> None:
    folder = Path(__file__).parents[3] / "deploy" / "migrations" / "versions"
    revisions = re.findall(r'^revision = "(\d+)"', "\n".join(p.read_text() for p in folder.glob("0*.py")), re.MULTILINE)
    assert code_revision() == max(revisions)


async def test_long_work_in_the_database_is_a_declared_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "BEAT_SECONDS", 0.001)
    now = [0.0]
    health = Health("usage", clock=lambda: now[0])

    async def work() -> bool:
        now[0] = 45.0  # longer than the half minute after which a process would be restarted
        await asyncio.sleep(0.05)
        return health.is_live

    async def forget() -> None:
        """Nothing was opened."""

    assert await backoff.patiently(work, health, "the database", forget)
    assert health.waiting_for is None
