"""SQL of the invoices and credit notes, their lines, the number series and what was taxed; rows in sorted order.

Place     finalizing, and what an invoice lives through -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fakturo.engine.invoicing import AppliedDiscount, BilledItem
from fakturo.engine.tax.groups import Key
from fakturo.engine.tax.positions import TaxPosition
from fakturo.schemas.codec import encode
from fakturo.schemas.events.invoices import Invoice

INVOICE, CREDIT_NOTE = "invoice", "credit_note"

RevisionKey = tuple[str, str, str, datetime]
"""Account, seller, cost centre and period start: documents of one are counted by their revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A finalised document with what each of its lines was rated from, in the order of its lines.

    `discounts` have the shares of the lines, which a credit note gives back.
    """

    invoice: Invoice
    items: Sequence[BilledItem]
    discounts: Sequence[AppliedDiscount] = ()
    kind: str = INVOICE
    counts: bool = True


async def last_revisions(driver: asyncpg.Connection, keys: Iterable[RevisionKey]) -> dict[RevisionKey, int]:
    """Return the newest revision that is invoiced or in review; absent where there is none."""
    wanted = sorted(set(keys))
    rows = await driver.fetch(
        "SELECT account, seller_code, cost_centre, period_start_at, max(d.revision) AS revision FROM ("
        "SELECT account, seller_code, cost_centre, period_start_at, revision FROM invoicing.invoice UNION ALL "
        "SELECT account, seller_code, cost_centre, period_start_at, revision FROM invoicing.draft) d "
        "JOIN unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) "
        "AS w(account, seller_code, cost_centre, period_start_at) "
        "USING (account, seller_code, cost_centre, period_start_at) GROUP BY 1, 2, 3, 4",
        *([key[place] for key in wanted] for place in range(4)),
    )
    return {
        (row["account"], row["seller_code"], row["cost_centre"], row["period_start_at"]): row["revision"]
        for row in rows
    }


async def take_numbers(driver: asyncpg.Connection, seller_code: str, series: str, count: int) -> int:
    """Take `count` numbers of a seller's series in this transaction; return the first of them."""
    last: int = await driver.fetchval(
        "INSERT INTO invoicing.series (seller_code, series, last_number) VALUES ($1, $2, $3) "
        "ON CONFLICT (seller_code, series) "
        "DO UPDATE SET last_number = invoicing.series.last_number + excluded.last_number RETURNING last_number",
        seller_code,
        series,
        count,
    )
    return last - count + 1


async def save_documents(driver: asyncpg.Connection, documents: Sequence[Issued]) -> None:
    """Insert documents and their lines; the book refuses a second one of the same account, period and revision."""
    await driver.copy_records_to_table(
        "invoice",
        schema_name="invoicing",
        columns=_INVOICE_COLUMNS,
        records=[_invoice_record(document) for document in documents],
    )
    await driver.copy_records_to_table(
        "invoice_line",
        schema_name="invoicing",
        columns=_LINE_COLUMNS,
        records=[record for document in documents for record in _line_records(document)],
    )


async def find_positions(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> dict[tuple[str, Key], TaxPosition]:
    """Lock and return what has been taxed of the invoices, by (invoice, group)."""
    rows = await driver.fetch(
        "SELECT * FROM invoicing.tax_position WHERE invoice_id = ANY($1::text[]) "
        "ORDER BY invoice_id, category, rate_percent, country FOR UPDATE",
        sorted(set(invoice_ids)),
    )
    return {
        (row["invoice_id"], (row["category"], row["rate_percent"], row["country"])): TaxPosition(
            row["taxable_minor"], row["tax_minor"]
        )
        for row in rows
    }


async def add_positions(driver: asyncpg.Connection, moves: Mapping[tuple[str, Key], TaxPosition]) -> None:
    """Add to what has been taxed of each (invoice, group); a credit takes away."""
    ordered = sorted(moves.items(), key=lambda pair: pair[0])
    await driver.execute(
        "INSERT INTO invoicing.tax_position (invoice_id, category, rate_percent, country, taxable_minor, tax_minor) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[], $5::bigint[], $6::bigint[]) "
        "ON CONFLICT (invoice_id, category, rate_percent, country) DO UPDATE SET "
        "taxable_minor = tax_position.taxable_minor + excluded.taxable_minor, "
        "tax_minor = tax_position.tax_minor + excluded.tax_minor",
        [key[0] for key, _ in ordered],
        *([key[1][place] for key, _ in ordered] for place in range(3)),
        [position.taxable_minor for _, position in ordered],
        [position.tax_minor for _, position in ordered],
    )


_INVOICE_COLUMNS = (
    *("invoice_id", "number", "account", "currency", "period_start_at", "period_end_at", "revision", "issue_on"),
    *("due_on", "subtotal_minor", "tax_minor", "total_minor", "content", "recorded_at", "seller_code", "cost_centre"),
    "kind",
)
_LINE_COLUMNS = (
    *("line_id", "invoice_id", "line_no", "subscription_item", "product_code", "description", "explanation"),
    *("quantity", "unit", "unit_amount", "amount_exact", "amount_minor", "period_start_at", "period_end_at"),
    *("tax_category", "tax_rate_percent", "price_hash", "item_period_start_at", "item_period_end_at", "sequence"),
    *("kind", "counts", "rated_minor", "corrects", "corrects_invoice", "used_by", "cost_centre", "tax_country"),
    *("prices_include_tax", "discount_shares", "tax_minor"),
)


def _invoice_record(document: Issued) -> tuple[object, ...]:
    invoice = document.invoice
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
        invoice.seller_code or "",
        invoice.cost_centre or "",
        document.kind,
    )


def _line_records(document: Issued) -> list[tuple[object, ...]]:
    return [
        (
            line.line_id,
            document.invoice.invoice_id,
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
            item.item_period.start_at if item.item_period else line.period.start,
            item.item_period.end_at if item.item_period else line.period.end,
            item.sequence,
            line.kind,
            document.counts,
            item.amount_minor if item.gross_minor is None else item.gross_minor,
            line.corrects,
            item.corrects_invoice,
            line.account,
            line.cost_centre,
            line.tax.country,
            line.tax.prices_include_tax,
            [one.shares[number - 1] for one in document.discounts],
            line.tax_minor or 0,
        )
        for number, (line, item) in enumerate(zip(document.invoice.lines, document.items, strict=True), start=1)
    ]
