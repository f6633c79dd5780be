"""SQL of what an invoice lives through: its status, what is left of it, requests done; rows in sorted order.

Place     life, receivables -> [this] -> Postgres schema `invoicing`. A status changes only by an UPDATE that is guarded
          by the states from which engine/invoice_life lets the step be taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest

import asyncpg
import msgspec

from fakturo.engine.credit_notes import Left, Part
from fakturo.engine.invoice_life import Step, sources_of
from fakturo.engine.tax.positions import TaxPosition
from fakturo.schemas.events.contracts import Seller
from fakturo.schemas.events.invoices import Invoice

_invoice = msgspec.json.Decoder(Invoice)
_seller = msgspec.json.Decoder(Seller)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An invoice or draft as the book has it."""

    invoice_id: str
    number: str | None
    account: str
    status: str
    kind: str

    @property
    def name(self) -> str:
        """Return what a person calls it: its number, a draft its id."""
        return self.number or self.invoice_id


async def waited_for(driver: asyncpg.Connection, limit: int) -> list[str]:
    """Return references that requests wait for and that are in the book by now; mostly nothing waits."""
    rows = await driver.fetch(
        "SELECT DISTINCT reference FROM runtime.parked p WHERE agent = 'invoicing' AND topic = 'billing.requests' "
        "AND (EXISTS (SELECT FROM invoicing.invoice i WHERE i.invoice_id = substr(reference, 9)) "
        "OR EXISTS (SELECT FROM invoicing.invoice i WHERE i.number = substr(reference, 9)) "
        "OR EXISTS (SELECT FROM invoicing.draft d WHERE d.invoice_id = substr(reference, 9))) "
        "ORDER BY reference LIMIT $1",
        limit,
    )
    return [row["reference"] for row in rows]


async def status_of(driver: asyncpg.Connection, invoice_id: str) -> str | None:
    """Return the status of an invoice as it is now."""
    found: str | None = await driver.fetchval("SELECT status FROM invoicing.invoice WHERE invoice_id = $1", invoice_id)
    return found


async def lock_documents(driver: asyncpg.Connection, names: Iterable[str]) -> dict[str, list[Found]]:
    """Lock the invoices and drafts of these ids or numbers; return them by each of their names."""
    wanted = sorted(set(names))
    rows = await driver.fetch(
        "SELECT invoice_id, number, account, status, kind FROM invoicing.invoice "
        "WHERE invoice_id = ANY($1::text[]) OR number = ANY($1::text[]) ORDER BY invoice_id FOR UPDATE",
        wanted,
    )
    drafts = await driver.fetch(
        "SELECT invoice_id, NULL AS number, account, 'draft' AS status, 'invoice' AS kind FROM invoicing.draft "
        "WHERE invoice_id = ANY($1::text[]) ORDER BY invoice_id FOR UPDATE",
        wanted,
    )
    found: dict[str, list[Found]] = {}
    for row in (*rows, *drafts):
        document = Found(**dict(row))
        for name in {document.invoice_id, document.number} - {None}:
            found.setdefault(str(name), []).append(document)
    return found


async def claim(driver: asyncpg.Connection, source: str, request_id: str, digest: bytes) -> bytes | None:
    """Claim the identity of a request; return None, or the digest of what was done before under it."""
    fresh = await driver.fetchval(
        "INSERT INTO invoicing.request (source, id, payload_sha256) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING "
        "RETURNING true",
        source,
        request_id,
        digest,
    )
    if fresh:
        return None
    known: bytes = await driver.fetchval(
        "SELECT payload_sha256 FROM invoicing.request WHERE source = $1 AND id = $2", source, request_id
    )
    return known


async def void(driver: asyncpg.Connection, invoice_id: str, on: date) -> Invoice | None:
    """Make an invoice void; return it, or None where its life or a later document forbids it."""
    content = await driver.fetchval(
        "UPDATE invoicing.invoice i SET status = 'void', voided_on = $3 WHERE invoice_id = $1 AND kind = 'invoice' "
        "AND status = ANY($2::text[]) AND credited_minor = 0 AND NOT EXISTS (SELECT FROM invoicing.invoice_line l "
        "JOIN invoicing.invoice d USING (invoice_id) WHERE l.corrects_invoice = i.invoice_id AND d.status <> 'void') "
        "RETURNING content::text",
        invoice_id,
        list(sources_of(Step.VOID)),
        on,
    )
    return None if content is None else _invoice.decode(content)


