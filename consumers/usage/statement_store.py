"""SQL of the statements: what is due or changed, totals of stretches of time, pointers, the newest statement.

Place     statements -> [this] -> Postgres schema `usage`.
Lock      `lock_statements`: one worker at a time makes statements, so no running one can follow a final one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from fakturo.consumers.usage.rateable import DueItem
from fakturo.engine.meters import Meter, Rollup, meter_of
from fakturo.engine.periods import Period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, MeterDefinition, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated

_ITEMS = """
SELECT i.subscription_item, i.subscription_id, i.account_id, i.currency, i.meter_id, i.content, i.recorded_at,
       i.removed, i.period_start_at, i.next_period_end_at AS period_end_at, a.content AS account, m.definition
  FROM usage.subscription_item i
  JOIN usage.account a USING (account_id)
  JOIN usage.meter m USING (meter_id)
 WHERE i.next_period_end_at IS NOT NULL AND i.problem IS NULL
"""
_DUE = "AND i.next_period_end_at <= $1 AND i.known_watermark_at < $2 ORDER BY i.next_period_end_at, 1 LIMIT $3"
_OF_PAIRS = "AND (i.account_id, i.meter_id) IN (SELECT * FROM unnest($1::text[], $2::int[])) ORDER BY 1"
_TOTALS = """
SELECT s.number, t.* FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY
    AS s(account_id, meter_id, start_at, end_at, number)
 CROSS JOIN LATERAL (
    SELECT dimensions, sum(event_count)::bigint AS event_count, sum(sum_value) AS sum_value,
           max(max_value) AS max_value, min(min_value) AS min_value,
           (array_agg(last_value ORDER BY last_at DESC))[1] AS last_value, max(last_at) AS last_at,
           max(recorded_at) AS recorded_at
      FROM usage.rollup r
     WHERE r.account_id = s.account_id AND r.meter_id = s.meter_id
       AND r.bucket_start_at >= s.start_at AND r.bucket_start_at < s.end_at
     GROUP BY dimensions) t
 ORDER BY s.number, t.dimensions
"""
_SAVE = """
INSERT INTO usage.statement AS old (subscription_item, account_id, subscription_id, product_code, product_name, meter,
    unit, currency, period_start_at, period_end_at, quantity, amount_exact, amount_minor, next_tier_remaining,
    next_tier_unit_amount, as_of, final, revision, content)
SELECT item, account, subscription, product, name, meter, unit, currency, start_at, end_at, quantity, exact, minor,
       remaining, unit_amount, as_of, final, revision, content::jsonb
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::timestamptz[], $10::timestamptz[], $11::numeric[], $12::numeric[], $13::bigint[], $14::numeric[],
              $15::numeric[], $16::timestamptz[], $17::bool[], $18::int[], $19::text[])
       AS new(item, account, subscription, product, name, meter, unit, currency, start_at, end_at, quantity, exact,
              minor, remaining, unit_amount, as_of, final, revision, content)
ON CONFLICT (subscription_item) DO UPDATE SET account_id = excluded.account_id,
    subscription_id = excluded.subscription_id, product_code = excluded.product_code,
    product_name = excluded.product_name, meter = excluded.meter, unit = excluded.unit, currency = excluded.currency,
    period_start_at = excluded.period_start_at, period_end_at = excluded.period_end_at, quantity = excluded.quantity,
    amount_exact = excluded.amount_exact, amount_minor = excluded.amount_minor,
    next_tier_remaining = excluded.next_tier_remaining, next_tier_unit_amount = excluded.next_tier_unit_amount,
    as_of = excluded.as_of, final = excluded.final, revision = excluded.revision, content = excluded.content
 WHERE excluded.period_start_at >= old.period_start_at
