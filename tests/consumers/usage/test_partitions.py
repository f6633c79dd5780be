"""Partitions by month: made while others read and write, found again, detached without a lock on the whole table."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from fakturo.consumers.usage.partitions import (
    MonthlyTable,
    ensure_partitions,
    month_of,
    month_start,
    partition_name,
    retire,
)

TOY = (MonthlyTable("toy", "fillfactor = 70"),)
JANUARY = 2013 * 12


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def toy(connection: asyncpg.Connection) -> asyncpg.Connection:
    await connection.execute(
        "CREATE TABLE usage.toy (name text, at timestamptz, size int CHECK (size > 0), PRIMARY KEY (name, at)) "
        "PARTITION BY RANGE (at)"
    )
    return connection


async def partitions(connection: asyncpg.Connection, schema: str = "usage") -> list[str]:
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname LIKE 'toy%'"
    )
    return sorted(row[0] for row in await connection.fetch(query, schema))


def test_a_month_begins_at_its_first_instant_in_utc() -> None:
    assert month_start(month_of(datetime(2013, 12, 31, 23, 59, tzinfo=UTC))) == datetime(2013, 12, 1, tzinfo=UTC)
    assert month_of(datetime(2014, 1, 1, tzinfo=UTC)) == JANUARY + 12
    assert partition_name("toy", JANUARY + 12) == "toy_2014_01"


async def test_a_month_that_is_missing_is_made_with_keys_checks_and_options(toy: asyncpg.Connection) -> None:
    await ensure_partitions(toy, [JANUARY, JANUARY + 13], TOY)
    await ensure_partitions(toy, [JANUARY], TOY)
    assert await partitions(toy) == ["toy_2013_01", "toy_2014_02"]
    assert await toy.fetchval("SELECT reloptions FROM pg_class WHERE relname = 'toy_2013_01'") == ["fillfactor=70"]
    row = ("a", datetime(2013, 1, 31, 23, 59, tzinfo=UTC))
    await toy.execute("INSERT INTO usage.toy VALUES ($1, $2, 1)", *row)
    with pytest.raises(asyncpg.UniqueViolationError):
        await toy.execute("INSERT INTO usage.toy VALUES ($1, $2, 2)", *row)
    with pytest.raises(asyncpg.CheckViolationError):
        await toy.execute("INSERT INTO usage.toy VALUES ('b', $1, 0)", row[1])


async def test_a_new_month_waits_for_no_reader_or_writer_and_holds_none_up(
    toy: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await ensure_partitions(toy, [JANUARY], TOY)
    await other.execute("SET lock_timeout = '2s'")
    at = month_start(JANUARY)
    async with toy.transaction():  # a batch that reads and writes the table, and stays open
        await toy.execute("INSERT INTO usage.toy VALUES ('a', $1, 1)", at)
        await toy.fetch("SELECT FROM usage.toy")
        async with other.transaction():
            await ensure_partitions(other, [JANUARY + 1], TOY)
            # Not committed yet: the first one goes on reading and writing all the same.
            await toy.execute("INSERT INTO usage.toy VALUES ('b', $1, 1)", at)
            assert await toy.fetchval("SELECT count(*) FROM usage.toy") == 2
    assert await partitions(toy) == ["toy_2013_01", "toy_2013_02"]


async def test_two_workers_that_miss_the_same_month_take_turns(
    toy: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    async def write(connection: asyncpg.Connection, name: str) -> None:
        async with connection.transaction():
            await ensure_partitions(connection, [JANUARY + 2], TOY)
            await connection.execute("INSERT INTO usage.toy VALUES ($1, $2, 1)", name, month_start(JANUARY + 2))

    await asyncio.gather(write(toy, "a"), write(other, "b"))
    assert await toy.fetchval("SELECT count(*) FROM usage.toy_2013_03") == 2


async def test_months_before_the_bound_are_detached_a_few_at_a_time_and_kept_whole(toy: asyncpg.Connection) -> None:
    await ensure_partitions(toy, range(JANUARY, JANUARY + 4), TOY)
    await toy.execute("INSERT INTO usage.toy VALUES ('a', $1, 7)", month_start(JANUARY))
    assert await retire(toy, JANUARY + 3, 2, TOY)
    assert not await retire(toy, JANUARY + 3, 2, TOY)
    assert not await retire(toy, JANUARY + 3, 2, TOY)
    assert await partitions(toy) == ["toy_2013_04"]
    assert await partitions(toy, "usage_retired") == ["toy_2013_01", "toy_2013_02", "toy_2013_03"]
    assert await toy.fetchval("SELECT size FROM usage_retired.toy_2013_01") == 7
    assert await toy.fetchval("SELECT count(*) FROM usage.toy") == 0


async def test_a_month_that_is_needed_again_is_made_anew_and_may_retire_again(toy: asyncpg.Connection) -> None:
    for _ in range(2):
        await ensure_partitions(toy, [JANUARY], TOY)
        await toy.execute("INSERT INTO usage.toy VALUES ('a', $1, 7)", month_start(JANUARY))
        await retire(toy, JANUARY + 1, 10, TOY)
    assert await partitions(toy, "usage_retired") == ["toy_2013_01", "toy_2013_01_2"]


async def test_what_was_detached_and_not_moved_is_moved_by_the_next_call(toy: asyncpg.Connection) -> None:
    await ensure_partitions(toy, [JANUARY], TOY)
    await toy.execute("ALTER TABLE usage.toy DETACH PARTITION usage.toy_2013_01")  # and then the process was killed
    assert not await retire(toy, JANUARY, 10, TOY)
    assert await partitions(toy, "usage_retired") == ["toy_2013_01"]


async def test_detaching_waits_for_the_batch_in_flight_and_lets_new_ones_through(
    toy: asyncpg.Connection, other: asyncpg.Connection, database_url: str
) -> None:
    await ensure_partitions(toy, [JANUARY, JANUARY + 1], TOY)
    async with toy.transaction():
        await toy.execute("INSERT INTO usage.toy VALUES ('a', $1, 1)", month_start(JANUARY + 1))
        detaching = asyncio.create_task(retire(other, JANUARY + 1, 10, TOY))
        await asyncio.sleep(0.3)
        assert not detaching.done()
        third = await asyncpg.connect(database_url)
        try:
            await third.execute("SET lock_timeout = '2s'")
            await third.execute("INSERT INTO usage.toy VALUES ('b', $1, 1)", month_start(JANUARY + 1))
            assert not await retire(third, JANUARY + 1, 10, TOY)  # somebody is at it
        finally:
            await third.close()
    await detaching
    assert await partitions(toy) == ["toy_2013_02"]
