"""The ledger's SQL: one statement a table and batch, every statement in sorted order.

Place     handler -> [this: what arrives; posting_store: what is booked] -> Postgres schema `ledger`.
Locks     taken in one order by every transaction, so that two workers wait for each other but never in a ring:
          arrivals (advisory) -> new invoices -> new payments, each after its identity -> payments given back ->
          invoices settled -> balances, each sorted by its key. The balances that everybody shares (revenue,
          tax, clearing) are touched by the last statement before the outbox.
Arrivals  who brings something that others may wait for (an invoice, a payment) holds the lock `arrivals` shared; who
          may have to park holds it alone, looks again, and parks. A lock a reference would be finer, but a batch
          of 5,000 invoices brings 15,000 references, and all agents share Postgres's lock table (docs/adr/0009).
"""

from collections.abc import Iterable, Sequence

import asyncpg

from fakturo.consumers.ledger.rows import Identity, InvoiceRow, PaymentRow

_ARRIVALS = "hashtextextended('ledger/arrivals', 0)"


async def lock_arrivals(driver: asyncpg.Connection, *, alone: bool) -> None:
    """Take the lock `arrivals` until the end of the transaction: alone to park, else shared."""
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await driver.execute(f"SELECT {function}({_ARRIVALS})")


async def claim_identities(driver: asyncpg.Connection, identities: Iterable[Identity]) -> dict[tuple[str, str], bytes]:
    """Claim the identities that nobody has; return those that were claimed before, with the digest of then."""
    rows = sorted(identities, key=lambda identity: (identity.source, identity.id))
    if not rows:
        return {}
    columns = ([row.source for row in rows], [row.id for row in rows], [row.digest for row in rows])
    fresh = await driver.fetch(
        "INSERT INTO ledger.event (source, id, payload_sha256) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) ON CONFLICT DO NOTHING RETURNING source, id",
        *columns,
    )
    if len(fresh) == len(rows):
        return {}
    claimed = {(row["source"], row["id"]) for row in fresh}
    old = [row for row in rows if (row.source, row.id) not in claimed]
    found = await driver.fetch(
        "SELECT source, id, payload_sha256 FROM ledger.event "
        "JOIN unnest($1::text[], $2::text[]) AS asked(source, id) USING (source, id)",
        [row.source for row in old],
        [row.id for row in old],
    )
    return {(row["source"], row["id"]): row["payload_sha256"] for row in found}


async def release_identities(driver: asyncpg.Connection, identities: Sequence[Identity]) -> None:
    """Give identities back that this transaction claimed for events which it then rejected."""
    if identities:
        await driver.execute(
            "DELETE FROM ledger.event USING unnest($1::text[], $2::text[]) AS gone(source, id) "
            "WHERE event.source = gone.source AND event.id = gone.id",
            [identity.source for identity in identities],
            [identity.id for identity in identities],
        )


async def insert_invoices(driver: asyncpg.Connection, invoices: Iterable[InvoiceRow]) -> dict[str, bytes]:
    """Insert invoices; return those that were there already, with their digest."""
    rows = sorted(invoices, key=lambda row: row.invoice_id)
    if not rows:
        return {}
    fresh = await driver.fetch(
        "INSERT INTO ledger.invoice (invoice_id, number, account, currency, issued_on, due_on, total_minor, "
        "open_minor, payload_sha256) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], "
        "$6::date[], $7::bigint[], $8::bigint[], $9::bytea[]) ON CONFLICT (invoice_id) DO NOTHING RETURNING invoice_id",
        [row.invoice_id for row in rows],
        [row.number for row in rows],
        [row.account for row in rows],
        [row.currency for row in rows],
        [row.issued_on for row in rows],
        [row.due_on for row in rows],
        [row.total_minor for row in rows],
        [row.open_minor for row in rows],
        [row.digest for row in rows],
    )
    if len(fresh) == len(rows):
        return {}
    inserted = {row["invoice_id"] for row in fresh}
    found = await driver.fetch(
        "SELECT invoice_id, payload_sha256 FROM ledger.invoice WHERE invoice_id = ANY($1::text[])",
        [row.invoice_id for row in rows if row.invoice_id not in inserted],
    )
    return {row["invoice_id"]: row["payload_sha256"] for row in found}