async def write_off(driver: asyncpg.Connection, invoice_id: str) -> tuple[Invoice, int] | None:
    """Make an invoice uncollectible; return it and how often that has been, or None where its life forbids it."""
    row = await driver.fetchrow(
        "UPDATE invoicing.invoice SET status = 'uncollectible', written_off_count = written_off_count + 1 "
        "WHERE invoice_id = $1 AND kind = 'invoice' AND status = ANY($2::text[]) "
        "RETURNING content::text, written_off_count",
        invoice_id,
        list(sources_of(Step.WRITE_OFF)),
    )
    return None if row is None else (_invoice.decode(row["content"]), row["written_off_count"])


async def creditable(driver: asyncpg.Connection, invoice_id: str) -> Invoice | None:
    """Return an invoice that can be credited, None where its life forbids it; it is locked already."""
    content = await driver.fetchval(
        "SELECT content::text FROM invoicing.invoice WHERE invoice_id = $1 AND kind = 'invoice' "
        "AND status = ANY($2::text[]) FOR UPDATE",
        invoice_id,
        list(sources_of(Step.CREDIT)),
    )
    return None if content is None else _invoice.decode(content)


async def left_of(driver: asyncpg.Connection, invoice_id: str) -> Left:
    """Return what is left to credit of an invoice's own lines and of its tax groups, later corrections taken off."""
    lines = await driver.fetch(
        "SELECT line_id, amount_minor - credited_minor + least(0, (SELECT coalesce(sum(c.amount_minor), 0) "
        "FROM invoicing.invoice_line c JOIN invoicing.invoice d USING (invoice_id) "
        "WHERE c.corrects_invoice = $1 AND c.corrects = l.line_id AND NOT d.requested AND d.status <> 'void'))::bigint "
        "AS left_minor, discount_shares, credited_shares FROM invoicing.invoice_line l "
        "WHERE invoice_id = $1 AND corrects_invoice IS NULL AND amount_minor > 0 ORDER BY line_no",
        invoice_id,
    )
    groups = await driver.fetch(
        "SELECT * FROM invoicing.tax_position WHERE invoice_id = $1 ORDER BY category, rate_percent, country "
        "FOR UPDATE",
        invoice_id,
    )
    return Left(
        lines={row["line_id"]: row["left_minor"] for row in lines},
        shares={
            row["line_id"]: tuple(
                share - credited
                for share, credited in zip_longest(row["discount_shares"], row["credited_shares"], fillvalue=0)
            )
            for row in lines
        },
        groups={
            (row["category"], row["rate_percent"], row["country"]): TaxPosition(row["taxable_minor"], row["tax_minor"])
            for row in groups
        },
    )


async def take_credit(driver: asyncpg.Connection, note: Invoice, parts: Mapping[str, Part]) -> None:
    """Take a credit note off its invoice, and `parts` off its lines; the book's CHECKs refuse what is too much."""
    await driver.execute(
        "UPDATE invoicing.invoice SET credited_minor = credited_minor + $2 WHERE invoice_id = $1",
        note.corrects,
        -note.total_minor,
    )
    for line_id, part in sorted(parts.items()):
        await driver.execute(
            "UPDATE invoicing.invoice_line SET credited_minor = credited_minor + $2, credited_shares = coalesce(("
            "SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place) "
            "FROM unnest(credited_shares, $3::bigint[]) WITH ORDINALITY AS shares(a, b, place)), '{}') "
            "WHERE line_id = $1",
            line_id,
            part.amount_minor,
            list(part.shares),
        )


async def next_sequences(driver: asyncpg.Connection, line_ids: Iterable[str]) -> dict[str, int]:
    """Return the next free sequence of the slice of each line."""
    rows = await driver.fetch(
        "SELECT l.line_id, max(o.sequence) + 1 AS sequence FROM invoicing.invoice_line l "
        "JOIN invoicing.invoice_line o ON o.subscription_item = l.subscription_item "
        "AND o.period_start_at = l.period_start_at WHERE l.line_id = ANY($1::text[]) GROUP BY l.line_id",
        sorted(set(line_ids)),
    )
    return {row["line_id"]: row["sequence"] for row in rows}


