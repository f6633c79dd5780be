"""SQL of what corrections take out of the totals: counts and sums subtracted, quarters of an hour totalled again.

Place     exchanging, retotalling -> [this] -> Postgres `usage.rollup`, `usage.late_rollup`, `usage.retotal_due`.
Holds     what is taken out was in: a total that is not there, of a meter that the account has no longer, stays away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

import asyncpg

from fakturo.consumers.usage import late_store
from fakturo.consumers.usage.folding import Count, RollupColumns
from fakturo.consumers.usage.late_store import Quarter
from fakturo.engine.money import exact_context

_SUBTRACT = """
UPDATE usage.rollup r
   SET event_count = r.event_count - new.count, sum_value = r.sum_value - new.sum::numeric,
       recorded_at = greatest(r.recorded_at, new.recorded_at)
  FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[])
       AS new(account, meter, bucket, dimensions, count, sum, recorded_at)
 WHERE (r.account_id, r.meter_id, r.bucket_start_at, r.dimensions)
       = (new.account, new.meter, new.bucket, new.dimensions)
"""
_REPLACE = """
INSERT INTO usage.rollup AS old (account_id, meter_id, bucket_start_at, dimensions, event_count, sum_value, max_value,
    min_value, last_value, last_at, recorded_at)
SELECT account, meter, bucket, dimensions, count, sum::numeric, max::numeric, min::numeric, last::numeric, last_at,
       recorded_at
  FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::timestamptz[], $11::timestamptz[])
       AS new(account, meter, bucket, dimensions, count, sum, max, min, last, last_at, recorded_at)
ON CONFLICT (account_id, meter_id, bucket_start_at, dimensions) DO UPDATE SET
    event_count = excluded.event_count, sum_value = excluded.sum_value, max_value = excluded.max_value,
    min_value = excluded.min_value, last_value = excluded.last_value, last_at = excluded.last_at,
    recorded_at = greatest(old.recorded_at, excluded.recorded_at)
"""
_WAITING = """
SELECT account_id, meter_id, bucket_start_at, max(known_watermark_at) AS known_at
  FROM usage.late_rollup
 WHERE (account_id, meter_id, bucket_start_at) IN (SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[]))
 GROUP BY 1, 2, 3
"""
_TAKE_DUE = """
DELETE FROM usage.retotal_due
 WHERE (known_watermark_at, account_id, meter_id, bucket_start_at) IN (
       SELECT * FROM usage.retotal_due WHERE known_watermark_at < $1 ORDER BY 1, 2, 3, 4 LIMIT $2)
RETURNING account_id, meter_id, bucket_start_at
"""


@dataclass(frozen=True, slots=True)
class Removal:
    """What one event counted for a meter, to be taken out of the total of its quarter of an hour."""

    account_id: str
    count: Count
    quarter_start_at: datetime
    recorded_at: datetime

    @property
    def quarter(self) -> Quarter:
        """Return the account, the meter and the start of the quarter."""
        return self.account_id, self.count[0], self.quarter_start_at


Key = tuple[str, int, datetime, str]


async def subtract(driver: asyncpg.Connection, removals: Sequence[Removal]) -> None:
    """Take `removals` out of the totals."""
    if removals:
        sums = _summed(removals)
        await driver.execute(
            _SUBTRACT,
            *_key_columns(sums),
            [count for count, _, _ in sums.values()],
            [str(total) for _, total, _ in sums.values()],
            [recorded_at for _, _, recorded_at in sums.values()],
        )


async def put_aside(driver: asyncpg.Connection, removals: Sequence[tuple[datetime, Removal]]) -> None:
    """Have `removals`, each with the watermark at which it was known, taken out by the tick after it."""
    ordered = sorted(removals, key=lambda one: one[0])
    for known_at, group in groupby(ordered, key=lambda one: one[0]):
        sums = _summed(removal for _, removal in group)
        nothing = [None] * len(sums)
        await late_store.put_columns_aside(
            driver,
            known_at,
            *_key_columns(sums),
            [-count for count, _, _ in sums.values()],
            [str(-total) for _, total, _ in sums.values()],
            nothing,
            nothing,
            nothing,
            nothing,
            [recorded_at for _, _, recorded_at in sums.values()],
        )


async def retotal_later(driver: asyncpg.Connection, quarters: Sequence[tuple[datetime, Quarter]]) -> None:
    """Have `quarters`, sorted, each with the watermark at which it was known, totalled again by the tick after it."""
    if quarters:
        await driver.execute(
            "INSERT INTO usage.retotal_due (known_watermark_at, account_id, meter_id, bucket_start_at) SELECT * FROM "
            "unnest($1::timestamptz[], $2::text[], $3::int[], $4::timestamptz[]) ON CONFLICT DO NOTHING",
            [known_at for known_at, _ in quarters],
            *late_store.quarter_columns([quarter for _, quarter in quarters]),
        )


async def waiting_quarters(driver: asyncpg.Connection, quarters: Sequence[Quarter]) -> dict[Quarter, datetime]:
    """Return those of `quarters` that late usage waits for, with the last watermark at which it was known."""
    rows = await driver.fetch(_WAITING, *late_store.quarter_columns(quarters))
    return {(row["account_id"], row["meter_id"], row["bucket_start_at"]): row["known_at"] for row in rows}


async def take_due(driver: asyncpg.Connection, to: datetime, limit: int) -> list[Quarter]:
    """Take up to `limit` quarters that the tick at `to` totals again, the oldest first."""
    rows = await driver.fetch(_TAKE_DUE, to, limit)
    return sorted((row["account_id"], row["meter_id"], row["bucket_start_at"]) for row in rows)


async def replace_rollups(driver: asyncpg.Connection, columns: RollupColumns) -> None:
    """Put totals in the place of those that are there; `columns` are sorted by key."""
    await driver.execute(_REPLACE, *columns.arrays())


def _summed(removals: Iterable[Removal]) -> dict[Key, tuple[int, Decimal, datetime]]:
    """Return count, sum and time of knowing by key, sorted."""
    sums: dict[Key, tuple[int, Decimal, datetime]] = {}
    with exact_context():
        for one in removals:
            meter_id, dimensions, value = one.count
            key = (one.account_id, meter_id, one.quarter_start_at, dimensions)
            count, total, recorded_at = sums.get(key, (0, Decimal(0), one.recorded_at))
            sums[key] = (count + 1, total + value, max(recorded_at, one.recorded_at))
    return dict(sorted(sums.items()))


def _key_columns(keys: Iterable[Key]) -> tuple[list[str], list[int], list[datetime], list[str]]:
    found = list(keys)
    return [key[0] for key in found], [key[1] for key in found], [key[2] for key in found], [key[3] for key in found]
