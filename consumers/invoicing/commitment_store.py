"""SQL of minimum commitments: what was billed in a term, which are trued up, and which are over.

Place     true_up, ended_terms, discounts (void) -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable
from datetime import date, datetime

import asyncpg
import msgspec

from fakturo.schemas.events.contracts import Subscription, SubscriptionItem

_subscription = msgspec.json.Decoder(Subscription)
_item = msgspec.json.Decoder(SubscriptionItem)


async def is_trued_up(driver: asyncpg.Connection, subscription_id: str, start_on: date) -> bool:
    """Return whether the term that begins on that date was trued up."""
    return bool(
        await driver.fetchval(
            "SELECT EXISTS (SELECT FROM invoicing.commitment_term WHERE subscription_id = $1 AND start_on = $2)",
            subscription_id,
            start_on,
        )
    )


async def billed_in_term(driver: asyncpg.Connection, subscription_id: str, start_at: datetime, end_at: datetime) -> int:
    """Return what the lines of a subscription billed whose period begins in the term, void invoices left out."""
    billed: int = await driver.fetchval(
        "SELECT coalesce(sum(l.amount_minor), 0)::bigint FROM invoicing.invoice_line l "
        "JOIN invoicing.subscription_item i USING (subscription_item) "
        "WHERE i.subscription_id = $1 AND l.period_start_at >= $2 AND l.period_start_at < $3 AND NOT EXISTS "
        "(SELECT FROM invoicing.released_invoice r WHERE r.invoice_id = l.invoice_id)",
        subscription_id,
        start_at,
        end_at,
    )
    return billed


async def lines_of(driver: asyncpg.Connection, item: str, period_start_at: datetime) -> int:
    """Return how many lines were ever billed of an item and slice start, void ones too."""
    count: int = await driver.fetchval(
        "SELECT count(*) FROM invoicing.invoice_line WHERE subscription_item = $1 AND period_start_at = $2",
        item,
        period_start_at,
    )
    return count


async def save_true_up(
    driver: asyncpg.Connection,
    subscription_id: str,
    start_on: date,
    invoice_id: str,
    billed_minor: int,
    short_minor: int,
) -> None:
    """Book that a term was trued up.

    Raises:
        asyncpg.UniqueViolationError: it was before.
    """
    await driver.execute(
        "INSERT INTO invoicing.commitment_term (subscription_id, start_on, invoice_id, billed_minor, short_minor) "
        "VALUES ($1, $2, $3, $4, $5)",
        subscription_id,
        start_on,
        invoice_id,
        billed_minor,
        short_minor,
    )


async def release_term(driver: asyncpg.Connection, invoice_id: str, *, billed_again: bool) -> None:
    """Let the lines of a void invoice count for no commitment; what it trued up is done again if it is billed again."""
    await driver.execute(
        "INSERT INTO invoicing.released_invoice (invoice_id) VALUES ($1) ON CONFLICT DO NOTHING", invoice_id
    )
    if billed_again:
        await driver.execute("DELETE FROM invoicing.commitment_term WHERE invoice_id = $1", invoice_id)


async def ended(driver: asyncpg.Connection, on: date, after: str, limit: int) -> list[Subscription]:
    """Lock and return subscriptions, by id behind `after`, whose term ended by `on` and is neither trued up nor on a
    draft of its own."""
    rows = await driver.fetch(
        "SELECT content::text AS content FROM invoicing.subscription s WHERE content #>> '{commitment,end_on}' <= $1 "
        "AND subscription_id > $2 AND NOT EXISTS (SELECT FROM invoicing.commitment_term t "
        "WHERE t.subscription_id = s.subscription_id "
        "AND t.start_on = (s.content #>> '{commitment,start_on}')::date) "
        "AND NOT EXISTS (SELECT FROM invoicing.draft d WHERE d.true_up_of = s.subscription_id) "
        "ORDER BY subscription_id LIMIT $3 FOR UPDATE",
        on.isoformat(),
        after,
        limit,
    )
    return [_subscription.decode(row["content"]) for row in rows]


async def to_come(driver: asyncpg.Connection, subscription_id: str, until: datetime) -> bool:
    """Return whether something of a subscription that falls due by `until` is still to be billed."""
    return bool(
        await driver.fetchval(
            "SELECT EXISTS (SELECT FROM invoicing.subscription_item WHERE subscription_id = $1 AND due_at <= $2) "
            "OR EXISTS (SELECT FROM invoicing.correction c JOIN invoicing.subscription_item i USING (subscription_item)"
            " WHERE i.subscription_id = $1 AND coalesce(c.due_at, c.known_watermark_at) <= $2) "
            "OR EXISTS (SELECT FROM invoicing.draft_item d JOIN invoicing.subscription_item i USING (subscription_item)"
            " JOIN invoicing.draft f USING (invoice_id) WHERE i.subscription_id = $1 AND f.due_at <= $2)",
            subscription_id,
            until,
        )
    )


async def billed_elsewhere(
    driver: asyncpg.Connection, subscription_id: str, until: datetime, here: Iterable[str], reissues: str | None
) -> bool:
    """Return whether something that falls due by `until` goes on another document than that of the items `here`."""
    return bool(
        await driver.fetchval(
            "SELECT EXISTS (SELECT FROM invoicing.subscription_item WHERE subscription_id = $1 AND due_at <= $2 "
            "AND NOT subscription_item = ANY($3::text[])) "
            "OR EXISTS (SELECT FROM invoicing.correction c JOIN invoicing.subscription_item i USING (subscription_item)"
            " WHERE i.subscription_id = $1 AND c.due_at <= $2 AND coalesce(c.reissues, '') <> $4)",
            subscription_id,
            until,
            sorted(set(here)),
            reissues or "",
        )
    )


async def items_of(driver: asyncpg.Connection, subscription_id: str) -> list[tuple[SubscriptionItem, datetime]]:
    """Return all items that a subscription ever had, by id, and when each was recorded."""
    rows = await driver.fetch(
        "SELECT content::text AS content, recorded_at FROM invoicing.subscription_item WHERE subscription_id = $1 "
        "ORDER BY subscription_item",
        subscription_id,
    )
    return [(_item.decode(row["content"]), row["recorded_at"]) for row in rows]


async def void_one(driver: asyncpg.Connection, item: str, period_start_at: datetime) -> str | None:
    """Return the void invoice that trued the term up before, the last of them."""
    found: str | None = await driver.fetchval(
        "SELECT l.invoice_id FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id) "
        "WHERE l.subscription_item = $1 AND l.period_start_at = $2 AND i.status = 'void' "
        "ORDER BY l.sequence DESC LIMIT 1",
        item,
        period_start_at,
    )
    return found
