"""SQL of the drafts: documents in review, without a number, and the periods that are on them.

Place     drafts, approvals -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from fakturo.consumers.invoicing import contracts_store
from fakturo.consumers.invoicing.groups import DueGroup, Entry, GroupKey
from fakturo.engine.periods import Period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.invoices import Invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """A draft as the book has it."""

    group: DueGroup
    draft_no: int
    content: str


async def save(
    driver: asyncpg.Connection, group: DueGroup, invoice: Invoice, ready_at: datetime, approval: bool
) -> int:
    """Keep a new draft and the periods on it; return its number, which goes on from a dropped one of its document."""
    draft_no: int = await driver.fetchval(
        "WITH dropped AS (DELETE FROM invoicing.dropped_draft WHERE invoice_id = $1 RETURNING draft_no) "
        "INSERT INTO invoicing.draft (invoice_id, account, seller_code, currency, cost_centre, period_start_at, "
        "revision, due_at, ready_at, approval_required, reissues, content, true_up_of, draft_no) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13, "
        "coalesce((SELECT draft_no FROM dropped), 0) + 1) RETURNING draft_no",
        invoice.invoice_id,
        group.key.payer_id,
        group.key.seller_code,
        group.key.currency,
        group.key.cost_centre,
        invoice.period.start,
        invoice.revision,
        group.due_at,
        ready_at,
        approval,
        group.key.reissues or None,
        encode(invoice).decode(),
        group.true_up_of,
    )
    entries = sorted(group.entries, key=lambda entry: entry.key)
    await driver.execute(
        "INSERT INTO invoicing.draft_item (subscription_item, period_start_at, period_end_at, is_next, running, "
        "invoice_id) SELECT i.*, $6 "
        "FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::boolean[], $5::boolean[]) i",
        [entry.row.key for entry in entries],
        [entry.period.start_at for entry in entries],
        [entry.period.end_at for entry in entries],
        [entry.is_next for entry in entries],
        [entry.running for entry in entries],
        invoice.invoice_id,
    )
    return draft_no


async def renew(driver: asyncpg.Connection, invoice: Invoice, draft_no: int) -> None:
    """Keep what a draft is now; it is in step with the contracts again."""
    await driver.execute(
        "UPDATE invoicing.draft SET content = $2::jsonb, draft_no = $3, stale = false WHERE invoice_id = $1",
        invoice.invoice_id,
        encode(invoice).decode(),
        draft_no,
    )


async def approve(driver: asyncpg.Connection, invoice_id: str, at: datetime) -> bool:
    """Note that a person has approved a draft; return whether there was one that was not approved before."""
    found = await driver.fetchval(
        "UPDATE invoicing.draft SET approved_at = $2 WHERE invoice_id = $1 AND approved_at IS NULL "
        "RETURNING invoice_id",
        invoice_id,
        at,
    )
    return found is not None


async def ready(driver: asyncpg.Connection, at: datetime, grace: timedelta, limit: int) -> list[DraftRow]:
    """Lock and return drafts whose review is over at `at`, and that are approved where that is asked for.

    Not one at a threshold whose whole period was to be billed before its review was over: that bill takes it over, also
    where both come in one step.
    """
    rows = await driver.fetch(
        "SELECT *, content::text AS document FROM invoicing.draft d WHERE ready_at <= $1 "
        "AND (NOT approval_required OR approved_at IS NOT NULL) AND NOT EXISTS (SELECT FROM invoicing.draft_item i "
        "JOIN invoicing.subscription_item s USING (subscription_item, period_start_at) "
        "JOIN invoicing.final_statement f USING (subscription_item, period_start_at) WHERE i.invoice_id = d.invoice_id "
        "AND i.running AND s.due_at + $2::interval < greatest(d.ready_at, d.approved_at)) "
        "ORDER BY ready_at, invoice_id LIMIT $3 FOR UPDATE",
        at,
        grace,
        limit,
    )
    return await _drafts(driver, rows)


async def stale(driver: asyncpg.Connection, limit: int) -> list[DraftRow]:
    """Lock and return drafts that a change has touched."""
    rows = await driver.fetch(
        "SELECT *, content::text AS document FROM invoicing.draft WHERE stale ORDER BY invoice_id LIMIT $1 FOR UPDATE",
        limit,
    )
    return await _drafts(driver, rows)


async def look_again_at(driver: asyncpg.Connection, invoice_id: str) -> None:
    """Have the drafts made anew that hold a period which the invoice has lines of: it does not count any more."""
    await driver.execute(
        "UPDATE invoicing.draft SET stale = true WHERE invoice_id IN (SELECT d.invoice_id FROM invoicing.draft_item d "
        "JOIN invoicing.invoice_line l ON l.subscription_item = d.subscription_item "
        "AND l.item_period_start_at = d.period_start_at WHERE l.invoice_id = $1)",
        invoice_id,
    )


async def take_over(driver: asyncpg.Connection, entries: Iterable[Entry]) -> None:
    """Take periods whose turn it is off the drafts that hold what ran up of them; those drafts are made anew."""
    keys = sorted(entry.key for entry in entries)
    await driver.execute(
        "WITH taken AS (DELETE FROM invoicing.draft_item i USING unnest($1::text[], $2::timestamptz[]) "
        "AS w(item, start_at) WHERE i.subscription_item = w.item AND i.period_start_at = w.start_at "
        "RETURNING i.invoice_id) "
        "UPDATE invoicing.draft SET stale = true WHERE invoice_id IN (SELECT invoice_id FROM taken)",
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def delete(driver: asyncpg.Connection, invoice_ids: Sequence[str]) -> None:
    """Forget drafts: they are finalised, and nothing is a draft of them again."""
    await driver.execute("DELETE FROM invoicing.draft WHERE invoice_id = ANY($1::text[])", sorted(invoice_ids))


async def drop(driver: asyncpg.Connection, invoice_ids: Sequence[str]) -> None:
    """Forget drafts of which nothing is left to bill, but for how often they were said, that they are gone included."""
    await driver.execute(
        "WITH gone AS (DELETE FROM invoicing.draft WHERE invoice_id = ANY($1::text[]) RETURNING invoice_id, draft_no) "
        "INSERT INTO invoicing.dropped_draft (invoice_id, draft_no) "
        "SELECT invoice_id, draft_no + 1 FROM gone ORDER BY invoice_id",
        sorted(invoice_ids),
    )


async def _drafts(driver: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> list[DraftRow]:
    ids = [row["invoice_id"] for row in rows]
    periods = await driver.fetch(
        "SELECT * FROM invoicing.draft_item WHERE invoice_id = ANY($1::text[]) "
        "ORDER BY subscription_item, period_start_at",
        ids,
    )
    items = await contracts_store.find_items(driver, (one["subscription_item"] for one in periods))
    return [
        DraftRow(
            group=DueGroup(
                key=GroupKey(
                    payer_id=row["account"],
                    currency=row["currency"],
                    seller_code=row["seller_code"],
                    cost_centre=row["cost_centre"],
                    reissues=row["reissues"] or "",
                ),
                due_at=row["due_at"],
                entries=tuple(
                    Entry(
                        row=items[one["subscription_item"]],
                        period=Period(start_at=one["period_start_at"], end_at=one["period_end_at"]),
                        payer_id=row["account"],
                        due_at=row["due_at"],
                        is_next=one["is_next"],
                        running=one["running"],
                        reissues=row["reissues"],
                    )
                    for one in periods
                    if one["invoice_id"] == row["invoice_id"] and one["subscription_item"] in items
                ),
                draft_id=row["invoice_id"],
                revision=row["revision"],
                true_up_of=row["true_up_of"],
            ),
            draft_no=row["draft_no"],
            content=row["document"],
        )
        for row in rows
    ]
