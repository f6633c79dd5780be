"""SQL of the invoices, their lines and the number series; rows are taken in sorted order.

Place     billing, and what an invoice lives through -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from fakturo.schemas.codec import encode
from fakturo.schemas.events.invoices import Invoice


async def last_revisions(
    driver: asyncpg.Connection, keys: Iterable[tuple[str, datetime]]
) -> dict[tuple[str, datetime], int]:
    """Return (account, period start) -> the newest revision invoiced; absent where there is none."""
    wanted = sorted(set(keys))
    rows = await driver.fetch(
        "SELECT account, period_start_at, max(revision) AS revision FROM invoicing.invoice "
        "JOIN unnest($1::text[], $2::timestamptz[]) AS w(account, period_start_at) USING (account, period_start_at) "
        "GROUP BY account, period_start_at",
        [key[0] for key in wanted],
        [key[1] for key in wanted],
    )
    return {(row["account"], row["period_start_at"]): row["revision"] for row in rows}


async def take_numbers(driver: asyncpg.Connection, series: str, count: int) -> int:
    """Take `count` numbers of a series in this transaction; return the first of them."""
    last: int = await driver.fetchval(
        "INSERT INTO invoicing.series (series, last_number) VALUES ($1, $2) ON CONFLICT (series) "
        "DO UPDATE SET last_number = invoicing.series.last_number + excluded.last_number RETURNING last_number",
        series,
        count,
    )
    return last - count + 1


async def save_invoices(driver: asyncpg.Connection, invoices: Sequence[Invoice]) -> None:
    """Insert invoices and their lines."""
    await driver.copy_records_to_table(
        "invoice",
        schema_name="invoicing",
        columns=_INVOICE_COLUMNS,
        records=[_invoice_record(invoice) for invoice in invoices],
    )
    await driver.copy_records_to_table(
        "invoice_line",
        schema_name="invoicing",
        columns=_LINE_COLUMNS,
        records=[record for invoice in invoices for record in _line_records(invoice)],
    )


_INVOICE_COLUMNS = (
    *("invoice_id", "number", "account", "currency", "period_start_at", "period_end_at", "revision", "issue_on"),
    *("due_on", "subtotal_minor", "tax_minor", "total_minor", "content", "recorded_at"),
)
_LINE_COLUMNS = (
    *("line_id", "invoice_id", "line_no", "subscription_item", "product_code", "description", "explanation"),
    *("quantity", "unit", "unit_amount", "amount_exact", "amount_minor", "period_start_at", "period_end_at"),
    *("tax_category", "tax_rate_percent", "price_hash"),
)


def _invoice_record(invoice: Invoice) -> tuple[object, ...]:
    return (
        invoice.invoice_id,
        invoice.number,
        invoice.account,
        invoice.currency,
        invoice.period.start,
        invoice.period.end,
        invoice.revision,
        invoice.issue_date,
        invoice.due_date,
        invoice.subtotal_minor,
        invoice.tax_minor,
        invoice.total_minor,
        encode(invoice).decode(),
        invoice.recorded_at,
    )


def _line_records(invoice: Invoice) -> list[tuple[object, ...]]:
    return [
        (
            line.line_id,
            invoice.invoice_id,
            number,
            line.subscription_item,
            line.product_code,
            line.description,
            line.explanation,
            line.quantity,
            line.unit,
            line.unit_amount,
            line.amount_exact,
            line.amount_minor,
            line.period.start,
            line.period.end,
            line.tax.category,
            line.tax.rate_percent,
            line.price_hash,
        )
        for number, line in enumerate(invoice.lines, start=1)
    ]
