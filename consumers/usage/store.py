"""The hot path's SQL beside identities and segments: totals, marks, events rated themselves; one statement a table.

Place     handler -> [this] -> Postgres schema `usage`.
Locks     the contracts lock first (account_store.py), then identities, totals and marks, each sorted by its key: two
          workers wait for each other but never in a ring.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from fakturo.consumers.runtime.binary_copy import copy_binary
from fakturo.consumers.usage.folding import RollupColumns
from fakturo.consumers.usage.matching import Counted
from fakturo.consumers.usage.total_rows import COLUMNS, rows_of
from fakturo.schemas.codec import encode

_EVER = datetime(1, 1, 1, tzinfo=UTC)

_STAGED = "staged_rollup"
_STAGING = f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGED} (LIKE usage.rollup)"
_MERGE = f"""
INSERT INTO usage.rollup AS old ({", ".join(COLUMNS)})
SELECT {", ".join(COLUMNS)} FROM pg_temp.{_STAGED}
    ON CONFLICT (account_id, meter_id, bucket_start_at, dimensions) DO UPDATE
   SET event_count = old.event_count + excluded.event_count,
       sum_value = old.sum_value + excluded.sum_value,
       max_value = greatest(old.max_value, excluded.max_value),
       min_value = least(old.min_value, excluded.min_value),
       last_value = CASE WHEN excluded.last_at >= old.last_at THEN excluded.last_value ELSE old.last_value END,
       last_at = greatest(old.last_at, excluded.last_at),
       recorded_at = greatest(old.recorded_at, excluded.recorded_at)
"""  # noqa: S608 - constants
"""A scan of the staging table gives its rows as they were copied, so the locks are taken in the order of the key."""


async def note_for_rating(driver: asyncpg.Connection, rows: Sequence[Counted]) -> None:
    """Note of events that were just stored that they are rated themselves."""
    await driver.execute(
        'INSERT INTO usage.event_rated (account_id, type, at, partition, "offset", source, id, data, watermark_at) '
        "SELECT account, type, at, partition, \"offset\", source, id, data, coalesce(watermark_at, '-infinity') "
        "FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[], $6::text[], $7::text[], "
        '$8::text[], $9::timestamptz[]) AS new(account, type, at, partition, "offset", source, id, data, watermark_at)',
        [row.account_id for row in rows],
        [row.event.type for row in rows],
        [row.event.at for row in rows],
        [row.event.record.partition for row in rows],
        [row.event.record.offset for row in rows],
        [row.event.source for row in rows],
        [row.event.id for row in rows],
        [encode(row.event.data).decode() for row in rows],
        [row.event.record.watermark_at for row in rows],
    )


async def add_rollups(driver: asyncpg.Connection, columns: RollupColumns, *, mark: bool = False) -> None:
    """Add totals to what is there. `columns` are sorted by key; of equal times the later arrival is the last.

    They are copied into a table of the session and merged from there: a copy takes the driver a fifth of what arrays
    take, and the server half. With `mark` it is noted in the same way what has changed (`mark_changed`).
    """
    await driver.execute(_STAGING)
    await copy_binary(driver, "pg_temp", _STAGED, rows_of(columns.rows), COLUMNS)
    await driver.execute(_MERGE)
    if mark:
        await driver.execute(_MARK_STAGED)
    await driver.execute(f"TRUNCATE pg_temp.{_STAGED}")


async def copy_rollups(driver: asyncpg.Connection, columns: RollupColumns) -> None:
    """Add totals of which none is there. `columns` are sorted by key.

    Raises:
        asyncpg.UniqueViolationError: one is.
    """
    await copy_binary(driver, "usage", "rollup", rows_of(columns.rows), COLUMNS)


Mark = tuple[str, int, datetime]
"""Account, meter, and the earliest quarter of an hour whose totals changed."""

_MARKED = """
ON CONFLICT (account_id, meter_id) DO UPDATE SET since_at = coalesce(old.since_at, excluded.since_at),
    from_at = CASE WHEN old.since_at IS NULL THEN excluded.from_at ELSE least(old.from_at, excluded.from_at) END
 WHERE old.since_at IS NULL OR excluded.from_at < old.from_at
"""
"""A mark that says it already is not written, but locked all the same (PostgreSQL, INSERT, ON CONFLICT)."""
_MARK = f"""
INSERT INTO usage.dirty AS old (account_id, meter_id, since_at, from_at)
SELECT account_id, meter_id, clock_timestamp(), from_at
  FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS new(account_id, meter_id, from_at)
{_MARKED}"""  # noqa: S608 - constants
_MARK_STAGED = f"""
INSERT INTO usage.dirty AS old (account_id, meter_id, since_at, from_at)
SELECT account_id, meter_id, clock_timestamp(), min(bucket_start_at)
  FROM pg_temp.{_STAGED} GROUP BY account_id, meter_id ORDER BY account_id, meter_id
{_MARKED}"""  # noqa: S608 - constants


async def mark_dirty(driver: asyncpg.Connection, pairs: Sequence[tuple[str, int]]) -> None:
    """Note that totals of (account, meter) changed, nobody knows when; `pairs` are sorted."""
    await mark_changed(driver, [(account_id, meter_id, _EVER) for account_id, meter_id in pairs])


async def mark_changed(driver: asyncpg.Connection, marks: Sequence[Mark]) -> None:
    """Note that totals of (account, meter) changed from a quarter on; `marks` are sorted.

    The mark's row is locked, written or not, so a flush that takes the mark either sees these totals or waits. Who
    changes totals and does not say so leaves running statements that are wrong (running_store.py).
    """
    await driver.execute(_MARK, [one[0] for one in marks], [one[1] for one in marks], [one[2] for one in marks])
