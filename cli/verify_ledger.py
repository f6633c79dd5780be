"""Recomputes the ledger's balances from the invoices and payments, and each open amount from its allocations.

Place     invoicing.invoice (checked before by verify_invoices), ledger.payment -> [this] -> compared with the books.
"""

from collections import Counter

import asyncpg

from fakturo.cli.verify_result import Verification

RECEIVABLE, CREDIT, TAX, REVENUE, FEES, CLEARING = "1200", "2300", "2100", "4000", "6200", "1020"
CREDIT_NOTES, BAD_DEBT, PREPAID, BREAKAGE, DISCOUNTS = "4095", "6100", "2320", "4080", "4090"
BANK_SIGNS = {"received": 1, "refunded": -1, "charged_back": -1, "failed": 0}
"""How a payment of a type moves the clearing account."""

_DOCUMENTS = """
SELECT account, currency, kind, sum(subtotal_minor)::bigint AS subtotal, sum(tax_minor)::bigint AS tax,
       sum(prepaid)::bigint AS prepaid, sum(discounts)::bigint AS discounts
  FROM (SELECT account, currency, kind, subtotal_minor, tax_minor,
               (SELECT coalesce(sum((c ->> 'amount_minor')::bigint), 0)
                  FROM jsonb_array_elements(coalesce(content -> 'credits', '[]')) c) AS prepaid,
               CASE WHEN kind = 'invoice' THEN
                   (SELECT coalesce(-sum((d ->> 'amount_minor')::bigint), 0)
                      FROM jsonb_array_elements(content -> 'discounts') d WHERE d ->> 'kind' <> 'loyalty')
                   ELSE 0 END AS discounts
          FROM invoicing.invoice WHERE status <> 'void') documents
 GROUP BY account, currency, kind
"""
"""What stands of invoices and credit notes; a void invoice has left nothing."""

_GRANTS = """
SELECT account_id, currency, sum(amount_minor)::bigint AS granted, sum(expired_minor)::bigint AS expired
  FROM invoicing.credit_grant WHERE kind = 'prepaid' GROUP BY account_id, currency
"""


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
    for row in await connection.fetch(_DOCUMENTS):
        account, currency = row["account"], row["currency"]
        expected[RECEIVABLE, account, currency] += row["subtotal"] + row["tax"] - row["prepaid"]
        expected[PREPAID, account, currency] += row["prepaid"]
        expected[DISCOUNTS, None, currency] += row["discounts"]
        expected[REVENUE if row["kind"] == "invoice" else CREDIT_NOTES, None, currency] -= (
            row["subtotal"] + row["discounts"]
        )
        expected[TAX, None, currency] -= row["tax"]
    for row in await connection.fetch(_GRANTS):
        account, currency = row["account_id"], row["currency"]
        expected[RECEIVABLE, account, currency] += row["granted"]
        expected[PREPAID, account, currency] -= row["granted"] - row["expired"]
        expected[BREAKAGE, None, currency] -= row["expired"]
    for row in await connection.fetch(
        "SELECT account, currency, sum(written_off_minor)::bigint AS given_up FROM ledger.invoice GROUP BY 1, 2"
    ):
        expected[RECEIVABLE, row["account"], row["currency"]] -= row["given_up"]
        expected[BAD_DEBT, None, row["currency"]] += row["given_up"]
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
        "SELECT i.invoice_id, i.status, i.due_minor, i.credited_minor, v.written_off_minor, v.open_minor, "
        "coalesce(sum(a.amount_minor), 0)::bigint AS paid FROM invoicing.invoice i "
        "LEFT JOIN ledger.invoice v USING (invoice_id) LEFT JOIN ledger.allocation a USING (invoice_id) "
        "WHERE i.kind = 'invoice' GROUP BY i.invoice_id, v.invoice_id"
    ):
        taken = row["paid"] + row["credited_minor"] + (row["written_off_minor"] or 0)
        expected = 0 if row["status"] == "void" else max(row["due_minor"] - taken, 0)
        result.compare("ledger", f"open amount of {row['invoice_id']}", expected, row["open_minor"])
