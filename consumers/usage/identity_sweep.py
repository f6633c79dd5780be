"""Removes the identities of usage that has retired, a stretch of a table at a time.

Place     retention.Keeper -> [this] -> the tables of identities; where it stands is in `usage.retention`.
Bounded   so many pages of a table a call, each in a transaction of its own: a scan by physical place (TID range) costs
          the same wherever the rows lie, and needs no index by time, which every event would have to pay for. Nobody
          writes to those rows meanwhile: an event that old is refused before its identity is looked up.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

PAGES_AT_A_TIME = 2_000
"""Some 16 MB of a table."""


@dataclass(frozen=True, slots=True)
class IdentityTable:
    """A table of the schema `usage`, and which of its rows belong to usage before $1, as SQL."""

    name: str
    is_before: str


_IS_BEFORE = (
    "segment_id < ((extract(year FROM $1::timestamptz AT TIME ZONE 'UTC')::bigint * 12 "
    "+ extract(month FROM $1::timestamptz AT TIME ZONE 'UTC')::bigint - 1) << 40)"
)
"""A segment's id begins with its month (segments.py)."""
TABLES = tuple(IdentityTable(name, _IS_BEFORE) for name in ("identity", "identity_collision", "segment_merged"))

_LEAVES = """
SELECT c.relname FROM pg_class c
 WHERE c.relkind = 'r' AND (c.oid = $1::regclass OR c.oid IN (SELECT relid FROM pg_partition_tree($1::regclass)))
 ORDER BY 1
"""
"""`pg_partition_tree` knows nothing of a table that is not partitioned."""


async def sweep(connection: asyncpg.Connection, before_at: datetime, pages: int = PAGES_AT_A_TIME) -> bool:
    """Look at `pages` pages for identities of usage before `before_at` and remove them; return whether more remain."""
    async with connection.transaction():
        row = await connection.fetchrow("SELECT * FROM usage.retention FOR UPDATE")
        if row is None or row["swept_before_at"] == before_at:
            return False
        leaves = await _leaves(connection)
        name = row["sweeping"] if row["sweeping"] in leaves else next(iter(leaves))
        start = row["next_block"] if name == row["sweeping"] else 0
        end = start + pages
        await connection.execute(
            f"DELETE FROM usage.{name} WHERE ctid >= $2 AND ctid < $3 AND {leaves[name].is_before}",  # noqa: S608
            before_at,
            (start, 0),
            (end, 0),
        )
        if end < await _pages_of(connection, name):
            return await _stands_at(connection, name, end)
        following = [leaf for leaf in leaves if leaf > name]
        if following:
            return await _stands_at(connection, following[0], 0)
        await connection.execute(
            "UPDATE usage.retention SET swept_before_at = $1, sweeping = NULL, next_block = 0", before_at
        )
        return False


async def _leaves(connection: asyncpg.Connection) -> dict[str, IdentityTable]:
    """Return the tables that hold rows, by name, in order."""
    found = {
        row["relname"]: table for table in TABLES for row in await connection.fetch(_LEAVES, f"usage.{table.name}")
    }
    return dict(sorted(found.items()))


async def _pages_of(connection: asyncpg.Connection, name: str) -> int:
    query = "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int"
    return int(await connection.fetchval(query, f"usage.{name}"))


async def _stands_at(connection: asyncpg.Connection, name: str, block: int) -> bool:
    await connection.execute("UPDATE usage.retention SET sweeping = $1, next_block = $2", name, block)
    return True
