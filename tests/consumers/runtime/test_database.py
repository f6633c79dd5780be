"""Migrations under many hands, and the addresses people write."""

import asyncio

import asyncpg
import pytest

from fakturo.consumers.runtime.database import Database, engine_url, is_current, migrate


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_usual_scheme_is_taken(scheme: str) -> None:
    assert str(engine_url(f"{scheme}://u@h:5/n").render_as_string()) == "postgresql+asyncpg://u@h:5/n"


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with postgresql://"):
        engine_url("mysql://u@h/n")


async def test_several_processes_migrate_at_once(empty_database_url: str) -> None:
    assert not await is_current(empty_database_url)
    await asyncio.gather(*(asyncio.to_thread(migrate, empty_database_url) for _ in range(4)))
    assert await is_current(empty_database_url)


async def test_driver_and_sqlalchemy_share_the_transaction(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as (_, driver):
            await driver.execute("CREATE TABLE t (a int)")
            raise ZeroDivisionError
    await database.close()
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('t')") is None
    await connection.close()
