"""SQL of the statements: which items are due, their pointers, the newest statement of each.

Place     statements -> [this] -> Postgres schema `usage`.
Lock      `lock_statements`: one worker at a time makes statements for good. The rows of the items that are rated are
          locked, by a running statement where nobody else has: so none can follow the final one of its period.
"""

from collections.abc import Sequence
from datetime import date, datetime

import asyncpg
import msgspec

from fakturo.consumers.usage import running_store, store
from fakturo.consumers.usage.rateable import DueItem, Residence
from fakturo.engine.meters import Meter, meter_of
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import MeterDefinition, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated

_ITEMS = """
SELECT i.subscription_item, i.subscription_id, i.account_id, i.currency, i.meter_id, i.content, i.recorded_at,
       i.removed, i.period_start_at, i.next_period_end_at AS period_end_at, a.content AS account, m.definition
  FROM usage.subscription_item i
  JOIN usage.account a USING (account_id)
  JOIN usage.meter m USING (meter_id)
 WHERE i.next_period_end_at IS NOT NULL AND i.problem IS NULL
"""
_DUE = """
   AND i.next_period_end_at <= $1 AND i.known_watermark_at < $2
 ORDER BY i.next_period_end_at, 1 LIMIT $3 FOR UPDATE OF i
"""
_NAMED = " AND i.subscription_item = ANY($1::text[])"
_LOCK = """
SELECT i.subscription_item, a.version, i.removed, i.recorded_at, i.period_start_at, i.next_period_end_at
  FROM usage.subscription_item i
  JOIN usage.account a USING (account_id)
 WHERE i.next_period_end_at IS NOT NULL AND i.problem IS NULL
   AND (i.account_id, i.meter_id) IN (SELECT * FROM unnest($1::text[], $2::int[]))
 ORDER BY 1 FOR UPDATE OF i SKIP LOCKED
"""
_AHEAD = """
SELECT DISTINCT i.account_id, i.meter_id
  FROM usage.subscription_item i
 WHERE i.subscription_item = ANY($1::text[]) AND i.period_start_at IS NOT NULL
   AND EXISTS (SELECT FROM usage.rollup r WHERE r.account_id = i.account_id AND r.meter_id = i.meter_id
       AND r.bucket_start_at >= i.period_start_at)
 ORDER BY 1, 2
"""
_SAVE = """
INSERT INTO usage.statement AS old (subscription_item, account_id, subscription_id, product_code, product_name, meter,
    unit, currency, period_start_at, period_end_at, quantity, amount_exact, amount_minor, next_tier_remaining,
    next_tier_unit_amount, as_of, final, revision, content, content_hash, said_count)
SELECT item, account, subscription, product, name, meter, unit, currency, start_at, end_at, quantity, exact, minor,
       remaining, unit_amount, as_of, final, revision, content::jsonb, content_hash, 1
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::timestamptz[], $10::timestamptz[], $11::numeric[], $12::numeric[], $13::bigint[], $14::numeric[],
              $15::numeric[], $16::timestamptz[], $17::bool[], $18::int[], $19::text[], $20::bytea[])
       AS new(item, account, subscription, product, name, meter, unit, currency, start_at, end_at, quantity, exact,
              minor, remaining, unit_amount, as_of, final, revision, content, content_hash)
ON CONFLICT (subscription_item) DO UPDATE SET account_id = excluded.account_id,
    subscription_id = excluded.subscription_id, product_code = excluded.product_code,
    product_name = excluded.product_name, meter = excluded.meter, unit = excluded.unit, currency = excluded.currency,
    period_start_at = excluded.period_start_at, period_end_at = excluded.period_end_at, quantity = excluded.quantity,
    amount_exact = excluded.amount_exact, amount_minor = excluded.amount_minor,
    next_tier_remaining = excluded.next_tier_remaining, next_tier_unit_amount = excluded.next_tier_unit_amount,
    as_of = excluded.as_of, final = excluded.final, revision = excluded.revision, content = excluded.content,
    content_hash = excluded.content_hash, said_count = old.said_count + 1
 WHERE excluded.period_start_at >= old.period_start_at OR NOT excluded.final
RETURNING subscription_item, said_count
"""


class _Account(msgspec.Struct, frozen=True):
    """What of an account is read."""

    versions: tuple[Residence, ...]


