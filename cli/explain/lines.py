"""What the book has of a line: the line on its document, the others of its item and period, its statements.

Place     invoicing's tables -> [this] -> explaining. Read only, each by a key: no query looks at all invoices.
Names     a line by its `line_id`, or by document and place: `INV-000001:3`, a discount `INV-000001:discount:1`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from fakturo.engine.periods import Period
from fakturo.schemas.events.invoices import Invoice, InvoiceLine
from fakturo.schemas.events.usage import UsageRated

_invoice = msgspec.json.Decoder(Invoice)
_statement = msgspec.json.Decoder(UsageRated)

_DOCUMENT = "SELECT invoice_id, kind, status, content::text AS content FROM invoicing.invoice"
_DRAFT = "SELECT invoice_id, 'invoice' AS kind, 'draft' AS status, content::text AS content FROM invoicing.draft"
_LINES = """
SELECT l.line_id, l.invoice_id, i.number, i.status, l.kind, l.quantity, l.amount_exact, l.amount_minor, l.rated_minor,
       l.sequence, l.counts, l.corrects, l.period_start_at, l.period_end_at, coalesce(l.price_hash, '') AS price_hash,
       l.item_period_start_at, l.item_period_end_at, l.discount_shares
  FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id)
"""
_STATEMENTS = """
SELECT content::text AS content FROM invoicing.final_statement
 WHERE subscription_item = $1 AND period_start_at = $2 ORDER BY revision
"""
_RUNNING = """
SELECT content::text AS content FROM invoicing.running_statement WHERE subscription_item = $1 AND period_start_at = $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedLine:
    """A line as the book keeps it; `rated_minor` is what was rated: with the tax in it where the price includes it."""

    line_id: str
    invoice_id: str
    invoice: str
    status: str
    kind: str
    quantity: Any
    amount_exact: Any
    amount_minor: int
    rated_minor: int
    sequence: int
    counts: bool
    corrects: str | None
    slice_key: tuple[datetime, datetime, str]
    item_period: Period
    discount_shares: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDocument:
    """A document with what has become of it."""

    invoice: Invoice
    kind: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLine:
    """A line on its document. `booked` is None on a draft; `others` are all lines of its item and item period."""

    document: FoundDocument
    number: int
    line: InvoiceLine
    booked: BookedLine | None
    item_period: Period
    others: Sequence[BookedLine]

    @property
    def slice_key(self) -> tuple[datetime, datetime, str]:
        """Return start, end and price hash of the slice."""
        return self.line.period.start, self.line.period.end, self.line.price_hash or ""

    @property
    def rated_minor(self) -> int:
        """Return what was rated of the line, in minor units."""
        return self.line.amount_minor if self.booked is None else self.booked.rated_minor

    @property
    def earlier(self) -> list[BookedLine]:
        """Return the lines that count and were billed of the slice before this one."""
        sequence = self.booked.sequence if self.booked else None
        return [one for one in self._of_slice() if sequence is None or one.sequence < sequence]

    @property
    def later(self) -> list[BookedLine]:
        """Return the lines that count and were billed of the slice after this one."""
        sequence = self.booked.sequence if self.booked else None
        return [one for one in self._of_slice() if sequence is not None and one.sequence > sequence]

    def _of_slice(self) -> list[BookedLine]:
        return [one for one in self.others if one.counts and one.slice_key == self.slice_key]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDiscount:
    """A discount on its document; `shares` are its parts of the lines, None on a draft."""

    document: FoundDocument
    number: int
    shares: tuple[int, ...] | None


async def find(connection: asyncpg.Connection, name: str) -> FoundLine | FoundDiscount | None:
    """Return the line or discount that `name` says, or None."""
    document_name, colon, place = name.rpartition(":")
    if not colon:
        return await _by_id(connection, name)
    is_discount = document_name.endswith(":discount")
    document = await _document(connection, document_name.removesuffix(":discount"))
    parts: Sequence[object] = () if document is None else document.invoice.lines
    if document is not None and is_discount:
        parts = document.invoice.discounts
    if document is None or not place.isdigit() or not 1 <= int(place) <= len(parts):
        return None
    if is_discount:
        return await _discount(connection, document, int(place))
    return await _found(connection, document, document.invoice.lines[int(place) - 1].line_id)


