"""Levels (`weighted_sum`) at an instant: the sum of all changes before it, from where it was kept last.

Place     event_usage -> [this] -> Postgres `usage.kept_level`, `usage.rollup`; running_store forgets what has changed.
Cost      a running statement keeps the level at the start of each stretch, so the next one, and the final one, add up
          what lies between, not all that there ever was. A month in which nothing changed adds nothing.
Right     as long as no quarter of an hour before it changes. Who changes totals marks them in the same transaction
          (store.mark_changed): a level behind a mark is not used, and who takes the mark deletes it.
Race      who makes a running statement has taken the mark, and holds the lock of its row: whoever changes totals
          meanwhile marks after that, and so takes back what is kept. Nobody else may keep a level.
"""

from datetime import datetime
from decimal import Decimal

import asyncpg

ROWS_MIN = 64
"""Where fewer totals than this were added up nothing is kept: it would save nothing."""

_BEFORE = """
WITH kept AS (
    SELECT max(k.until_at) AS until_at FROM usage.kept_level k
     WHERE k.account_id = $1 AND k.meter_id = $2 AND k.until_at <= $3 AND NOT EXISTS (
           SELECT FROM usage.dirty d WHERE d.account_id = $1 AND d.meter_id = $2
              AND d.since_at IS NOT NULL AND d.from_at < k.until_at))
SELECT dimensions, sum(total) AS total, sum(row_count)::bigint AS row_count FROM (
    SELECT dimensions, total, 0 AS row_count FROM usage.kept_level
     WHERE account_id = $1 AND meter_id = $2 AND until_at = (SELECT until_at FROM kept)
    UNION ALL
    SELECT dimensions, sum(sum_value), count(*) FROM usage.rollup
     WHERE account_id = $1 AND meter_id = $2 AND bucket_start_at < $3
       AND bucket_start_at >= coalesce((SELECT until_at FROM kept), '-infinity')
     GROUP BY dimensions) AS parts
 GROUP BY dimensions
"""
_KEEP = """
INSERT INTO usage.kept_level AS old (account_id, meter_id, until_at, dimensions, total)
SELECT $1, $2, $3, dimensions, total FROM unnest($4::text[], $5::numeric[]) AS new(dimensions, total)
ON CONFLICT (account_id, meter_id, until_at, dimensions) DO UPDATE SET total = excluded.total
"""


async def levels_before(
    driver: asyncpg.Connection, account_id: str, meter_id: int, at: datetime, *, keep: bool
) -> dict[str, Decimal]:
    """Return the level of each group at the instant, which is a quarter of an hour's start, by its dimensions.

    Who asks to `keep` it has taken the mark of account and meter in this transaction.
    """
    rows = await driver.fetch(_BEFORE, account_id, meter_id, at)
    levels = {row["dimensions"]: row["total"] for row in rows}
    if keep and sum(row["row_count"] for row in rows) > ROWS_MIN:
        await driver.execute(_KEEP, account_id, meter_id, at, list(levels), list(levels.values()))
    return levels
