"""The SQL of booking: lock what a batch of payments touches, write journals, balances and what is open.

Place     handler -> [this] -> Postgres schema `ledger`. The order of the locks stands in `store`.
Promise   journals and lines go in by one statement, at whose end Postgres has checked every journal; balances change
          in the same transaction, each row once a batch, in sorted order.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import asyncpg

from fakturo.consumers.ledger.rows import AllocationRow, InvoiceRow, JournalRow, LineRow, Paid


async def lock_paid(driver: asyncpg.Connection, payment_ids: Iterable[str]) -> list[Paid]:
    """Lock the received payments of these ids and return them with what they settle, the oldest due first."""
    wanted = sorted(set(payment_ids))
    if not wanted:
        return []
    rows = await driver.fetch(
        "SELECT payment_id, account, currency, amount_minor, credit_minor, returned_minor FROM ledger.payment "
        "WHERE payment_id = ANY($1::text[]) AND type = 'received' ORDER BY payment_id FOR UPDATE",
        wanted,
    )
    settled = await driver.fetch(
        "SELECT payment_id, invoice_id, sum(amount_minor)::bigint AS amount_minor FROM ledger.allocation "
        "JOIN ledger.invoice USING (invoice_id) WHERE payment_id = ANY($1::text[]) "
        "GROUP BY payment_id, invoice_id, due_on HAVING sum(amount_minor) > 0 ORDER BY due_on, invoice_id",
        wanted,
    )
    allocations: dict[str, dict[str, int]] = defaultdict(dict)
    for row in settled:
        allocations[row["payment_id"]][row["invoice_id"]] = row["amount_minor"]
    return [Paid(**dict(row), allocations=allocations[row["payment_id"]]) for row in rows]


async def lock_invoices(
    driver: asyncpg.Connection, invoice_ids: Iterable[str], accounts: Iterable[str]
) -> list[InvoiceRow]:
    """Lock and return the invoices of these ids and every open invoice of these accounts, sorted by id."""
    rows = await driver.fetch(
        "SELECT invoice_id, number, account, currency, issued_on, due_on, total_minor, open_minor, written_off_minor, "
        "credited_minor, is_void FROM ledger.invoice "
        "WHERE invoice_id = ANY($1::text[]) OR (account = ANY($2::text[]) AND open_minor > 0) "
        "ORDER BY invoice_id FOR UPDATE",
        sorted(set(invoice_ids)),
        sorted(set(accounts)),
    )
    return [InvoiceRow(**dict(row)) for row in rows]


async def insert_journals(driver: asyncpg.Connection, journals: Sequence[JournalRow], lines: Sequence[LineRow]) -> None:
    """Insert journals with all their lines, by one statement; Postgres refuses any that does not balance."""
    if not journals:
        return
    await driver.execute(
        "WITH heads AS (INSERT INTO ledger.journal (journal_id, kind, account, source_type, source_id, effective_on, "
        "recorded_at, line_count) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
        "$6::date[], $7::timestamptz[], $8::smallint[])) "
        "INSERT INTO ledger.line (journal_id, line_no, account_code, party, currency, amount_minor, invoice_id) "
        "SELECT * FROM unnest($9::text[], $10::smallint[], $11::text[], $12::text[], $13::text[], $14::bigint[], "
        "$15::text[])",
        [journal.journal_id for journal in journals],
        [journal.kind for journal in journals],
        [journal.account for journal in journals],
        [journal.source_type for journal in journals],
        [journal.source_id for journal in journals],
        [journal.effective_on for journal in journals],
        [journal.recorded_at for journal in journals],
        [journal.line_count for journal in journals],
        [line.journal_id for line in lines],
        [line.line_no for line in lines],
        [line.account_code for line in lines],
        [line.party for line in lines],
        [line.currency for line in lines],
        [line.amount_minor for line in lines],
        [line.invoice_id for line in lines],
    )


async def insert_allocations(driver: asyncpg.Connection, allocations: Sequence[AllocationRow]) -> None:
    """Insert what payments settle and take back."""
    if allocations:
        await driver.execute(
            "INSERT INTO ledger.allocation (journal_id, invoice_id, payment_id, amount_minor) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])",
            [row.journal_id for row in allocations],
            [row.invoice_id for row in allocations],
            [row.payment_id for row in allocations],
            [row.amount_minor for row in allocations],
        )


async def find_settling(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> list[str]:
    """Return the payments that have settled a part of these invoices."""
    wanted = sorted(set(invoice_ids))
    if not wanted:
        return []
    rows = await driver.fetch(
        "SELECT DISTINCT payment_id FROM ledger.allocation WHERE invoice_id = ANY($1::text[]) ORDER BY 1", wanted
    )
    return [row["payment_id"] for row in rows]


async def update_invoices(driver: asyncpg.Connection, invoices: Iterable[InvoiceRow]) -> None:
    """Set what is open, written off and credited of invoices that `lock_invoices` locked."""
    rows = sorted(invoices, key=lambda row: row.invoice_id)
    if rows:
        await driver.execute(
            "UPDATE ledger.invoice SET open_minor = now.open_minor, written_off_minor = now.written_off_minor, "
            "credited_minor = now.credited_minor, is_void = now.is_void FROM unnest($1::text[], $2::bigint[], "
            "$3::bigint[], $4::bigint[], $5::boolean[]) AS now(invoice_id, open_minor, written_off_minor, "
            "credited_minor, is_void) WHERE invoice.invoice_id = now.invoice_id",
            [row.invoice_id for row in rows],
            [row.open_minor for row in rows],
            [row.written_off_minor for row in rows],
            [row.credited_minor for row in rows],
            [row.is_void for row in rows],
        )


async def update_paid(driver: asyncpg.Connection, paid: Iterable[Paid]) -> None:
    """Set credit and returned amount of received payments that `lock_paid` locked or this transaction inserted."""
    rows = sorted(paid, key=lambda row: row.payment_id)
    if rows:
        await driver.execute(
            "UPDATE ledger.payment SET credit_minor = now.credit_minor, returned_minor = now.returned_minor "
            "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS now(payment_id, credit_minor, returned_minor) "
            "WHERE payment.payment_id = now.payment_id AND payment.type = 'received'",
            [row.payment_id for row in rows],
            [row.credit_minor for row in rows],
            [row.returned_minor for row in rows],
        )


async def update_balances(driver: asyncpg.Connection, lines: Iterable[LineRow]) -> None:
    """Add `lines` to the balances: each balance once, in sorted order."""
    sums: dict[tuple[str, str | None, str], list[int]] = {}
    for line in lines:
        total = sums.setdefault((line.account_code, line.party, line.currency), [0, 0])
        total[0] += line.amount_minor
        total[1] += 1
    keys = sorted(sums, key=lambda key: (key[0], key[1] or "", key[2]))
    if keys:
        await driver.execute(
            "INSERT INTO ledger.balance AS b (account_code, party, currency, amount_minor, postings) "
            "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) "
            "ON CONFLICT (account_code, party, currency) DO UPDATE "
            "SET amount_minor = b.amount_minor + excluded.amount_minor, postings = b.postings + excluded.postings",
            [key[0] for key in keys],
            [key[1] for key in keys],
            [key[2] for key in keys],
            [sums[key][0] for key in keys],
            [sums[key][1] for key in keys],
        )


async def imbalance_minor(driver: asyncpg.Connection) -> int:
    """Return the sum of all balances, over all currencies' absolute sums: 0 or the books are wrong."""
    value = await driver.fetchval(
        "SELECT coalesce(sum(abs(amount)), 0)::bigint FROM (SELECT sum(amount_minor) AS amount FROM ledger.balance "
        "GROUP BY currency) by_currency"
    )
    return int(value)
