"""Recomputes the ledger's balances from documents, credit and payments, and each open amount from its lines.

Place     documents (checked before), the books of credit (checked before), ledger.payment -> [this] -> the balances.
Legs      of an invoice: due to 1200, prepaid credit from 2320, discounts to 4090, gross revenue to 4000, tax to 2100,
          and what waits for points to 2210. A void is none of it; a credit note takes back by 4095 and 2100. Credit
          granted goes from 2300 to 2320, expired to 4080; what was written off is in 6100.
One       a customer's receivable and credit (1200 and 2300) are compared as one figure: what they owe in all.
"""

from collections import Counter
from collections.abc import Sequence

import asyncpg

from fakturo.cli.verify_documents import Document
from fakturo.cli.verify_result import Verification

RECEIVABLE, CREDIT, TAX, REVENUE, FEES, CLEARING = "1200", "2300", "2100", "4000", "6200", "1020"
POINTS, PREPAID, BREAKAGE, DISCOUNTS, NOTES, BAD_DEBT = "2210", "2320", "4080", "4090", "4095", "6100"
BANK_SIGNS = {"received": 1, "refunded": -1, "charged_back": -1, "failed": 0}
"""How a payment of a type moves the clearing account."""

Balances = Counter[tuple[str, str | None, str]]
"""(account of the chart, customer, currency) -> minor units."""


async def verify_ledger(connection: asyncpg.Connection, documents: Sequence[Document], result: Verification) -> None:
    """Compare every balance, every journal's sum and every open amount."""
    expected = await _expected(connection, documents)
    found: Balances = Counter()
    for row in await connection.fetch("SELECT account_code, party, currency, amount_minor FROM ledger.balance"):
        code = RECEIVABLE if row["account_code"] == CREDIT else row["account_code"]
        found[code, row["party"], row["currency"]] += row["amount_minor"]
    for key in sorted(set(expected) | set(found), key=str):
        code, party, currency = key
        result.compare("ledger", f"balance of {code} {party or ''} {currency}", expected[key], found[key])
    await _verify_lines(connection, result)
    await _verify_open(connection, documents, result)


async def _expected(connection: asyncpg.Connection, documents: Sequence[Document]) -> Balances:
    """Return what the balances should be."""
    expected: Balances = Counter()
    for document in documents:
        if document.row["kind"] == "credit_note":
            _add_note(document, expected)
        elif not document.is_void:
            _add_invoice(document, expected)
    await _add_credit(connection, expected)
    await _add_points(connection, expected)
    await _add_payments(connection, expected)
    return Counter({key: amount for key, amount in expected.items() if amount})


def _add_invoice(document: Document, expected: Balances) -> None:
    content, currency = document.content, document.content.currency
    prepaid = sum(one.amount_minor for one in content.credits)
    discounts = -sum(one.amount_minor for one in content.discounts if one.kind != "loyalty")
    expected[RECEIVABLE, content.account, currency] += content.total_minor - prepaid
    expected[PREPAID, content.account, currency] += prepaid
    expected[DISCOUNTS, None, currency] += discounts
    expected[REVENUE, None, currency] -= content.subtotal_minor + discounts
    expected[TAX, None, currency] -= content.tax_minor
    written_off = document.row["written_off_minor"]
    expected[BAD_DEBT, None, currency] += written_off
    expected[RECEIVABLE, content.account, currency] -= written_off


def _add_note(document: Document, expected: Balances) -> None:
    content, currency = document.content, document.content.currency
    discounts = -sum(one.amount_minor for one in content.discounts if one.kind != "loyalty")
    # What waits for points is counted from the lots, against revenue; a note takes it back on its own account.
    waiting = content.loyalty.deferred_minor - content.loyalty.released_minor if content.loyalty else 0
    expected[DISCOUNTS, None, currency] += discounts
    expected[REVENUE, None, currency] -= waiting
    expected[NOTES, None, currency] += waiting - content.subtotal_minor - discounts
    expected[TAX, None, currency] -= content.tax_minor
    expected[RECEIVABLE, content.account, currency] += content.total_minor


async def _add_credit(connection: asyncpg.Connection, expected: Balances) -> None:
    for row in await connection.fetch("SELECT * FROM invoicing.credit_grant WHERE kind = 'prepaid'"):
        account, currency = row["account_id"], row["currency"]
        expected[RECEIVABLE, account, currency] += row["amount_minor"]
        expected[PREPAID, account, currency] += row["expired_minor"] - row["amount_minor"]
        expected[BREAKAGE, None, currency] -= row["expired_minor"]


