"""The price list that holds in the books, and the customers that a change of it would touch.

Place     contracts.price_book, contracts.published -> [this] -> diff, publish. Reads only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import asyncpg

from fakturo.consumers.contracts.price_book_store import PriceBook, last_book, touched_customers
from fakturo.engine.catalog import Catalog, Touched, parse_catalog, touched_past


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What holds: the list and its place in the book (None: none yet), and the day that the contracts agent is at."""

    book: PriceBook | None
    catalog: Catalog | None
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a list would change of the time before today, and for whom: (account, product code)."""

    touched: tuple[Touched, ...]
    customers: tuple[tuple[str, str], ...]


async def read_holding(connection: asyncpg.Connection) -> Holding:
    """Return the list that holds; the day is the agent's (in a replay that of the history), else today."""
    book = await last_book(connection)
    at = await connection.fetchval("SELECT at FROM runtime.watermark WHERE agent = 'contracts'")
    return Holding(
        book=book,
        catalog=parse_catalog(book.document) if book and book.document else None,
        on=(at or datetime.now(UTC)).date(),
    )


async def read_past(connection: asyncpg.Connection, holding: Holding, catalog: Catalog) -> Past:
    """Return what `catalog` would change of the past."""
    touched: Sequence[Touched] = touched_past(holding.catalog, catalog, holding.on)
    customers = await touched_customers(connection, touched) if touched else []
    return Past(touched=tuple(touched), customers=tuple(customers))


def past_rows(past: Past) -> list[dict[str, object]]:
    """Return one row for each product and customer that would be touched; the customer is None where there is none."""
    rows: list[dict[str, object]] = []
    for one in past.touched:
        names: list[str | None] = [account for account, product in past.customers if product == one.product_code]
        rows += [
            {"product": one.product_code, "from": one.start_on, "before": one.end_on, "customer": name}
            for name in (names or [None])
        ]
    return rows
