"""SQL of running statements: which are asked for, and totals whose beginning is kept from one to the next.

Place     statements (`flush`) -> [this] -> Postgres `usage.dirty`, `usage.running_total`, `usage.rollup`.
Marks     a mark says since when totals of an account's meter have changed, and from which quarter of an hour on. It is
          taken the oldest first; an item rests between two statements, and waits its turn where there are too many.
Kept      the totals of a stretch up to `until_at`, some hours before the newest event. Right as long as no quarter
          before it changes: whoever changes totals marks them in the same transaction. What came for an earlier quarter
          has all added up again, and the kept part end that much earlier from then on. So a statement reads the last
          hours, whatever lies before. Final statements never look at what is kept. Levels are kept beside (levels.py):
          who takes a mark deletes those that it is before.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec

from fakturo.consumers.usage.totals import TOTALS, Group, SliceRange, SliceTotal, group_of, key_of
from fakturo.engine.meters import Rollup, quarter_hour
from fakturo.schemas.codec import encode

LAG = timedelta(hours=6)
"""How far the kept part stays behind the newest event: usage comes some hours late now and then."""
LAG_MAX = timedelta(days=3)
"""What is later than that is rare, and has all added up again each time."""
STEP = timedelta(hours=6)
"""By how much the kept part grows at least: it is written that seldom."""
ROWS_MIN = 64
"""Of a stretch with fewer rows than this nothing is kept: adding them up costs less."""

Pair = tuple[str, int]
"""Account and meter."""

_TAKE = """
WITH taken AS MATERIALIZED (
    SELECT account_id, meter_id, from_at FROM usage.dirty
     WHERE since_at IS NOT NULL AND rest_until_at <= clock_timestamp()
     ORDER BY since_at LIMIT $1 FOR UPDATE SKIP LOCKED
), rested AS (
    UPDATE usage.dirty d SET since_at = NULL, rest_until_at = clock_timestamp() + $2::interval
      FROM taken t WHERE d.account_id = t.account_id AND d.meter_id = t.meter_id
), emptied AS (
    UPDATE usage.running_total k SET until_at = k.start_at, groups = '[]', lag_seconds = CASE
           WHEN t.from_at < k.start_at THEN k.lag_seconds
           ELSE least($3, greatest(k.lag_seconds, extract(epoch FROM k.newest_at - t.from_at)))::int END
      FROM taken t
     WHERE k.account_id = t.account_id AND k.meter_id = t.meter_id
       AND k.until_at > t.from_at AND k.until_at > k.start_at
), forgotten AS (
    DELETE FROM usage.kept_level k USING taken t
     WHERE k.account_id = t.account_id AND k.meter_id = t.meter_id AND k.until_at > t.from_at
)
SELECT account_id, meter_id, NULL::float8 AS rest_seconds FROM taken
 UNION ALL
SELECT NULL, NULL, extract(epoch FROM min(rest_until_at) - clock_timestamp())::float8
  FROM (SELECT rest_until_at FROM usage.dirty WHERE since_at IS NOT NULL ORDER BY since_at LIMIT $1) AS oldest
 WHERE rest_until_at > clock_timestamp()
 ORDER BY 1 NULLS LAST, 2
"""
_REST = """
UPDATE usage.dirty d SET rest_until_at = clock_timestamp() + new.rest
  FROM unnest($1::text[], $2::int[], $3::interval[]) AS new(account_id, meter_id, rest)
 WHERE d.account_id = new.account_id AND d.meter_id = new.meter_id
"""
_KEPT = """
SELECT k.account_id, k.meter_id, k.start_at, k.end_at, until_at, newest_at, lag_seconds, groups
  FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[])
       AS asked(account_id, meter_id, start_at, end_at)
  JOIN usage.running_total k USING (account_id, meter_id, start_at, end_at)
"""
_KEEP = """
INSERT INTO usage.running_total (account_id, meter_id, start_at, end_at, until_at, newest_at, lag_seconds, groups)
SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
    $7::int[], $8::bytea[])
ON CONFLICT (account_id, meter_id, start_at, end_at) DO UPDATE SET until_at = excluded.until_at,
    newest_at = excluded.newest_at, lag_seconds = excluded.lag_seconds, groups = excluded.groups
"""
_FORGET = """
DELETE FROM usage.running_total k USING (
    SELECT DISTINCT account_id, meter_id FROM usage.subscription_item WHERE subscription_item = ANY($1::text[])) i
 WHERE k.account_id = i.account_id AND k.meter_id = i.meter_id