async def _add_points(connection: asyncpg.Connection, expected: Balances) -> None:
    """Add what waits for points: deferred less released; what expired is breakage, the rest is against revenue."""
    for row in await connection.fetch(
        "SELECT l.currency, l.deferred_minor, l.released_minor, l.expired, "
        "coalesce(sum(u.released_minor), 0)::bigint AS redeemed "
        "FROM invoicing.point_lot l LEFT JOIN invoicing.point_use u USING (lot_id) GROUP BY l.lot_id"
    ):
        currency, waiting = row["currency"], row["deferred_minor"] - row["released_minor"]
        expired = row["released_minor"] - row["redeemed"] if row["expired"] else 0
        expected[POINTS, None, currency] -= waiting
        expected[BREAKAGE, None, currency] -= expired
        expected[REVENUE, None, currency] += waiting + expired


async def _add_payments(connection: asyncpg.Connection, expected: Balances) -> None:
    for row in await connection.fetch(
        "SELECT account, currency, type, sum(amount_minor)::bigint AS amount, sum(fee_minor)::bigint AS fee "
        "FROM ledger.payment GROUP BY account, currency, type"
    ):
        currency, moved = row["currency"], BANK_SIGNS[row["type"]] * row["amount"]
        expected[RECEIVABLE, row["account"], currency] -= moved
        expected[CLEARING, None, currency] += moved - row["fee"]
        expected[FEES, None, currency] += row["fee"]


async def _verify_lines(connection: asyncpg.Connection, result: Verification) -> None:
    for row in await connection.fetch(
        "SELECT journal_id, currency, sum(amount_minor)::bigint AS amount FROM ledger.line GROUP BY 1, 2"
    ):
        result.compare("ledger", f"journal {row['journal_id']} in {row['currency']}", 0, row["amount"])
    for row in await connection.fetch(
        "SELECT account_code, party, currency, coalesce(b.amount_minor, 0) AS kept, l.amount FROM ledger.balance b "
        "FULL JOIN (SELECT account_code, party, currency, sum(amount_minor)::bigint AS amount FROM ledger.line "
        "GROUP BY 1, 2, 3) l USING (account_code, currency, party) WHERE party IS NOT NULL"
    ):
        figure = f"lines of {row['account_code']} {row['party']} {row['currency']}"
        result.compare("ledger", figure, row["amount"], row["kept"])


async def _verify_open(connection: asyncpg.Connection, documents: Sequence[Document], result: Verification) -> None:
    """Compare what is open of each invoice: what was due, less payments, credit notes and what was given up."""
    # What a credit note finds paid becomes credit: what payments settled, and what is open, stays as it was.
    paid: Counter[str] = Counter()
    for row in await connection.fetch(
        "SELECT invoice_id, sum(amount_minor)::bigint AS amount FROM ledger.allocation JOIN ledger.journal "
        "USING (journal_id) WHERE source_type = 'payment' GROUP BY invoice_id"
    ):
        paid[row["invoice_id"]] = row["amount"]
    moved: Counter[tuple[str, str]] = Counter()
    for row in await connection.fetch(
        "SELECT l.invoice_id, CASE WHEN j.kind IN ('finalized', 'issued', 'voided', 'written_off', 'recovered') "
        "THEN j.kind ELSE 'payment' END AS kind, sum(l.amount_minor)::bigint AS amount FROM ledger.line l "
        "JOIN ledger.journal j USING (journal_id) WHERE l.account_code = '1200' AND l.invoice_id IS NOT NULL "
        "GROUP BY 1, 2"
    ):
        moved[row["invoice_id"], row["kind"]] = row["amount"]
    credited: Counter[str] = Counter()
    for document in documents:
        if document.row["kind"] == "credit_note":
            credited[document.content.corrects or ""] -= document.content.total_minor
    kept = {row["invoice_id"]: row for row in await connection.fetch("SELECT * FROM ledger.invoice")}
    for document in documents:
        if document.row["kind"] == "invoice":
            name = document.content.invoice_id
            # What corrections take back of other corrections is beyond the invoice that they name.
            taken = paid[name], min(credited[name], document.content.total_minor)
            _compare_open(document, taken, moved, kept.get(name), result)


def _compare_open(
    document: Document,
    taken: tuple[int, int],
    moved: Counter[tuple[str, str]],
    kept: asyncpg.Record | None,
    result: Verification,
) -> None:
    """Compare what one invoice's lines on 1200 come to; `kept` is how the ledger has it, None where it has not.

    `taken` is what payments settled of it, and what credit notes took off it.
    """
    paid, credited = taken
    name, due = document.content.invoice_id, document.content.amount_due_minor
    written_off = -moved[name, "written_off"] - moved[name, "recovered"]
    left = due - paid + moved[name, "issued"] - written_off
    expected = {
        "open_minor": 0 if document.is_void else left,
        # What was given up is owed again before an invoice is void.
        "written_off_minor": written_off,
        "credited_minor": credited,
        "is_void": document.is_void,
    }
    for column, figure in (
        ("open_minor", "open amount"),
        ("written_off_minor", "written off"),
        ("credited_minor", "credited"),
        ("is_void", "void"),
    ):
        result.compare("ledger", f"{figure} of {name}", expected[column], kept[column] if kept else None)
    result.compare("ledger", f"journal of {name}", due, moved[name, "finalized"])
