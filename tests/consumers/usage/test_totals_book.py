"""Totals written by copy or by merge: the book is the same, whoever else has written to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.usage import store, totals_book
from fakturo.consumers.usage.folding import Fold, RollupColumns
from fakturo.consumers.usage.partitions import ensure_partitions, month_of
from fakturo.consumers.usage.totals_book import TotalsBook

STARTS_AT = datetime(2013, 1, 31, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def _months(connection: asyncpg.Connection) -> None:
    await ensure_partitions(connection, [month_of(STARTS_AT), month_of(STARTS_AT) + 1])


def folded(rng: Random, first: int, last: int, accounts: str = "AB") -> RollupColumns:
    """Return totals of some events between two quarters of an hour."""
    fold = Fold()
    for _ in range(60):
        at = STARTS_AT + timedelta(minutes=15) * rng.randint(first, last) + timedelta(seconds=rng.randrange(900))
        counts = [(1, "{}", Decimal(rng.randrange(100))), (2, rng.choice(('{"r":"a"}', '{"r":"b"}')), Decimal("1.5"))]
        fold.add(rng.choice(accounts), counts, at, at)
    return fold.columns()


async def book_of(connection: asyncpg.Connection) -> dict[str, Any]:
    totals = await connection.fetch("SELECT * FROM usage.rollup ORDER BY 1, 2, 3, 4")
    marks = await connection.fetch("SELECT account_id, meter_id, from_at FROM usage.dirty ORDER BY 1, 2")
    return {"totals": [tuple(row) for row in totals], "marks": [tuple(row) for row in marks]}


async def emptied(connection: asyncpg.Connection) -> dict[str, Any]:
    found = await book_of(connection)
    await connection.execute("TRUNCATE usage.rollup, usage.dirty")
    return found


@pytest.mark.parametrize("copy_from", [1, 10_000])
async def test_copied_or_merged_the_book_is_the_same(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, copy_from: int
) -> None:
    batches = [folded(Random(number), *span) for number, span in enumerate([(0, 8), (8, 14), (3, 16), (17, 20)])]
    async with connection.transaction():
        for columns in batches:
            await store.add_rollups(connection, columns, mark=True)
    expected = await emptied(connection)
    assert len(expected["totals"]) > 50
    monkeypatch.setattr(totals_book, "COPY_TOTALS_MIN", copy_from)
    book = TotalsBook()
    async with connection.transaction():
        for columns in batches:
            await book.add(connection, columns)
    assert await book_of(connection) == expected


async def test_what_another_worker_wrote_meanwhile_is_merged_with(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_book, "COPY_TOTALS_MIN", 1)
    first, of_another, second = folded(Random(1), 0, 4), folded(Random(2), 5, 9), folded(Random(3), 5, 9)
    async with connection.transaction():
        for columns in (first, of_another, second):
            await store.add_rollups(connection, columns, mark=True)
    expected = await emptied(connection)
    mine, other = TotalsBook(), TotalsBook()
    async with connection.transaction():
        await mine.add(connection, first)
        await other.add(connection, of_another)
        await mine.add(connection, second)  # nothing that it knows of lies there
    assert await book_of(connection) == expected
    assert mine.newest  # it begins anew, with what it has just written


async def test_usage_that_begins_again_at_an_earlier_time_is_copied_from_there_on(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_book, "COPY_TOTALS_MIN", 1)
    copied: list[int] = []

    async def note(driver: asyncpg.Connection, columns: RollupColumns) -> None:
        copied.append(len(columns.rows))
        await copy(driver, columns)

    copy = store.copy_rollups
    monkeypatch.setattr(store, "copy_rollups", note)
    book = TotalsBook()
    async with connection.transaction():
        for first, last in ((200, 210), (0, 10), (11, 20)):  # 190 quarters of an hour back, then on
            await book.add(connection, folded(Random(first), first, last))
    assert len(copied) == 2
