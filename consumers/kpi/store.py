"""The SQL of what comes in: identities, facts, names.

Place     handler -> [this] -> Postgres schema `kpi`. Closing reads the facts later, so workers meet only here, on
          keys of their own.
"""

from collections.abc import Iterable, Sequence

import asyncpg

from fakturo.consumers.kpi.facts import AccountName, Fact, Source


async def claim_invoices(driver: asyncpg.Connection, sources: Iterable[Source]) -> dict[str, bytes]:
    """Insert invoices; return those that were there already, with their digest."""
    rows = sorted(sources, key=lambda source: source.id)
    fresh = await driver.fetch(
        "INSERT INTO kpi.invoice (invoice_id, due_on, payload_sha256, issued_on) "
        "SELECT * FROM unnest($1::text[], $2::date[], $3::bytea[], $4::date[]) "
        "ON CONFLICT DO NOTHING RETURNING invoice_id AS id",
        [row.id for row in rows],
        [row.due_on for row in rows],
        [row.digest for row in rows],
        [row.issued_on for row in rows],
    )
    missing = _missing(rows, fresh)
    found = await driver.fetch(
        "SELECT invoice_id AS id, payload_sha256 FROM kpi.invoice WHERE invoice_id = ANY($1::text[])", missing
    )
    return {row["id"]: row["payload_sha256"] for row in found}


async def claim_journals(driver: asyncpg.Connection, sources: Iterable[Source]) -> dict[str, bytes]:
    """Insert journals; return those that were there already, with their digest."""
    rows = sorted(sources, key=lambda source: source.id)
    fresh = await driver.fetch(
        "INSERT INTO kpi.journal (journal_id, payload_sha256) SELECT * FROM unnest($1::text[], $2::bytea[]) "
        "ON CONFLICT DO NOTHING RETURNING journal_id AS id",
        [row.id for row in rows],
        [row.digest for row in rows],
    )
    missing = _missing(rows, fresh)
    found = await driver.fetch(
        "SELECT journal_id AS id, payload_sha256 FROM kpi.journal WHERE journal_id = ANY($1::text[])", missing
    )
    return {row["id"]: row["payload_sha256"] for row in found}


async def insert_facts(driver: asyncpg.Connection, facts: Sequence[Fact]) -> None:
    """Insert facts; they wait for their day."""
    if not facts:
        return
    await driver.execute(
        "INSERT INTO kpi.fact (account, currency, effective_on, booked_on, invoices, net_minor, gross_minor, "
        "receivable_minor, fees_minor, bad_debt_minor, settled_minor, invoice_id, payment_id, line_minor, "
        "subscription_item, corrects_invoice, moved_net_minor, moved_gross_minor, moved_invoices) SELECT * FROM "
        "unnest($1::text[], $2::text[], $3::date[], $4::date[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[], "
        "$9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::text[], "
        "$16::text[], $17::bigint[], $18::bigint[], $19::int[])",
        [fact.account for fact in facts],
        [fact.currency for fact in facts],
        [fact.effective_on for fact in facts],
        [fact.booked_on for fact in facts],
        [fact.invoices for fact in facts],
        [fact.net_minor for fact in facts],
        [fact.gross_minor for fact in facts],
        [fact.receivable_minor for fact in facts],
        [fact.fees_minor for fact in facts],
        [fact.bad_debt_minor for fact in facts],
        [fact.settled_minor for fact in facts],
        [fact.invoice_id for fact in facts],
        [fact.payment_id for fact in facts],
        [fact.line_minor for fact in facts],
        [fact.subscription_item for fact in facts],
        [fact.corrects_invoice for fact in facts],
        [fact.moved_net_minor for fact in facts],
        [fact.moved_gross_minor for fact in facts],
        [fact.moved_invoices for fact in facts],
    )


async def upsert_names(driver: asyncpg.Connection, names: Iterable[AccountName]) -> None:
    """Keep the newest name of each account."""
    newest: dict[str, AccountName] = {}
    for name in sorted(names, key=lambda name: (name.account, name.recorded_at)):
        newest[name.account] = name
    rows = list(newest.values())
    if rows:
        await driver.execute(
            "INSERT INTO kpi.account AS a (account, name, currency, recorded_at) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) "
            "ON CONFLICT (account) DO UPDATE SET name = excluded.name, currency = excluded.currency, "
            "recorded_at = excluded.recorded_at WHERE excluded.recorded_at >= a.recorded_at",
            [row.account for row in rows],
            [row.name for row in rows],
            [row.currency for row in rows],
            [row.recorded_at for row in rows],
        )


def _missing(rows: Sequence[Source], fresh: Sequence[asyncpg.Record]) -> list[str]:
    inserted = {row["id"] for row in fresh}
    return [row.id for row in rows if row.id not in inserted]