"""


@dataclass(frozen=True, slots=True)
class SliceRange:
    """A stretch of time of an account's meter; both ends are multiples of a quarter of an hour."""

    account_id: str
    meter_id: int
    start_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """The total of one group; `recorded_at` is when the newest event in it was known."""

    dimensions: str
    rollup: Rollup
    last_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class SliceTotal:
    """The totals of a stretch, one a group; none where there was no usage."""

    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement with what a reader sees beside it."""

    statement: UsageRated
    product_name: str
    unit: str | None


async def lock_statements(driver: asyncpg.Connection) -> None:
    """Be the only one to make statements, until the end of the transaction."""
    await driver.execute("SELECT pg_advisory_xact_lock(hashtextextended('usage/statements', 0))")


async def due_items(driver: asyncpg.Connection, closed_at: datetime, to: datetime, limit: int) -> list[DueItem]:
    """Return items whose period ends at `closed_at` or before, oldest first; contracts that came after `to` wait."""
    return due_of(await driver.fetch(_ITEMS + _DUE, closed_at, to, limit))


async def take_dirty_items(driver: asyncpg.Connection, limit: int) -> list[DueItem]:
    """Take up to `limit` marks, the oldest first, and return the items that they are of.

    A mark that a batch under way holds is left for the next time: its totals are not committed yet.
    """
    marks = await driver.fetch(
        "DELETE FROM usage.dirty WHERE (account_id, meter_id) IN (SELECT account_id, meter_id FROM usage.dirty "
        "ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING account_id, meter_id",
        limit,
    )
    if not marks:
        return []
    accounts, meters = [mark["account_id"] for mark in marks], [mark["meter_id"] for mark in marks]
    return due_of(await driver.fetch(_ITEMS + _OF_PAIRS, accounts, meters))


def due_of(rows: Sequence[asyncpg.Record]) -> list[DueItem]:
    """Return the items that `rows` hold: an item, its account and meter, and a period."""
    meters: dict[int, Meter] = {}
    accounts: dict[str, tuple[AccountVersion, ...]] = {}
    found = []
    for row in rows:
        if row["meter_id"] not in meters:
            meters[row["meter_id"]] = meter_of(msgspec.json.decode(row["definition"], type=MeterDefinition))
        if row["account_id"] not in accounts:
            accounts[row["account_id"]] = msgspec.json.decode(row["account"], type=AccountChanged).versions
        found.append(_due_item(row, meters[row["meter_id"]], accounts[row["account_id"]]))
    return found


def _due_item(row: asyncpg.Record, meter: Meter, versions: tuple[AccountVersion, ...]) -> DueItem:
    return DueItem(
        subscription_item=row["subscription_item"],
        subscription_id=row["subscription_id"],
        account_id=row["account_id"],
        currency=row["currency"],
        meter_id=row["meter_id"],
        meter=meter,
        item=msgspec.json.decode(row["content"], type=SubscriptionItem),
        versions=versions,
        period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
        recorded_at=row["recorded_at"],
        removed=row["removed"],
    )


async def totals_of(driver: asyncpg.Connection, ranges: Sequence[SliceRange]) -> list[SliceTotal]:
    """Return the totals of each range, in their order."""
    if not ranges:
        return []
    rows = await driver.fetch(
        _TOTALS,
        [one.account_id for one in ranges],
        [one.meter_id for one in ranges],
        [one.start_at for one in ranges],
        [one.end_at for one in ranges],
    )
    groups: list[list[Group]] = [[] for _ in ranges]
    for row in rows:
        rollup = Rollup(
            count=row["event_count"],
            total=row["sum_value"],
            highest=row["max_value"],
            lowest=row["min_value"],
            last=row["last_value"],
            last_at=row["last_at"],
        )
        groups[row["number"] - 1].append(Group(row["dimensions"], rollup, row["last_at"], row["recorded_at"]))
    return [SliceTotal(tuple(found)) for found in groups]


async def save_problems(driver: asyncpg.Connection, problems: Sequence[tuple[str, str]]) -> None:
    """Save (item, sentence): no statement is made of the item until a new contract of it comes."""
    if problems:
        await driver.execute(
            "UPDATE usage.subscription_item i SET problem = new.problem "
            "FROM unnest($1::text[], $2::text[]) AS new(item, problem) WHERE i.subscription_item = new.item",
            [problem[0] for problem in problems],
            [problem[1] for problem in problems],
        )


async def move_pointers(
    driver: asyncpg.Connection, moves: Sequence[tuple[str, datetime, datetime | None, datetime | None]]
) -> None:
    """Save (item, finalized until, next start, next end); mark items whose next period has usage already."""
    if not moves:
        return
    rows = sorted(moves, key=lambda move: move[0])
    await driver.execute(
        "UPDATE usage.subscription_item i SET finalized_until_at = new.until_at, period_start_at = new.start_at, "
        "next_period_end_at = new.end_at FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], "
        "$4::timestamptz[]) AS new(item, until_at, start_at, end_at) WHERE i.subscription_item = new.item",
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )
    await driver.execute(
        "INSERT INTO usage.dirty (account_id, meter_id) SELECT DISTINCT i.account_id, i.meter_id "
        "FROM usage.subscription_item i WHERE i.subscription_item = ANY($1::text[]) AND i.period_start_at IS NOT NULL "
        "AND EXISTS (SELECT FROM usage.rollup r WHERE r.account_id = i.account_id AND r.meter_id = i.meter_id "
        "AND r.bucket_start_at >= i.period_start_at) ORDER BY 1, 2 ON CONFLICT DO NOTHING",
        [row[0] for row in rows],
    )


async def said_items(driver: asyncpg.Connection, statements: Sequence[UsageRated]) -> set[str]:
    """Return the items of those `statements` that say what the item's newest statement already says."""
    rows = await driver.fetch(
        "SELECT s.subscription_item FROM usage.statement s JOIN unnest($1::text[], $2::text[]) AS new(item, content) "
        "ON s.subscription_item = new.item WHERE s.content = new.content::jsonb",
        [one.subscription_item for one in statements],
        [encode(one).decode() for one in statements],
    )
    return {row["subscription_item"] for row in rows}


async def save_statements(driver: asyncpg.Connection, rows: Sequence[StatementRow]) -> None:
    """Keep the newest statement of each item."""
    if not rows:
        return
    found = sorted(rows, key=lambda row: row.statement.subscription_item)
    data = [row.statement for row in found]
    await driver.execute(
        _SAVE,
        [one.subscription_item for one in data],
        [one.account for one in data],
        [one.subscription_id for one in data],
        [one.product_code for one in data],
        [row.product_name for row in found],
        [one.meter for one in data],
        [row.unit for row in found],
        [one.currency for one in data],
        [one.period.start for one in data],
        [one.period.end for one in data],
        [one.quantity for one in data],
        [one.amount_exact for one in data],
        [one.amount_minor for one in data],
        [one.next_tier.remaining if one.next_tier else None for one in data],
        [one.next_tier.unit_amount if one.next_tier else None for one in data],
        [one.as_of for one in data],
        [one.final for one in data],
        [one.revision for one in data],
        [encode(one).decode() for one in data],
    )
