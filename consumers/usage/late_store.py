"""SQL of late usage: totals that wait for a tick, their way into the totals, and the periods that they change.

Place     late, corrected -> [this] -> Postgres `usage.late_rollup`, `usage.rollup`, `usage.revision_due`.
Locks     what waits comes before the totals, and both before the marks, each sorted by its key: as the hot path does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fakturo.consumers.usage.folding import RollupColumns

Quarter = tuple[str, int, datetime]
"""Account, meter, start of a quarter of an hour."""

_PUT_ASIDE = """
INSERT INTO usage.late_rollup AS old (known_watermark_at, account_id, meter_id, bucket_start_at, dimensions,
    event_count, sum_value, max_value, min_value, last_value, last_at, recorded_at)
SELECT $12, account, meter, bucket, dimensions, count, sum::numeric, max::numeric, min::numeric, last::numeric, last_at,
       recorded_at
  FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::timestamptz[], $11::timestamptz[])
       AS new(account, meter, bucket, dimensions, count, sum, max, min, last, last_at, recorded_at)
ON CONFLICT (known_watermark_at, account_id, meter_id, bucket_start_at, dimensions) DO UPDATE SET
    event_count = old.event_count + excluded.event_count, sum_value = old.sum_value + excluded.sum_value,
    max_value = greatest(old.max_value, excluded.max_value), min_value = least(old.min_value, excluded.min_value),
    last_value = CASE WHEN old.last_at IS NULL OR excluded.last_at >= old.last_at THEN excluded.last_value
                      ELSE old.last_value END,
    last_at = greatest(old.last_at, excluded.last_at), recorded_at = greatest(old.recorded_at, excluded.recorded_at)
"""
_MERGE = """
WITH part AS (
    DELETE FROM usage.late_rollup
     WHERE (known_watermark_at, account_id, meter_id, bucket_start_at, dimensions) IN (
           SELECT known_watermark_at, account_id, meter_id, bucket_start_at, dimensions FROM usage.late_rollup
            WHERE known_watermark_at < $1 ORDER BY 1, 2, 3, 4, 5 LIMIT $2 FOR UPDATE)
    RETURNING *),
added AS (
    SELECT account_id, meter_id, bucket_start_at, dimensions, count(*) AS parts,
           sum(event_count)::bigint AS event_count, sum(sum_value) AS sum_value,
           max(max_value) AS max_value, min(min_value) AS min_value,
           (array_agg(last_value ORDER BY last_at DESC, known_watermark_at DESC) FILTER (WHERE last_at IS NOT NULL))[1]
               AS last_value,
           max(last_at) AS last_at, max(recorded_at) AS recorded_at
      FROM part GROUP BY 1, 2, 3, 4),
merged AS (
    INSERT INTO usage.rollup AS old (account_id, meter_id, bucket_start_at, dimensions, event_count, sum_value,
        max_value, min_value, last_value, last_at, recorded_at)
    SELECT account_id, meter_id, bucket_start_at, dimensions, event_count, sum_value, max_value, min_value, last_value,
           coalesce(last_at, '-infinity'), recorded_at
      FROM added ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, meter_id, bucket_start_at, dimensions) DO UPDATE SET
        event_count = old.event_count + excluded.event_count, sum_value = old.sum_value + excluded.sum_value,
        max_value = greatest(old.max_value, excluded.max_value), min_value = least(old.min_value, excluded.min_value),
        last_value = CASE WHEN excluded.last_at >= old.last_at THEN excluded.last_value ELSE old.last_value END,
        last_at = greatest(old.last_at, excluded.last_at), recorded_at = greatest(old.recorded_at, excluded.recorded_at)
    RETURNING account_id, meter_id, bucket_start_at, event_count)
