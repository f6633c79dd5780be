"""The book of price lists: which one holds, and whether a published one may take its place.

Place     `billing.catalog` -> handler -> [this] -> contracts.price_book; publication asks what is offered at a cut.
Holds     the newest list. FAKTURO_CATALOG is the first; it comes again only when the file says something else than when
          it was last read, so a published list is not undone by a restart.
Refuses   a list that is faulty, that was made from another one than holds by now, or that changes what was in force
          before today (the tick that the record came after) for a customer, unless finance says that it may.
Race      all under the publication lock, which is taken before any record is locked; the table's unique `follows`
          lets one of two lists through in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from fakturo.consumers.contracts import price_book_store, store
from fakturo.consumers.contracts import publication_store as due_store
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.price_book_store import FILE, PUBLISHED, PriceBook
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.catalog import Catalog, content_hash, parse_catalog, touched_past
from fakturo.engine.errors import CatalogError
from fakturo.schemas.codec import decode_event
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.catalog import CatalogPublished

CUSTOMERS_NAMED_MAX = 20


class Refused(Exception):
    """A published list that cannot take the place of the one that holds; the text says why."""


@dataclass(slots=True, kw_only=True)
class PriceBooks:
    """What the file of the settings offers, and the lists that were published since."""

    file_offers: Offers
    profile: Profile
    _offers: dict[int, Offers] = field(default_factory=dict)

    async def keep_file(self, driver: asyncpg.Connection, watermark_at: datetime) -> None:
        """Write the file's list behind the others, where it says something else than when it was last read."""
        fingerprint = self.file_offers.fingerprint
        before = await price_book_store.last_book(driver, FILE)
        if self.file_offers.currency is None or (before is not None and before.fingerprint == fingerprint):
            return
        last = await price_book_store.last_book(driver)
        document = dict(self.file_offers.document)
        book = PriceBook(
            number=last.number + 1 if last else 1,
            hash=content_hash(document) if document else fingerprint.hex(),
            source=FILE,
            fingerprint=fingerprint,
            document=document,
            published_by="",
            recorded_at=store.BEGINNING,
        )
        await price_book_store.append_book(driver, book, watermark_at)

    async def offers_at(self, driver: asyncpg.Connection, cut_at: datetime) -> Offers:
        """Return what was offered at a cut; before any list, what the file offers."""
        book = await price_book_store.book_at(driver, cut_at)
        if book is None or book.fingerprint == self.file_offers.fingerprint or not book.document:
            return self.file_offers
        if book.number not in self._offers:
            self._offers[book.number] = Offers.of(parse_catalog(book.document))
        return self._offers[book.number]

    async def take(self, records: Sequence[Record], tx: Transaction) -> None:
        """Take the lists of `records` one after the other; what is refused is dead-lettered with the reason."""
        await due_store.lock_publication(tx.driver)
        await self.keep_file(tx.driver, store.BEGINNING)
        for record in records:
            try:
                event = decode_event(record.value, record.headers)
            except SchemaError as error:
                tx.reject(record, error.reason, str(error))
                continue
            if not isinstance(event.data, CatalogPublished):
                tx.reject(record, Reason.UNKNOWN_TYPE, f"{event.type} is not a price list")
                continue
            try:
                outcome = await self._take(event.data, record, tx)
            except Refused as refused:
                tx.reject(record, Reason.REFUSED_BY_BOOK, str(refused))
                continue
            tx.count(record.topic, outcome)

    async def _take(self, given: CatalogPublished, record: Record, tx: Transaction) -> str:
        holding = await price_book_store.last_book(tx.driver)
        if holding is not None and holding.hash == given.hash:
            return "duplicate"
        catalog = _checked(given)
        _check_successor(given, holding)
        if not given.allow_backdated:
            await _check_past(catalog, holding, record, tx.driver)
        watermark_at = record.watermark_at or store.BEGINNING
        book = PriceBook(
            number=holding.number + 1 if holding else 1,
            hash=given.hash,
            source=PUBLISHED,
            fingerprint=Offers.of(catalog).fingerprint,
            document=given.document,
            published_by=given.published_by,
            recorded_at=record.recorded_at,
        )
        await price_book_store.append_book(tx.driver, book, watermark_at)
        await due_store.mark_all(tx.driver, self.profile.billed_roots, watermark_at)
        return "applied"


def _checked(given: CatalogPublished) -> Catalog:
    try:
        catalog = parse_catalog(given.document)
    except CatalogError as error:
        raise Refused(f"the price list is faulty:\n{error}") from error
    if catalog.hash != given.hash:
        raise Refused(f"the price list's hash is {catalog.hash}, the event says {given.hash}")
    return catalog


def _check_successor(given: CatalogPublished, holding: PriceBook | None) -> None:
    expected = holding.hash if holding else None
    if given.replaces != expected:
        made_from, holds = given.replaces or "no list", expected or "none"
        raise Refused(
            f"the price list was made from {made_from}, but {holds} holds by now; compare with it and publish again"
        )


async def _check_past(catalog: Catalog, holding: PriceBook | None, record: Record, driver: asyncpg.Connection) -> None:
    if holding is None or not holding.document or record.watermark_at is None:
        return
    touched = touched_past(parse_catalog(holding.document), catalog, record.watermark_at.date())
    if touched:
        customers = await price_book_store.touched_customers(driver, touched)
        products = ", ".join(one.product_code for one in touched)
        raise Refused(
            f"the price list changes what was in force before {record.watermark_at.date()} for {products}; "
            f"it would touch {_named(customers)}"
        )


def _named(customers: Sequence[tuple[str, str]]) -> str:
    if not customers:
        return "no customer yet"
    names = [f"{account} ({product})" for account, product in customers[:CUSTOMERS_NAMED_MAX]]
    more = len(customers) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
