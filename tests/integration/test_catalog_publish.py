"""`fakturo catalog publish` on a running stack: the subscriptions come again with the new version of their price."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fakturo.cli.catalog.publish import run_publish
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.simulate.flights_contracts import catalog_path
from fakturo.producers.simulate.year import open_producer, publish_contracts

RENT = '      - {effective_from: 2013-01-01, model: per_unit, unit_amount: "15000", licensed: true, proration: day}\n'
TERMINALS = (
    "SELECT content::text FROM contracts.published, jsonb_array_elements(content->'items') AS i "
    "WHERE role = 'subscription' AND i->>'product_code' = 'TERMINAL'"
)


@pytest.fixture
def stack(environment: dict[str, str], tmp_path: Path, topics: list[str]) -> Iterator[Stack]:
    stack = Stack(tmp_path / "home", environment=environment)
    settings = {**environment, "FAKTURO_CATALOG": str(catalog_path()), "FAKTURO_SELLER_TIMEZONE": "America/New_York"}
    stack.start_agents(("contracts", "relay"), settings=settings, restart=False)
    yield stack
    stack.stop_agents()


def _dearer(path: Path, effective_from: str, amount: str) -> Path:
    """Write the airports' list with one more version of the terminal rent."""
    version = RENT.replace("2013-01-01", effective_from).replace("15000", amount)
    path.write_text(catalog_path().read_text().replace(RENT, RENT + version))
    return path


async def _versions(connection: asyncpg.Connection) -> set[tuple[str, ...]]:
    """Return which versions of the terminal rent the published subscriptions carry."""
    rows = await connection.fetch(TERMINALS)
    items = [item for row in rows for item in json.loads(row["content"])["items"]]
    return {
        tuple(version["effective_from"] for version in item["prices"])
        for item in items
        if item["product_code"] == "TERMINAL"
    }


async def _until(connection: asyncpg.Connection, wanted: set[tuple[str, ...]]) -> None:
    async with asyncio.timeout(60):
        while await _versions(connection) != wanted:
            await asyncio.sleep(0.2)


async def test_a_list_is_published_taken_and_on_the_subscriptions_and_a_stale_one_is_refused(
    stack: Stack, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = await asyncpg.connect(settings.database_url)

    async def publish(path: Path) -> tuple[int, dict[str, object]]:
        def work() -> int:
            return run_publish(stack.home, path, by="finance", allow_backdated=False, wait=60, as_json=True)

        status = await asyncio.to_thread(work)
        return status, json.loads(capsys.readouterr().out)

    try:
        async with open_producer(settings) as producer:
            await publish_contracts(producer, settings)
        await _until(connection, {("2013-01-01",)})
        status, told = await publish(_dearer(tmp_path / "next.yaml", "2099-01-01", "16000"))
        assert (status, told["status"], told["number"]) == (0, "published", 2)
        await _until(connection, {("2013-01-01", "2099-01-01")})

        status, told = await publish(tmp_path / "next.yaml")
        assert (status, told["status"]) == (0, "unchanged")
        status, told = await publish(_dearer(tmp_path / "past.yaml", "2012-12-01", "1"))
        assert status == 1  # its versions are out of order: the file itself is faulty
        assert await connection.fetchval("SELECT count(*) FROM contracts.price_book") == 2
        assert await connection.fetchval("SELECT count(*) FROM runtime.dead_letter") == 0
    finally:
        await connection.close()
