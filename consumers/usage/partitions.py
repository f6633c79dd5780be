"""Partitions by month (UTC) of the usage tables that grow: made ahead and on demand, detached when they have retired.

Place     growth (ticks), the writers of a month that nobody foresaw -> [this] -> Postgres schema `usage`.
Traffic   a partition is made as a table of its own and then attached: that takes no lock which readers or writers of
          the parent wait for, and needs no default partition (which would have to be searched under a lock each time).
          Detaching is done CONCURRENTLY, on a connection of its own, since that works in no transaction.
Two       workers that miss the same month take turns at one lock; the second finds it there. Who calls
          `ensure_partitions` in a batch does so before it locks rows, or two workers might wait for each other.
Detached  a month moves to the schema `usage_retired`, whole and under its own name, to be archived or dropped by
          whoever runs the database; Fakturo neither reads nor deletes it. A month that is needed again is made anew.
Source    PostgreSQL 18, ALTER TABLE: ATTACH PARTITION, DETACH PARTITION CONCURRENTLY.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

SCHEMA = "usage"
RETIRED_SCHEMA = "usage_retired"
LOCK = "hashtextextended('usage/partitions', 0)"


@dataclass(frozen=True, slots=True)
class MonthlyTable:
    """A table of the schema `usage` that is partitioned by month; `options` are the storage parameters of each part."""

    name: str
    options: str = ""


MONTHLY: tuple[MonthlyTable, ...] = (MonthlyTable("rollup", "fillfactor = 80"), MonthlyTable("segment"))
"""What is partitioned; all of these have the same months."""

_MISSING = """
SELECT name, month FROM unnest($1::text[], $2::int[], $3::text[]) AS asked(name, month, partition)
 WHERE NOT EXISTS (
    SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE c.relnamespace = 'usage'::regnamespace AND c.relname = partition)
 ORDER BY month, name
"""
_ATTACHED = """
SELECT p.relname AS name, c.relname AS partition, i.inhdetachpending AS pending
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
 WHERE p.relnamespace = 'usage'::regnamespace AND p.relname = ANY($1::text[]) ORDER BY partition
"""
_LEFT_BEHIND = """
SELECT relname FROM pg_class WHERE relnamespace = 'usage'::regnamespace AND relkind = 'r' AND NOT relispartition
   AND relname ~ $1 ORDER BY relname
"""


def month_of(at: datetime) -> int:
    """Return the month (UTC) of an instant, counted from the year 0: 12 * year + month - 1."""
    in_utc = at.astimezone(UTC)
    return in_utc.year * 12 + in_utc.month - 1


def month_start(month: int) -> datetime:
    """Return the instant at which a month begins."""
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


async def ensure_partitions(
    driver: asyncpg.Connection, months: Collection[int], tables: Sequence[MonthlyTable] = MONTHLY
) -> None:
    """Make the partitions of `months` that are missing; in the caller's transaction, before it locks rows."""
    if not await _missing(driver, months, tables):
        return
    await driver.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    for table, month in await _missing(driver, months, tables):
        parent, partition = f"{SCHEMA}.{table.name}", f"{SCHEMA}.{partition_name(table.name, month)}"
        options = f" WITH ({table.options})" if table.options else ""
        await driver.execute(f"CREATE TABLE {partition} (LIKE {parent} INCLUDING ALL){options}")
        bounds = f"FROM ('{month_start(month)}') TO ('{month_start(month + 1)}')"
        await driver.execute(f"ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES {bounds}")


async def _missing(
    driver: asyncpg.Connection, months: Collection[int], tables: Sequence[MonthlyTable]
) -> list[tuple[MonthlyTable, int]]:
    asked = [(table, month) for table in tables for month in months]
    rows = await driver.fetch(
        _MISSING,
        [table.name for table, _ in asked],
        [month for _, month in asked],
        [partition_name(table.name, month) for table, month in asked],
    )
    by_name = {table.name: table for table in tables}
    return [(by_name[row["name"]], row["month"]) for row in rows]


async def retire(
    connection: asyncpg.Connection, before: int, limit: int, tables: Sequence[MonthlyTable] = MONTHLY
) -> bool:
    """Detach up to `limit` partitions of months before `before`; return whether more remain.

    `connection` is in no transaction. What an earlier call has left half done is finished first. One caller at a time:
    another one returns False at once.
    """
    if not await connection.fetchval(f"SELECT pg_try_advisory_lock({LOCK} + 1)"):
        return False
    try:
        await _move_detached(connection, tables)
        rows = await connection.fetch(_ATTACHED, [table.name for table in tables])
        due = [row for row in rows if row["pending"] or _month_in(row["partition"]) < before]
        for row in due[:limit]:
            how = "FINALIZE" if row["pending"] else "CONCURRENTLY"
            await connection.execute(
                f"ALTER TABLE {SCHEMA}.{row['name']} DETACH PARTITION {SCHEMA}.{row['partition']} {how}"
            )
        await _move_detached(connection, tables)
        return len(due) > limit
    finally:
        await connection.execute(f"SELECT pg_advisory_unlock({LOCK} + 1)")


async def _move_detached(connection: asyncpg.Connection, tables: Sequence[MonthlyTable]) -> None:
    """Move what is detached out of the schema. A month that retires twice gets a number behind its name."""
    pattern = rf"^({'|'.join(table.name for table in tables)})_\d{{4}}_\d{{2}}$"
    for row in await connection.fetch(_LEFT_BEHIND, pattern):
        name, kept, number = row["relname"], row["relname"], 1
        while await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{RETIRED_SCHEMA}.{kept}"):
            number += 1
            kept = f"{name}_{number}"
        async with connection.transaction():
            if kept != name:
                await _rename(connection, name, kept)
            await connection.execute(f"ALTER TABLE {SCHEMA}.{kept} SET SCHEMA {RETIRED_SCHEMA}")


async def _rename(connection: asyncpg.Connection, name: str, kept: str) -> None:
    """Rename a table with its indexes, whose names are those of the schema too."""
    query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::regclass ORDER BY 1"
    for number, row in enumerate(await connection.fetch(query, f"{SCHEMA}.{name}"), start=1):
        await connection.execute(f"ALTER INDEX {row[0]} RENAME TO {kept}_index_{number}")
    await connection.execute(f"ALTER TABLE {SCHEMA}.{name} RENAME TO {kept}")


def partition_name(table: str, month: int) -> str:
    """Return the name of a table's partition of a month: rollup_2013_01."""
    return f"{table}_{month // 12:04}_{month % 12 + 1:02}"


def _month_in(partition: str) -> int:
    _, year, month = partition.rsplit("_", 2)
    return int(year) * 12 + int(month) - 1
