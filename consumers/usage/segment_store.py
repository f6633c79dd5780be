"""SQL of the segments: their numbers, the partition of each month, writing them, and finding them again.

Place     claiming -> [this] -> Postgres `usage.segment` -> event_store.
Months    the table has a partition for each month that has events (partitions.py); who writes has made them.
Merged    small segments become large ones (compaction.py); `usage.segment_merged` says which took the place of which.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import asyncpg

from fakturo.consumers.usage.segments import (
    Bucket,
    PackedEvent,
    buckets_of_account,
    first_day,
    month_of,
    pack_sorted,
    segment_id,
)

NUMBERS_AHEAD = 1024
"""How many numbers a worker takes at a time: the increment of the sequence."""
SEGMENTS_AHEAD = 32
"""How many contents are fetched at a time, so that memory does not grow with what is looked for."""

_COLUMNS = (
    "month", "segment_id", "bucket_bits", "bucket", "event_count", "late_count", "min_at", "max_at", "content"
)  # fmt: skip
_OF_ACCOUNT = """
SELECT min_at, content
  FROM usage.segment JOIN unnest($1::int[], $2::int[]) AS asked(bucket_bits, bucket) USING (bucket_bits, bucket)
 WHERE month BETWEEN date_trunc('month', $3::timestamptz AT TIME ZONE 'UTC')::date
                 AND ($4::timestamptz AT TIME ZONE 'UTC')::date
   AND max_at >= $3::timestamptz AND min_at < $4::timestamptz
 ORDER BY min_at, segment_id
"""
_MONTH_OF_SMALL = """
SELECT month FROM usage.segment WHERE event_count < 64 AND event_count < $1
 GROUP BY month HAVING count(*) >= $2 ORDER BY count(*) DESC LIMIT 1
"""
_TAKE_SMALL = """
DELETE FROM usage.segment WHERE month = $1 AND segment_id IN (
    SELECT segment_id FROM usage.segment WHERE month = $1 AND event_count < 64 AND event_count < $2
     ORDER BY segment_id LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING segment_id, content
"""
"""The 64 is that of the partial index."""


@dataclass(slots=True)
class Segment:
    """A segment to be written; its events are sorted by account and time."""

    segment_id: int
    bucket: Bucket
    events: list[PackedEvent]


@dataclass(slots=True)
class SegmentNumbers:
    """Running numbers of one worker; taken ahead, so a batch asks for none. Gaps mean nothing."""

    left: list[int] = field(default_factory=list)

    async def take(self, driver: asyncpg.Connection, buckets: Sequence[Bucket]) -> list[int]:
        """Return a new segment id for each of `buckets`."""
        while len(self.left) < len(buckets):
            last = await driver.fetchval("SELECT nextval('usage.segment_number')")
            self.left += range(last, last + NUMBERS_AHEAD)
        numbers, self.left = self.left[: len(buckets)], self.left[len(buckets) :]
        return [segment_id(bucket, number) for bucket, number in zip(buckets, numbers, strict=True)]


async def save(driver: asyncpg.Connection, segments: Iterable[Segment]) -> None:
    """Write segments, whose months have partitions."""
    rows = [_row(one) for one in segments if one.events]
    if rows:
        await driver.copy_records_to_table("segment", schema_name="usage", columns=_COLUMNS, records=rows)


def _row(one: Segment) -> tuple[date, int, int, int, int, int, datetime, datetime, bytes]:
    times = [event.at for event in one.events]
    late_count = sum(event.late for event in one.events)
    content = pack_sorted(one.events)
    return (
        first_day(one.bucket.month),
        one.segment_id,
        one.bucket.bits,
        one.bucket.number,
        len(times),
        late_count,
        min(times),
        max(times),
        content,
    )


async def contents(driver: asyncpg.Connection, segment_ids: Collection[int]) -> AsyncIterator[tuple[set[int], bytes]]:
    """Yield (ids as asked, content) of those that are still kept, each content once.

    What was merged is in the segments that took its place; many that were merged together share these.
    """
    asked_as = {one: {one} for one in segment_ids}
    while asked_as:
        missing, ordered = set(asked_as), sorted(asked_as)
        for start in range(0, len(ordered), SEGMENTS_AHEAD):
            for row in await _read(driver, ordered[start : start + SEGMENTS_AHEAD]):
                missing.discard(row["segment_id"])
                yield asked_as[row["segment_id"]], row["content"]
        following: dict[int, set[int]] = {}
        for merged, into in (await _merged(driver, missing)).items():
            for one in into:
                following.setdefault(one, set()).update(asked_as[merged])
        asked_as = following


async def _read(driver: asyncpg.Connection, segment_ids: Sequence[int]) -> list[asyncpg.Record]:
    return list(
        await driver.fetch(
            "SELECT segment_id, content FROM unnest($1::date[], $2::bigint[]) AS asked(month, segment_id) "
            "JOIN usage.segment USING (month, segment_id)",
            [month_of(one) for one in segment_ids],
            list(segment_ids),
        )
    )


async def _merged(driver: asyncpg.Connection, segment_ids: Collection[int]) -> dict[int, list[int]]:
    if not segment_ids:
        return {}
    rows = await driver.fetch(
        "SELECT segment_id, merged_into FROM usage.segment_merged WHERE segment_id = ANY($1::bigint[])",
        list(segment_ids),
    )
    return {row["segment_id"]: row["merged_into"] for row in rows}


async def segments_of(
    driver: asyncpg.Connection, account_id: str, from_at: datetime, until_at: datetime
) -> AsyncIterator[tuple[datetime, bytes]]:
    """Yield (time of the first event, content) of what can hold events of the account in [from_at, until_at), sorted.

    Inside a transaction, as every cursor.
    """
    pairs = buckets_of_account(account_id)
    cursor = driver.cursor(
        _OF_ACCOUNT,
        [bits for bits, _ in pairs],
        [bucket for _, bucket in pairs],
        from_at,
        until_at,
        prefetch=SEGMENTS_AHEAD,
    )
    async for row in cursor:
        yield row["min_at"], row["content"]


async def take_small(driver: asyncpg.Connection, below: int, at_least: int, at_most: int) -> list[tuple[int, bytes]]:
    """Take out and return (id, content) of segments of one month with fewer than `below` events, if many are there."""
    month = await driver.fetchval(_MONTH_OF_SMALL, below, at_least)
    if month is None:
        return []
    rows = await driver.fetch(_TAKE_SMALL, month, below, at_most)
    return [(row["segment_id"], row["content"]) for row in rows]


async def note_merged(driver: asyncpg.Connection, merged: Sequence[int], into: Sequence[int]) -> None:
    """Note which segments took the place of those in `merged`."""
    await driver.execute(
        "INSERT INTO usage.segment_merged (segment_id, merged_into) SELECT segment_id, $2::bigint[] "
        "FROM unnest($1::bigint[]) AS merged(segment_id)",
        list(merged),
        list(into),
    )