async def statements_of(connection: asyncpg.Connection, item: str, period_start_at: datetime) -> list[UsageRated]:
    """Return the final statements of an item's period, oldest first, and before them the running one."""
    rows = [
        *await connection.fetch(_STATEMENTS, item, period_start_at),
        *await connection.fetch(_RUNNING, item, period_start_at),
    ]
    return [_statement.decode(row["content"]) for row in rows]


async def booked_line(connection: asyncpg.Connection, line_id: str) -> BookedLine | None:
    """Return a line by its id."""
    row = await connection.fetchrow(_LINES + "WHERE l.line_id = $1", line_id)
    return None if row is None else _booked(row)


async def _by_id(connection: asyncpg.Connection, line_id: str) -> FoundLine | None:
    booked = await booked_line(connection, line_id)
    if booked is not None:
        row = await connection.fetchrow(_DOCUMENT + " WHERE invoice_id = $1", booked.invoice_id)
    else:  # drafts are those in review: few, whatever the history
        wanted = msgspec.json.encode({"lines": [{"line_id": line_id}]}).decode()
        row = await connection.fetchrow(_DRAFT + " WHERE content @> $1::text::jsonb", wanted)
    return None if row is None else await _found(connection, _document_of(row), line_id)


async def _document(connection: asyncpg.Connection, name: str) -> FoundDocument | None:
    rows = await connection.fetch(
        f"{_DOCUMENT} WHERE invoice_id = $1 OR number = $1 UNION ALL {_DRAFT} WHERE invoice_id = $1", name
    )
    return _document_of(rows[0]) if len(rows) == 1 else None


def _document_of(row: asyncpg.Record) -> FoundDocument:
    return FoundDocument(invoice=_invoice.decode(row["content"]), kind=row["kind"], status=row["status"])


async def _found(connection: asyncpg.Connection, document: FoundDocument, line_id: str) -> FoundLine:
    number, line = next(
        (number, one) for number, one in enumerate(document.invoice.lines, start=1) if one.line_id == line_id
    )
    booked = None if document.status == "draft" else await booked_line(connection, line_id)
    period = booked.item_period if booked else await _drafted_period(connection, document, line)
    rows = await connection.fetch(
        _LINES + "WHERE l.subscription_item = $1 AND l.item_period_start_at = $2 "
        "ORDER BY l.period_start_at, l.sequence",
        line.subscription_item,
        period.start_at,
    )
    return FoundLine(
        document=document,
        number=number,
        line=line,
        booked=booked,
        item_period=period,
        others=[_booked(row) for row in rows],
    )


async def _drafted_period(connection: asyncpg.Connection, document: FoundDocument, line: InvoiceLine) -> Period:
    """Return the billing period that a draft's line is of."""
    row = await connection.fetchrow(
        "SELECT period_start_at, period_end_at FROM invoicing.draft_item WHERE invoice_id = $1 "
        "AND subscription_item = $2 AND period_start_at <= $3 AND period_end_at > $3",
        document.invoice.invoice_id,
        line.subscription_item,
        line.period.start,
    )
    if row is None:
        return Period(start_at=line.period.start, end_at=line.period.end)
    return Period(start_at=row["period_start_at"], end_at=row["period_end_at"])


async def _discount(connection: asyncpg.Connection, document: FoundDocument, number: int) -> FoundDiscount:
    if document.status == "draft":
        return FoundDiscount(document=document, number=number, shares=None)
    rows = await connection.fetch(
        "SELECT discount_shares[$2::int] AS share FROM invoicing.invoice_line WHERE invoice_id = $1 ORDER BY line_no",
        document.invoice.invoice_id,
        number,
    )
    shares = tuple(row["share"] or 0 for row in rows)
    return FoundDiscount(document=document, number=number, shares=shares)


def _booked(row: asyncpg.Record) -> BookedLine:
    return BookedLine(
        **{
            name: row[name]
            for name in (
                *("line_id", "invoice_id", "status", "kind", "quantity", "amount_exact", "amount_minor"),
                *("rated_minor", "sequence", "counts", "corrects"),
            )
        },
        invoice=row["number"] or row["invoice_id"],
        slice_key=(row["period_start_at"], row["period_end_at"], row["price_hash"]),
        item_period=Period(start_at=row["item_period_start_at"], end_at=row["item_period_end_at"]),
        discount_shares=tuple(row["discount_shares"]),
    )
