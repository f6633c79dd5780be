"""The SQL of price lists: what held since when, and whom a change would touch.

Place     price_books, and `fakturo catalog` to read -> [this] -> Postgres. Writes only under the publication lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from fakturo.engine.catalog import Touched
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import Subscription

FILE, PUBLISHED = "file", "published"
"""Where a list came from: FAKTURO_CATALOG, or `billing.catalog`."""

_COLUMNS = "number, hash, source, fingerprint, document::text AS document, published_by, recorded_at"
_subscription = msgspec.json.Decoder(Subscription)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """A price list that was taken: the `number`th. `document` is empty where only its fingerprint is known."""

    number: int
    hash: str
    source: str
    fingerprint: bytes
    document: dict[str, Any]
    published_by: str
    recorded_at: datetime


async def last_book(driver: asyncpg.Connection, source: str | None = None) -> PriceBook | None:
    """Return the list that holds (of one source: the newest of it), or None."""
    row = await driver.fetchrow(
        f"SELECT {_COLUMNS} FROM contracts.price_book WHERE $1::text IS NULL OR source = $1 "  # noqa: S608 - constants
        "ORDER BY number DESC LIMIT 1",
        source,
    )
    return _book(row) if row else None


async def book_at(driver: asyncpg.Connection, cut_at: datetime) -> PriceBook | None:
    """Return the list that held at a cut: the newest that came by then, or None."""
    row = await driver.fetchrow(
        f"SELECT {_COLUMNS} FROM contracts.price_book WHERE watermark_at <= $1 "  # noqa: S608 - constants
        "ORDER BY number DESC LIMIT 1",
        cut_at,
    )
    return _book(row) if row else None


async def append_book(driver: asyncpg.Connection, book: PriceBook, watermark_at: datetime) -> None:
    """Write the list that holds from now on; its number must be the next one, or the table refuses it."""
    await driver.execute(
        "INSERT INTO contracts.price_book (number, follows, hash, source, fingerprint, document, published_by,"
        " recorded_at, watermark_at)"
        " VALUES ($1::bigint, nullif($1::bigint - 1, 0), $2, $3, $4, $5::text::jsonb, $6, $7, $8)",
        book.number,
        book.hash,
        book.source,
        book.fingerprint,
        encode(book.document).decode(),
        book.published_by,
        book.recorded_at,
        watermark_at,
    )


async def touched_customers(driver: asyncpg.Connection, touched: Sequence[Touched]) -> list[tuple[str, str]]:
    """Return (account, product code) of every published item in service on a touched day, sorted, each once."""
    rows = await driver.fetch(
        "SELECT content::text AS content FROM contracts.published WHERE role = 'subscription' AND EXISTS ("
        " SELECT FROM jsonb_array_elements(content->'items') AS i WHERE i->>'product_code' = ANY ($1::text[]))",
        sorted({one.product_code for one in touched}),
    )
    found = set()
    for row in rows:
        subscription = _subscription.decode(row["content"])
        found |= {
            (subscription.account, item.product_code)
            for item in subscription.items
            if any(one.holds(item) for one in touched)
        }
    return sorted(found)


def _book(row: asyncpg.Record) -> PriceBook:
    return PriceBook(
        number=row["number"],
        hash=row["hash"],
        source=row["source"],
        fingerprint=bytes(row["fingerprint"]),
        document=msgspec.json.decode(row["document"]),
        published_by=row["published_by"],
        recorded_at=row["recorded_at"],
    )