_account_decoder = msgspec.json.Decoder(_Account)
_item_decoder = msgspec.json.Decoder(SubscriptionItem)


class StatementRow(msgspec.Struct, frozen=True):
    """A statement, as it is encoded, with what a reader sees beside it; `start_on` is its first day, local."""

    statement: UsageRated
    content: bytes
    content_hash: bytes
    product_name: str
    unit: str | None
    start_on: date


async def lock_statements(driver: asyncpg.Connection) -> None:
    """Be the only one to make statements, until the end of the transaction."""
    await driver.execute("SELECT pg_advisory_xact_lock(hashtextextended('usage/statements', 0))")


async def due_items(driver: asyncpg.Connection, closed_at: datetime, to: datetime, limit: int) -> list[DueItem]:
    """Return items whose period ends at `closed_at` or before, oldest first; contracts that came after `to` wait."""
    return due_of(await driver.fetch(_ITEMS + _DUE, closed_at, to, limit))


async def lock_items(driver: asyncpg.Connection, pairs: Sequence[tuple[str, int]]) -> list[asyncpg.Record]:
    """Lock the items of (account, meter) pairs that nobody is making a final statement of.

    Returns of each its id, the version of its account, and what of its row a statement depends on.
    """
    return list(await driver.fetch(_LOCK, [pair[0] for pair in pairs], [pair[1] for pair in pairs]))


async def items_named(driver: asyncpg.Connection, items: Sequence[str]) -> list[DueItem]:
    """Return the items of these ids, which the caller has locked."""
    return due_of(await driver.fetch(_ITEMS + _NAMED, list(items)))


def due_of(rows: Sequence[asyncpg.Record]) -> list[DueItem]:
    """Return the items that `rows` hold: an item, its account and meter, and a period."""
    meters: dict[int, Meter] = {}
    accounts: dict[str, tuple[Residence, ...]] = {}
    found = []
    for row in rows:
        if row["meter_id"] not in meters:
            meters[row["meter_id"]] = meter_of(msgspec.json.decode(row["definition"], type=MeterDefinition))
        if row["account_id"] not in accounts:
            accounts[row["account_id"]] = _account_decoder.decode(row["account"]).versions
        found.append(_due_item(row, meters[row["meter_id"]], accounts[row["account_id"]]))
    return found


def _due_item(row: asyncpg.Record, meter: Meter, versions: tuple[Residence, ...]) -> DueItem:
    return DueItem(
        subscription_item=row["subscription_item"],
        subscription_id=row["subscription_id"],
        account_id=row["account_id"],
        currency=row["currency"],
        meter_id=row["meter_id"],
        meter=meter,
        item=_item_decoder.decode(row["content"]),
        versions=versions,
        period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
        recorded_at=row["recorded_at"],
        removed=row["removed"],
    )


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
    ahead = await driver.fetch(_AHEAD, [row[0] for row in rows])
    await store.mark_dirty(driver, [(row["account_id"], row["meter_id"]) for row in ahead])
    await running_store.forget(driver, [row[0] for row in rows])


async def said_items(driver: asyncpg.Connection, rows: Sequence[StatementRow]) -> set[str]:
    """Return the items of those `rows` that say what the item's newest statement already says."""
    found = await driver.fetch(
        "SELECT subscription_item FROM unnest($1::text[], $2::bytea[]) AS new(subscription_item, content_hash) "
        "JOIN usage.statement s USING (subscription_item, content_hash)",
        [row.statement.subscription_item for row in rows],
        [row.content_hash for row in rows],
    )
    return {row["subscription_item"] for row in found}


async def save_statements(driver: asyncpg.Connection, rows: Sequence[StatementRow]) -> dict[str, int]:
    """Keep the newest statement of each item; return how many were kept of it so far, this one included.

    A final one of a period before is not kept: it revises what is over. A running one is of what is open, also where
    that lies before what was stated, because the service turned out to have begun earlier.
    """
    if not rows:
        return {}
    found = sorted(rows, key=lambda row: row.statement.subscription_item)
    data = [row.statement for row in found]
    saved = await driver.fetch(
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
        [row.content.decode() for row in found],
        [row.content_hash for row in found],
    )
    return {row["subscription_item"]: row["said_count"] for row in saved}