async def insert_payments(driver: asyncpg.Connection, payments: Iterable[PaymentRow]) -> dict[tuple[str, str], bytes]:
    """Insert payment events; return (payment id, type) and digest of those that were there already."""
    rows = sorted(payments, key=lambda row: (row.payment_id, row.type))
    fresh = await driver.fetch(
        "INSERT INTO ledger.payment (payment_id, type, account, currency, amount_minor, fee_minor, method, "
        "received_at, recorded_at, payload_sha256) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "
        "$5::bigint[], $6::bigint[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::bytea[]) "
        "ON CONFLICT (payment_id, type) DO NOTHING RETURNING payment_id, type",
        [row.payment_id for row in rows],
        [row.type for row in rows],
        [row.account for row in rows],
        [row.currency for row in rows],
        [row.amount_minor for row in rows],
        [row.fee_minor for row in rows],
        [row.method for row in rows],
        [row.received_at for row in rows],
        [row.recorded_at for row in rows],
        [row.digest for row in rows],
    )
    inserted = {(row["payment_id"], row["type"]) for row in fresh}
    old = [row for row in rows if (row.payment_id, row.type) not in inserted]
    if not old:
        return {}
    found = await driver.fetch(
        "SELECT payment_id, type, payload_sha256 FROM ledger.payment "
        "JOIN unnest($1::text[], $2::text[]) AS asked(payment_id, type) USING (payment_id, type)",
        [row.payment_id for row in old],
        [row.type for row in old],
    )
    return {(row["payment_id"], row["type"]): row["payload_sha256"] for row in found}


async def delete_payments(driver: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Take out payment rows that this transaction inserted for events which it then rejected."""
    if keys:
        await driver.execute(
            "DELETE FROM ledger.payment USING unnest($1::text[], $2::text[]) AS gone(payment_id, type) "
            "WHERE payment.payment_id = gone.payment_id AND payment.type = gone.type",
            [key[0] for key in keys],
            [key[1] for key in keys],
        )


async def known_invoices(driver: asyncpg.Connection, names: Iterable[str]) -> dict[str, str]:
    """Return the invoice id of each name, an id or a number, that is known."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = await driver.fetch(
        "SELECT invoice_id, number FROM ledger.invoice WHERE invoice_id = ANY($1::text[]) OR number = ANY($1::text[])",
        wanted,
    )
    by_number = {row["number"]: row["invoice_id"] for row in rows if row["number"]}
    return by_number | {row["invoice_id"]: row["invoice_id"] for row in rows}


async def known_accounts(driver: asyncpg.Connection, accounts: Iterable[str]) -> set[str]:
    """Return which of `accounts` were invoiced at least once."""
    wanted = sorted(set(accounts))
    if not wanted:
        return set()
    rows = await driver.fetch(
        "SELECT account FROM unnest($1::text[]) AS asked(account) "
        "WHERE EXISTS (SELECT FROM ledger.invoice i WHERE i.account = asked.account)",
        wanted,
    )
    return {row["account"] for row in rows}


async def known_payments(driver: asyncpg.Connection, payment_ids: Iterable[str]) -> set[str]:
    """Return which of `payment_ids` were received."""
    wanted = sorted(set(payment_ids))
    if not wanted:
        return set()
    rows = await driver.fetch(
        "SELECT payment_id FROM ledger.payment WHERE payment_id = ANY($1::text[]) AND type = 'received'", wanted
    )
    return {row["payment_id"] for row in rows}


async def anything_parked(driver: asyncpg.Connection, agent: str) -> bool:
    """Return whether any record of `agent` is parked: mostly none is, and then nothing need be looked for."""
    return bool(await driver.fetchval("SELECT EXISTS (SELECT FROM runtime.parked WHERE agent = $1)", agent))