SELECT account_id, meter_id, bucket_start_at, sum(parts)::bigint AS parts, bool_or(is_empty) AS is_empty
  FROM (SELECT account_id, meter_id, bucket_start_at, parts, false AS is_empty FROM added
        UNION ALL
        SELECT account_id, meter_id, bucket_start_at, 0, event_count <= 0 FROM merged) AS touched
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_NEXT_KNOWN = """
SELECT least(
    (SELECT min(known_watermark_at) FROM usage.late_rollup WHERE known_watermark_at > $1 AND known_watermark_at < $2),
    (SELECT min(known_watermark_at) FROM usage.retotal_due WHERE known_watermark_at > $1 AND known_watermark_at < $2),
    (SELECT min(known_watermark_at) FROM usage.rerate_request
      WHERE NOT done AND known_watermark_at > $1 AND known_watermark_at < $2))
"""
_FORGET_EMPTY = """
DELETE FROM usage.rollup r USING unnest($1::text[], $2::int[], $3::timestamptz[]) AS q(account_id, meter_id, bucket_at)
 WHERE r.account_id = q.account_id AND r.meter_id = q.meter_id AND r.bucket_start_at = q.bucket_at
   AND r.event_count <= 0
"""
_QUEUE = """
INSERT INTO usage.revision_due AS old (subscription_item, period_start_at, period_end_at, known_watermark_at, for_usage)
SELECT DISTINCT f.subscription_item, f.period_start_at, f.period_end_at, '-infinity'::timestamptz, true
  FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS q(account_id, meter_id, bucket_at)
  JOIN usage.subscription_item i USING (account_id, meter_id)
  JOIN usage.meter m USING (meter_id)
  JOIN usage.final_statement f ON f.subscription_item = i.subscription_item AND f.revision = 1
   AND f.period_end_at > q.bucket_at
   AND (f.period_start_at <= q.bucket_at
        OR m.definition ->> 'aggregation' = 'weighted_sum'
        OR f.period_start_at < q.bucket_at
           + make_interval(months => (i.content ->> 'allowance_months')::int, days => 2))
 ORDER BY 1, 2
ON CONFLICT (subscription_item, period_start_at) DO UPDATE
   SET known_watermark_at = least(old.known_watermark_at, excluded.known_watermark_at), for_usage = true
"""
"""A level goes on for ever, and an allowance counts over its window: later periods are rated again, too."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a part changed: how many totals were taken, and the quarters that they are of, sorted."""

    total_count: int
    quarters: list[Quarter]


async def put_aside(driver: asyncpg.Connection, known_at: datetime, columns: RollupColumns) -> None:
    """Keep totals for the first tick after `known_at`; `columns` are sorted by key."""
    await put_columns_aside(driver, known_at, *columns.arrays())


async def put_columns_aside(driver: asyncpg.Connection, known_at: datetime, *columns: Sequence[object]) -> None:
    """Keep totals, one list a column, for the first tick after `known_at`."""
    await driver.execute(_PUT_ASIDE, *columns, known_at)


async def next_known_at(driver: asyncpg.Connection, after: datetime, to: datetime) -> datetime | None:
    """Return what time had reached, between `after` and `to`, when the oldest of what waits for a tick came."""
    found: datetime | None = await driver.fetchval(_NEXT_KNOWN, after, to)
    return found


async def merge(driver: asyncpg.Connection, to: datetime, limit: int) -> Merged:
    """Add up to `limit` of the totals that were known before `to`, the oldest first, to the others."""
    rows = await driver.fetch(_MERGE, to, limit)
    quarters = [(row["account_id"], row["meter_id"], row["bucket_start_at"]) for row in rows]
    await forget_empty(driver, [quarter for quarter, row in zip(quarters, rows, strict=True) if row["is_empty"]])
    return Merged(sum(row["parts"] for row in rows), quarters)


async def forget_empty(driver: asyncpg.Connection, quarters: Sequence[Quarter]) -> None:
    """Delete the totals of `quarters` of which corrections left no event."""
    if quarters:
        await driver.execute(_FORGET_EMPTY, *quarter_columns(quarters))


async def queue_revisions(driver: asyncpg.Connection, quarters: Sequence[Quarter]) -> None:
    """Have the stated periods whose amounts depend on `quarters` rated again by the tick that is being worked off."""
    await driver.execute(_QUEUE, *quarter_columns(quarters))


async def forget_problems(driver: asyncpg.Connection, quarters: Sequence[Quarter]) -> None:
    """Have the items of the accounts and meters rated again that could not be: what was used has changed."""
    if quarters:
        await driver.execute(
            "UPDATE usage.subscription_item SET problem = NULL WHERE problem IS NOT NULL "
            "AND (account_id, meter_id) IN (SELECT * FROM unnest($1::text[], $2::int[]))",
            [one[0] for one in quarters],
            [one[1] for one in quarters],
        )


def earliest(quarters: Iterable[Quarter]) -> list[Quarter]:
    """Return the first quarter of each account and meter, sorted: from where on its totals changed."""
    first: dict[tuple[str, int], datetime] = {}
    for account_id, meter_id, start_at in quarters:
        pair = account_id, meter_id
        first[pair] = min(start_at, first.get(pair, start_at))
    return [(account_id, meter_id, start_at) for (account_id, meter_id), start_at in sorted(first.items())]


def quarter_columns(quarters: Sequence[Quarter]) -> tuple[list[str], list[int], list[datetime]]:
    """Return accounts, meters and starts."""
    return [one[0] for one in quarters], [one[1] for one in quarters], [one[2] for one in quarters]
