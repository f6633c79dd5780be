"""SQL of revised statements: what was published for good, and which periods have to be rated again.

Place     revisions, statements -> [this] -> Postgres `usage.final_statement`, `usage.revision_due`.
Lock      who queues holds the contracts alone; who works off holds the statements and shares the contracts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from fakturo.consumers.usage.rateable import DueItem
from fakturo.consumers.usage.statement_store import due_of
from fakturo.engine.periods import Period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AlertThreshold

_NEWEST = """
SELECT DISTINCT ON (subscription_item, period_start_at) subscription_item, period_start_at, period_end_at, revision,
       content_hash, signature, quantity, amount_minor
  FROM usage.final_statement
 WHERE subscription_item = ANY($1::text[])
 ORDER BY subscription_item, period_start_at, revision DESC
"""
_NEWEST_OF = """
SELECT f.* FROM unnest($1::text[], $2::timestamptz[]) AS asked(item, start_at)
 CROSS JOIN LATERAL (
    SELECT * FROM usage.final_statement
     WHERE subscription_item = item AND period_start_at = start_at ORDER BY revision DESC LIMIT 1) f
"""
_DUE = """
SELECT i.subscription_item, i.subscription_id, i.account_id, i.currency, i.meter_id, i.content, i.recorded_at,
       i.removed, r.period_start_at, r.period_end_at, a.content AS account, m.definition
  FROM usage.revision_due r
  JOIN usage.subscription_item i USING (subscription_item)
  JOIN usage.account a USING (account_id)
  JOIN usage.meter m USING (meter_id)
 WHERE i.problem IS NULL AND r.known_watermark_at < $1
   AND NOT EXISTS (SELECT FROM usage.retention WHERE retained_from_at > r.period_start_at)
 ORDER BY r.period_start_at, 1 LIMIT $2
"""
"""A period of which usage has retired is not rated again: it would come out as if nothing had been used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalStatement:
    """What was published of an item and period for good; an old version did not note what it came to (None).

    `alerts` are what the contract named when it was made; they are only written.
    """

    subscription_item: str
    period: Period
    revision: int
    content_hash: bytes
    signature: bytes
    quantity: Decimal | None
    amount_minor: int | None
    alerts: tuple[AlertThreshold, ...] = ()


@dataclass(frozen=True, slots=True)
class ToRevise:
    """A period of an item that a contract says something else of; the tick after `known_watermark_at` rates it."""

    subscription_item: str
    period: Period
    known_watermark_at: datetime | None


async def newest_finals(driver: asyncpg.Connection, items: Sequence[str]) -> list[FinalStatement]:
    """Return the newest final statement of each period of `items`, by item and period."""
    rows = await driver.fetch(_NEWEST, list(items))
    return [_final(row) for row in rows]


async def finals_of(driver: asyncpg.Connection, due: Sequence[DueItem]) -> dict[tuple[str, datetime], FinalStatement]:
    """Return the newest final statement of each item and period in `due`, by item and period start."""
    rows = await driver.fetch(_NEWEST_OF, [one.subscription_item for one in due], [one.period.start_at for one in due])
    return {(row["subscription_item"], row["period_start_at"]): _final(row) for row in rows}


def _final(row: asyncpg.Record) -> FinalStatement:
    return FinalStatement(
        subscription_item=row["subscription_item"],
        period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
        revision=row["revision"],
        content_hash=row["content_hash"],
        signature=row["signature"],
        quantity=row["quantity"],
        amount_minor=row["amount_minor"],
    )


async def save_finals(driver: asyncpg.Connection, finals: Sequence[FinalStatement]) -> None:
    """Keep final statements that are published in this transaction."""
    rows = sorted(finals, key=lambda one: (one.subscription_item, one.period.start_at))
    if rows:
        await driver.execute(
            "INSERT INTO usage.final_statement (subscription_item, period_start_at, period_end_at, revision, "
            "content_hash, signature, quantity, amount_minor, alerts) "
            "SELECT * FROM unnest($1::text[], $2::timestamptz[], "
            "$3::timestamptz[], $4::int[], $5::bytea[], $6::bytea[], $7::numeric[], $8::bigint[], $9::jsonb[])",
            [one.subscription_item for one in rows],
            [one.period.start_at for one in rows],
            [one.period.end_at for one in rows],
            [one.revision for one in rows],
            [one.content_hash for one in rows],
            [one.signature for one in rows],
            [one.quantity for one in rows],
            [one.amount_minor for one in rows],
            [encode(one.alerts).decode() if one.alerts else None for one in rows],
        )


async def save_signatures(driver: asyncpg.Connection, finals: Sequence[FinalStatement]) -> None:
    """Note that the contract says something else of periods, and that it changed nothing of what was stated."""
    if finals:
        await driver.execute(
            "UPDATE usage.final_statement f SET signature = new.signature FROM unnest($1::text[], $2::timestamptz[], "
            "$3::int[], $4::bytea[]) AS new(item, start_at, revision, signature) WHERE f.subscription_item = new.item "
            "AND f.period_start_at = new.start_at AND f.revision = new.revision",
            [one.subscription_item for one in finals],
            [one.period.start_at for one in finals],
            [one.revision for one in finals],
            [one.signature for one in finals],
        )


async def queue(driver: asyncpg.Connection, rows: Sequence[ToRevise]) -> None:
    """Have periods rated again; one that waits already keeps the earlier of both watermarks."""
    if rows:
        await driver.execute(
            "INSERT INTO usage.revision_due AS old (subscription_item, period_start_at, period_end_at, "
            "known_watermark_at) SELECT item, start_at, end_at, coalesce(known_at, '-infinity') FROM unnest("
            "$1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[]) "
            "AS new(item, start_at, end_at, known_at) "
            "ON CONFLICT (subscription_item, period_start_at) DO UPDATE "
            "SET known_watermark_at = least(old.known_watermark_at, excluded.known_watermark_at)",
            [one.subscription_item for one in rows],
            [one.period.start_at for one in rows],
            [one.period.end_at for one in rows],
            [one.known_watermark_at for one in rows],
        )


async def forget_queued(driver: asyncpg.Connection, items: Sequence[str], kept: Sequence[ToRevise]) -> None:
    """Forget the periods of `items` that wait but for those in `kept`: the contract says again what was stated.

    Those of which the usage changed stay.
    """
    await driver.execute(
        "DELETE FROM usage.revision_due WHERE NOT for_usage AND subscription_item = ANY($1::text[]) "
        "AND (subscription_item, period_start_at) NOT IN (SELECT * FROM unnest($2::text[], $3::timestamptz[]))",
        list(items),
        [one.subscription_item for one in kept],
        [one.period.start_at for one in kept],
    )


async def unqueue(driver: asyncpg.Connection, periods: Sequence[tuple[str, datetime]]) -> None:
    """Forget (item, period start) pairs that were rated again."""
    if periods:
        await driver.execute(
            "DELETE FROM usage.revision_due WHERE (subscription_item, period_start_at) IN "
            "(SELECT * FROM unnest($1::text[], $2::timestamptz[]))",
            [item for item, _ in periods],
            [start_at for _, start_at in periods],
        )


async def due_revisions(driver: asyncpg.Connection, to: datetime, limit: int) -> list[DueItem]:
    """Return up to `limit` items, each with a period to be rated again; contracts that came after `to` wait."""
    return due_of(await driver.fetch(_DUE, to, limit))
