"""The totals of stretches of time, added up from the quarters of an hour.

Place     statements, event_usage, running_store -> [this] -> Postgres `usage.rollup`.
Once      a stretch that several items ask for is added up once.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from fakturo.engine.meters import Rollup

TOTALS = """
SELECT s.number, t.* FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
    WITH ORDINALITY AS s(account_id, meter_id, start_at, end_at, cut_at, number)
 CROSS JOIN LATERAL (
    SELECT dimensions, bucket_start_at >= s.cut_at AS is_after, sum(event_count)::bigint AS event_count,
           sum(sum_value) AS sum_value, max(max_value) AS max_value, min(min_value) AS min_value,
           (array_agg(last_value ORDER BY last_at DESC))[1] AS last_value, max(last_at) AS last_at,
           max(recorded_at) AS recorded_at, count(*) AS row_count
      FROM usage.rollup r
     WHERE r.account_id = s.account_id AND r.meter_id = s.meter_id
       AND r.bucket_start_at >= s.start_at AND r.bucket_start_at < s.end_at
     GROUP BY dimensions, is_after) t
 ORDER BY s.number, t.dimensions, t.is_after
"""
"""Of each stretch one row a group, and another one for what lies at `cut_at` or after."""


class SliceRange(msgspec.Struct, frozen=True):
    """A stretch of time of an account's meter; both ends are multiples of a quarter of an hour."""

    account_id: str
    meter_id: int
    start_at: datetime
    end_at: datetime


class Group(msgspec.Struct, frozen=True):
    """The total of one group; `recorded_at` is when the newest event in it was known."""

    dimensions: str
    rollup: Rollup
    last_at: datetime
    recorded_at: datetime


class SliceTotal(msgspec.Struct, frozen=True):
    """The totals of a stretch, one a group; none where there was no usage."""

    groups: tuple[Group, ...]


async def totals_of(driver: asyncpg.Connection, ranges: Sequence[SliceRange]) -> list[SliceTotal]:
    """Return the totals of each range, in their order."""
    unique = sorted(set(ranges), key=key_of)
    if not unique:
        return []
    rows = await driver.fetch(
        TOTALS,
        [one.account_id for one in unique],
        [one.meter_id for one in unique],
        [one.start_at for one in unique],
        [one.end_at for one in unique],
        [one.end_at for one in unique],
    )
    groups: list[list[Group]] = [[] for _ in unique]
    for row in rows:
        groups[row["number"] - 1].append(group_of(row))
    found = {one: SliceTotal(tuple(total)) for one, total in zip(unique, groups, strict=True)}
    return [found[one] for one in ranges]


def group_of(row: asyncpg.Record) -> Group:
    """Return the group that a row of `TOTALS` holds."""
    rollup = Rollup(
        count=row["event_count"],
        total=row["sum_value"],
        highest=row["max_value"],
        lowest=row["min_value"],
        last=row["last_value"],
        last_at=row["last_at"],
    )
    return Group(row["dimensions"], rollup, row["last_at"], row["recorded_at"])


def key_of(one: SliceRange) -> tuple[str, int, datetime, datetime]:
    """Return what ranges are sorted by."""
    return one.account_id, one.meter_id, one.start_at, one.end_at