"""


class _KeptGroup(msgspec.Struct, frozen=True, array_like=True):
    """A group as it is kept."""

    dimensions: str
    count: int
    total: Decimal
    highest: Decimal
    lowest: Decimal
    last: Decimal
    last_at: datetime
    recorded_at: datetime


_decoder = msgspec.json.Decoder(tuple[_KeptGroup, ...])


class _Kept(msgspec.Struct, frozen=True):
    """What is kept of a stretch: its totals up to `until_at`; `lag` is how late usage has come for it."""

    until_at: datetime
    newest_at: datetime
    lag: timedelta
    groups: tuple[Group, ...]


class _Plan(msgspec.Struct, frozen=True):
    """A stretch to be totalled: `kept` holds up to `start_at`, from there it is added up; `cut_at` is kept next."""

    range: SliceRange
    kept: _Kept | None
    start_at: datetime
    cut_at: datetime


async def take_marks(driver: asyncpg.Connection, limit: int, rest: timedelta) -> tuple[list[Pair], float | None]:
    """Take up to `limit` marks, the oldest first; forget what is kept of times that have changed.

    A mark that a batch under way holds is left for the next time: its totals are not committed yet. None of them is
    taken again before it has had its `rest`. Returned are the pairs, sorted, and after how many seconds the first of
    the oldest marks that still rest will have done so (None: none does).
    """
    rows = await driver.fetch(_TAKE, limit, rest, LAG_MAX // timedelta(seconds=1))
    resting: float | None = rows.pop()["rest_seconds"]
    return [(row["account_id"], row["meter_id"]) for row in rows], resting


async def let_rest(driver: asyncpg.Connection, rests: Mapping[Pair, timedelta]) -> None:
    """Let (account, meter) pairs whose statements are dear rest for longer."""
    if rests:
        pairs = sorted(rests)
        await driver.execute(_REST, [one[0] for one in pairs], [one[1] for one in pairs], [rests[one] for one in pairs])


async def running_totals(driver: asyncpg.Connection, ranges: Sequence[SliceRange]) -> list[SliceTotal]:
    """Return the totals of each range, in their order; the marks of their meters have been taken."""
    unique = sorted(set(ranges), key=key_of)
    kept = await _kept(driver, unique)
    plans = [_plan(one, kept.get(one)) for one in unique]
    rows = await driver.fetch(
        TOTALS,
        [one.range.account_id for one in plans],
        [one.range.meter_id for one in plans],
        [one.start_at for one in plans],
        [one.range.end_at for one in plans],
        [one.cut_at for one in plans],
    )
    before = [{group.dimensions: group for group in one.kept.groups} if one.kept else {} for one in plans]
    after: list[dict[str, Group]] = [{} for _ in plans]
    row_counts = [0 for _ in plans]
    for row in rows:
        index, group = row["number"] - 1, group_of(row)
        row_counts[index] += row["row_count"]
        part = after[index] if row["is_after"] else before[index]
        part[group.dimensions] = _merged(part.get(group.dimensions), group)
    found = {}
    to_keep: list[tuple[SliceRange, _Kept]] = []
    for one, begun, rest, row_count in zip(plans, before, after, row_counts, strict=True):
        groups = [_merged(begun.get(name), rest.get(name)) for name in sorted({*begun, *rest})]
        found[one.range] = SliceTotal(tuple(groups))
        newest_at = max((group.last_at for group in groups), default=one.range.start_at)
        if _is_worth_it(one, newest_at, row_count):
            lag = one.kept.lag if one.kept else timedelta()
            to_keep.append((one.range, _Kept(one.cut_at, newest_at, lag, tuple(begun.values()))))
    await _keep(driver, to_keep)
    return [found[one] for one in ranges]


async def forget(driver: asyncpg.Connection, items: Sequence[str]) -> None:
    """Forget what is kept for the meters of `items`: their periods are over."""
    await driver.execute(_FORGET, list(items))


def _plan(one: SliceRange, kept: _Kept | None) -> _Plan:
    if kept is None:
        return _Plan(one, None, one.start_at, one.start_at)
    cut_at = min(quarter_hour(kept.newest_at - max(LAG, kept.lag)), one.end_at)
    return _Plan(one, kept, kept.until_at, cut_at if cut_at >= kept.until_at + STEP else kept.until_at)


def _is_worth_it(plan: _Plan, newest_at: datetime, row_count: int) -> bool:
    """Return whether to keep the totals up to the plan's cut: it moves on, or has to learn how far usage has come."""
    if plan.kept is None:
        return row_count > ROWS_MIN
    return plan.cut_at > plan.start_at or newest_at >= plan.kept.newest_at + STEP


def _merged(one: Group | None, other: Group | None) -> Group:
    if one is None or other is None:
        found = one or other
        if found is None:
            raise ValueError("a group of neither part")
        return found
    return Group(
        one.dimensions,
        one.rollup.merge(other.rollup),
        max(one.last_at, other.last_at),
        max(one.recorded_at, other.recorded_at),
    )


async def _kept(driver: asyncpg.Connection, ranges: Sequence[SliceRange]) -> dict[SliceRange, _Kept]:
    rows = await driver.fetch(
        _KEPT,
        [one.account_id for one in ranges],
        [one.meter_id for one in ranges],
        [one.start_at for one in ranges],
        [one.end_at for one in ranges],
    )
    return {
        SliceRange(row["account_id"], row["meter_id"], row["start_at"], row["end_at"]): _Kept(
            row["until_at"],
            row["newest_at"],
            timedelta(seconds=row["lag_seconds"]),
            tuple(_group(one) for one in _decoder.decode(row["groups"])),
        )
        for row in rows
    }


def _group(one: _KeptGroup) -> Group:
    rollup = Rollup(
        count=one.count,
        total=one.total,
        highest=one.highest,
        lowest=one.lowest,
        last=one.last,
        last_at=one.last_at,
    )
    return Group(one.dimensions, rollup, one.last_at, one.recorded_at)


async def _keep(driver: asyncpg.Connection, found: Sequence[tuple[SliceRange, _Kept]]) -> None:
    if not found:
        return
    ranges, kept = [one for one, _ in found], [kept for _, kept in found]
    await driver.execute(
        _KEEP,
        [one.account_id for one in ranges],
        [one.meter_id for one in ranges],
        [one.start_at for one in ranges],
        [one.end_at for one in ranges],
        [one.until_at for one in kept],
        [one.newest_at for one in kept],
        [one.lag // timedelta(seconds=1) for one in kept],
        [encode([_to_keep(group) for group in one.groups]) for one in kept],
    )


def _to_keep(group: Group) -> _KeptGroup:
    rollup = group.rollup
    return _KeptGroup(
        group.dimensions,
        rollup.count,
        rollup.total,
        rollup.highest,
        rollup.lowest,
        rollup.last,
        group.last_at,
        group.recorded_at,
    )