async def count_no_more(driver: asyncpg.Connection, invoice_id: str) -> list[asyncpg.Record]:
    """Let the lines of a void invoice count as not billed; return the item periods that are to be billed again."""
    return await driver.fetch(
        "WITH gone AS (UPDATE invoicing.invoice_line SET counts = false WHERE invoice_id = $1 AND counts "
        "RETURNING subscription_item, item_period_start_at, item_period_end_at) "
        "SELECT DISTINCT subscription_item, item_period_start_at, item_period_end_at FROM gone "
        "JOIN invoicing.subscription_item USING (subscription_item) ORDER BY 1, 2",
        invoice_id,
    )


async def give_back_positions(driver: asyncpg.Connection, invoice_id: str) -> None:
    """Take a void invoice's lines off what has been taxed, of it and of the invoices that they corrected."""
    await driver.execute(
        "UPDATE invoicing.tax_position p SET taxable_minor = p.taxable_minor - l.taxable_minor, "
        "tax_minor = p.tax_minor - l.tax_minor FROM (SELECT l.corrects_invoice, l.tax_category, l.tax_rate_percent, "
        "coalesce(l.tax_country, '') AS country, "
        "sum(l.amount_minor + (SELECT coalesce(sum(s), 0) FROM unnest(l.discount_shares) s))::bigint AS taxable_minor, "
        "sum(coalesce((t.line ->> 'tax_minor')::bigint, 0))::bigint AS tax_minor FROM invoicing.invoice_line l "
        "JOIN invoicing.invoice i USING (invoice_id) JOIN LATERAL jsonb_array_elements(i.content -> 'lines') t(line) "
        "ON t.line ->> 'line_id' = l.line_id WHERE l.invoice_id = $1 AND l.corrects_invoice IS NOT NULL "
        "GROUP BY 1, 2, 3, 4) l WHERE p.invoice_id = l.corrects_invoice AND p.category = l.tax_category "
        "AND p.rate_percent = l.tax_rate_percent AND p.country = l.country",
        invoice_id,
    )
    await driver.execute("DELETE FROM invoicing.tax_position WHERE invoice_id = $1", invoice_id)


async def find_seller(driver: asyncpg.Connection, seller_code: str, default: Seller) -> Seller:
    """Return the seller as the newest subscription has it; '' is the seller of the settings."""
    if not seller_code:
        return default
    content = await driver.fetchval(
        "SELECT (content -> 'seller')::text FROM invoicing.subscription WHERE seller_code = $1 "
        "ORDER BY recorded_at DESC, subscription_id LIMIT 1",
        seller_code,
    )
    return default if content is None else _seller.decode(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivable:
    """What the book knows of what is open of an invoice."""

    invoice_id: str
    status: str
    due_minor: int
    moved_minor: int
    written_off_minor: int
    settled_count: int

    @property
    def open_minor(self) -> int:
        """Return what is open."""
        return self.due_minor + self.moved_minor


async def lock_receivables(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> dict[str, Receivable]:
    """Lock and return what is known of these invoices."""
    rows = await driver.fetch(
        "SELECT invoice_id, status, due_minor, moved_minor, written_off_minor, settled_count FROM invoicing.invoice "
        "WHERE invoice_id = ANY($1::text[]) ORDER BY invoice_id FOR UPDATE",
        sorted(set(invoice_ids)),
    )
    return {row["invoice_id"]: Receivable(**dict(row)) for row in rows}


async def save_receivables(driver: asyncpg.Connection, rows: Sequence[Receivable]) -> None:
    """Write what `lock_receivables` locked."""
    ordered = sorted(rows, key=lambda row: row.invoice_id)
    await driver.execute(
        "UPDATE invoicing.invoice i SET status = n.status, moved_minor = n.moved_minor, "
        "written_off_minor = n.written_off_minor, settled_count = n.settled_count FROM unnest($1::text[], $2::text[], "
        "$3::bigint[], $4::bigint[], $5::integer[]) AS n(invoice_id, status, moved_minor, written_off_minor, "
        "settled_count) WHERE i.invoice_id = n.invoice_id",
        [row.invoice_id for row in ordered],
        [row.status for row in ordered],
        [row.moved_minor for row in ordered],
        [row.written_off_minor for row in ordered],
        [row.settled_count for row in ordered],
    )


async def find_contents(driver: asyncpg.Connection, invoice_ids: Iterable[str]) -> dict[str, Invoice]:
    """Return the documents of these invoices as they were finalised."""
    rows = await driver.fetch(
        "SELECT invoice_id, content::text AS content FROM invoicing.invoice WHERE invoice_id = ANY($1::text[])",
        sorted(set(invoice_ids)),
    )
    return {row["invoice_id"]: _invoice.decode(row["content"]) for row in rows}
