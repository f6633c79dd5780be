"""Recomputes the ledger's balances from the invoices and payments, and each open amount from its allocations.

Place     invoicing.invoice (checked before by verify_invoices), ledger.payment -> [this] -> compared with the books.
"""

from collections import Counter

import asyncpg

from fakturo.cli.verify_result import Verification

RECEIVABLE, CREDIT, TAX, REVENUE, FEES, CLEARING = "1200", "2300", "2100", "4000", "6200", "1020"
BANK_SIGNS = {"received": 1, "refunded": -1, "charged_back": -1, "failed": 0}
"""How a payment of a type moves the clearing account."""


async def verify_ledger(connection: asyncpg.Connection, result: Verification) -> None:
    """Compare every balance, every journal's sum and every open amount."""
    expected = await _expected(connection)
    found: Counter[tuple[str, str | None, str]] = Counter()
    for row in await connection.fetch("SELECT account_code, party, currency, amount_minor FROM ledger.balance"):
        code = RECEIVABLE if row["account_code"] == CREDIT else row["account_code"]
        found[code, row["party"], row["currency"]] += row["amount_minor"]
    for key in sorted(set(expected) | set(found), key=str):
        code, party, currency = key
        result.compare("ledger", f"balance of {code} {party or ''} {currency}", expected[key], found[key])
    await _verify_lines(connection, result)
    await _verify_open(connection, result)


async def _expected(connection: asyncpg.Connection) -> Counter[tuple[str, str | None, str]]:
    """Return what the balances should be; a customer's receivable and credit are one figure: what they owe in all."""
    expected: Counter[tuple[str, str | None, str]] = Counter()
    for row in await connection.fetch(
        "SELECT account, currency, sum(subtotal_minor)::bigint AS subtotal, sum(tax_minor)::bigint AS tax "
        "FROM invoicing.invoice GROUP BY account, currency"
    ):
        currency = row["currency"]
        expected[RECEIVABLE, row["account"], currency] += row["subtotal"] + row["tax"]
        expected[REVENUE, None, currency] -= row["subtotal"]
        expected[TAX, None, currency] -= row["tax"]
    for row in await connection.fetch(
        "SELECT account, currency, type, sum(amount_minor)::bigint AS amount, sum(fee_minor)::bigint AS fee "
        "FROM ledger.payment GROUP BY account, currency, type"
    ):
        currency, moved = row["currency"], BANK_SIGNS[row["type"]] * row["amount"]
        expected[RECEIVABLE, row["account"], currency] -= moved
        expected[CLEARING, None, currency] += moved - row["fee"]
        expected[FEES, None, currency] += row["fee"]
    return Counter({key: amount for key, amount in expected.items() if amount})


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


async def _verify_open(connection: asyncpg.Connection, result: Verification) -> None:
    for row in await connection.fetch(
        "SELECT i.invoice_id, i.total_minor, v.open_minor, coalesce(sum(a.amount_minor), 0)::bigint AS paid "
        "FROM invoicing.invoice i LEFT JOIN ledger.invoice v USING (invoice_id) "
        "LEFT JOIN ledger.allocation a USING (invoice_id) GROUP BY i.invoice_id, i.total_minor, v.open_minor"
    ):
        expected = row["total_minor"] - row["paid"]
        result.compare("ledger", f"open amount of {row['invoice_id']}", expected, row["open_minor"])
