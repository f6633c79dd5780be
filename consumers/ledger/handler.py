"""The `ledger` agent: invoices, what came after them, payments and credit of a batch become journals and balances.

Place     runner -> processor -> [this] -> reading, waiting, book, journals, store -> outbox (billing.ledger).
Order     invoices of a batch first, movements of credit among them as they came; then credit notes, voids and
          write-offs; then payments as they came, so that where a batch ends changes nothing; what gives a payment back
          comes after that payment wherever it stands (before it, it would have been parked).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from fakturo.consumers.ledger import posting_store, store
from fakturo.consumers.ledger.book import Book, Refused
from fakturo.consumers.ledger.documents import book_document
from fakturo.consumers.ledger.journals import Booking, book_credit, book_invoice, book_payment, journal_event
from fakturo.consumers.ledger.reading import CreditEntry, DocumentEntry, InvoiceEntry, PaymentEntry, read
from fakturo.consumers.ledger.repeats import distinct
from fakturo.consumers.ledger.waiting import find_waiting, invoice_references, payment_references
from fakturo.consumers.runtime import metrics
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.topics import LEDGER

Once = TypeVar("Once", DocumentEntry, CreditEntry)


class LedgerAgent:
    """Books invoices and payments; see the module's docstring for the order of things."""

    name = "ledger"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._checked_at: datetime | None = None

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Book the invoices and payments of `batch`; reject what is bad, park what waits for something."""
        asked = _read(batch, tx)
        invoices, documents, payments = asked.invoices, asked.documents, asked.payments
        if not invoices and not documents and not payments and not asked.movements:
            return
        may_park = (await find_waiting(tx.driver, payments)).entries
        # A document also changes payments, which nobody may be settling with at the same time.
        await store.lock_arrivals(tx.driver, alone=bool(may_park or documents))
        invoices = await _claim_invoices(invoices, tx)
        payments += await _release(invoice_references(invoices), tx)
        payments = await _claim_payments(await _ready(payments, tx), tx)
        bookings = _book(invoices, await _claim_once(asked.movements, tx))
        bookings += await _apply(await _claim_once(documents, tx), payments, tx)
        await _write(bookings, tx)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Put the trial balance on its gauge, once an hour of event time; nothing of the ledger falls due by time."""
        hour = to.replace(minute=0, second=0, microsecond=0)
        if hour != self._checked_at:
            metrics.LEDGER_IMBALANCE.set(await posting_store.imbalance_minor(tx.driver))
            self._checked_at = hour
        return False

    async def flush(self, tx: Transaction) -> None:
        """Publish nothing: journals go out with their booking."""


@dataclass(slots=True)
class Asked:
    """What a batch asks to book, by kind, as it came."""

    invoices: list[InvoiceEntry] = field(default_factory=list)
    documents: list[DocumentEntry] = field(default_factory=list)
    payments: list[PaymentEntry] = field(default_factory=list)
    movements: list[CreditEntry] = field(default_factory=list)


def _read(batch: Iterable[Record], tx: Transaction) -> Asked:
    asked = Asked()
    for record in batch:
        try:
            entry = read(record)
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        if isinstance(entry, InvoiceEntry):
            asked.invoices.append(entry)
        elif isinstance(entry, DocumentEntry):
            asked.documents.append(entry)
        elif isinstance(entry, PaymentEntry):
            asked.payments.append(entry)
        elif isinstance(entry, CreditEntry):
            asked.movements.append(entry)
        else:
            tx.count(record.topic, "applied")
    return asked


def _book(invoices: Sequence[InvoiceEntry], movements: Sequence[CreditEntry]) -> list[Booking]:
    """Return the journals of invoices and of movements of credit in the order that these came in."""
    found = [(_place(entry), book_invoice(entry)) for entry in invoices]
    found += [(_place(movement), book_credit(movement)) for movement in movements]
    return [booking for _, booking in sorted(found, key=lambda pair: pair[0]) if booking is not None]


async def _claim_once(entries: Sequence[Once], tx: Transaction) -> list[Once]:
    """Claim identities; return the documents or movements of credit that are new, as they came."""
    fresh, _ = await distinct(
        entries,
        lambda entry: (entry.identity.source, entry.identity.id),
        lambda firsts: store.claim_identities(tx.driver, (entry.identity for entry in firsts)),
        tx,
    )
    for entry in fresh:
        if isinstance(entry, CreditEntry):
            tx.count(entry.record.topic, "applied")
    return sorted(fresh, key=_place)


async def _claim_invoices(entries: Sequence[InvoiceEntry], tx: Transaction) -> list[InvoiceEntry]:
    """Claim identities and rows; return the invoices that are new, as they came: where a batch ends changes nothing."""
    fresh, _ = await distinct(
        entries,
        lambda entry: (entry.identity.source, entry.identity.id),
        lambda firsts: store.claim_identities(tx.driver, (entry.identity for entry in firsts)),
        tx,
    )
    new, rejected = await distinct(
        fresh,
        lambda entry: entry.invoice.invoice_id,
        lambda firsts: store.insert_invoices(tx.driver, (entry.row for entry in firsts)),
        tx,
    )
    await store.release_identities(tx.driver, [entry.identity for entry in rejected])
    for entry in new:
        tx.count(entry.record.topic, "applied")
    return sorted(new, key=lambda entry: (entry.record.partition, entry.record.offset))


async def _claim_payments(entries: Sequence[PaymentEntry], tx: Transaction) -> list[PaymentEntry]:
    """Claim identities and rows; return the payments that are new, in the order of booking."""
    fresh, _ = await distinct(
        entries,
        lambda entry: (entry.identity.source, entry.identity.id),
        lambda firsts: store.claim_identities(tx.driver, (entry.identity for entry in firsts)),
        tx,
    )
    new, rejected = await distinct(
        fresh,
        lambda entry: entry.key,
        lambda firsts: store.insert_payments(tx.driver, (entry.row for entry in firsts)),
        tx,
    )
    await store.release_identities(tx.driver, [entry.identity for entry in rejected])
    return _in_order(new)


def _in_order(entries: Sequence[PaymentEntry]) -> list[PaymentEntry]:
    """Return payments as they came; what gives a payment back comes after it, as if it had been parked for it."""
    received = {entry.row.payment_id: _place(entry) for entry in entries if entry.row.type == "received"}

    def key(entry: PaymentEntry) -> tuple[tuple[int, int], bool, tuple[int, int]]:
        own = _place(entry)
        after = received.get(entry.row.payment_id, own) if entry.gives_back else own
        return max(own, after), after > own, own

    return sorted(entries, key=key)


def _place(entry: InvoiceEntry | DocumentEntry | PaymentEntry | CreditEntry) -> tuple[int, int]:
    return entry.record.partition, entry.record.offset


async def _release(references: Sequence[str], tx: Transaction) -> list[PaymentEntry]:
    """Return the parked payments that waited for one of `references`."""
    released: list[PaymentEntry] = []
    if not references or not await store.anything_parked(tx.driver, tx.agent):
        return released
    while records := await tx.release_parked(references):
        for record in records:
            tx.count(record.topic, "released")
        released += _read(records, tx).payments
    return released


async def _ready(entries: list[PaymentEntry], tx: Transaction) -> list[PaymentEntry]:
    """Park what still waits; return the rest, and what was parked for a payment that is now there."""
    waiting = await find_waiting(tx.driver, entries)
    there = [entry for entry in entries if id(entry) not in waiting.entries]
    released = await _release(payment_references(there), tx)
    await tx.park([(entry.record, reference, message) for entry, reference, message in waiting.items])
    return there + released


async def _apply(
    documents: Sequence[DocumentEntry], payments: Sequence[PaymentEntry], tx: Transaction
) -> list[Booking]:
    """Credit, void, write off, settle and take back under lock; return the journals to post."""
    if not documents and not payments:
        return []
    named = await store.known_invoices(tx.driver, (name for entry in payments for name in entry.invoice_names))
    book = await _open_book(documents, payments, named.values(), tx)
    bookings: list[Booking] = []
    refused: list[DocumentEntry | PaymentEntry] = []
    entries: list[DocumentEntry | PaymentEntry] = [*documents, *payments]
    for entry in entries:
        try:
            if isinstance(entry, DocumentEntry):
                bookings += book_document(entry, book)
            else:
                bookings += book_payment(entry, book, named)
        except Refused as reason:
            tx.reject(entry.record, reason.reason, str(reason))
            refused.append(entry)
            continue
        tx.count(entry.record.topic, "applied")
    await store.release_identities(tx.driver, [entry.identity for entry in refused])
    await store.delete_payments(tx.driver, [entry.key for entry in refused if isinstance(entry, PaymentEntry)])
    await posting_store.update_paid(tx.driver, book.changed_paid.values())
    await posting_store.update_invoices(tx.driver, book.changed_invoices.values())
    return bookings


async def _open_book(
    documents: Sequence[DocumentEntry], payments: Sequence[PaymentEntry], named: Iterable[str], tx: Transaction
) -> Book:
    """Lock and return what the batch touches: payments that are given back or were settled with, and invoices."""
    about = [entry.invoice_id for entry in documents if entry.invoice_id is not None]
    settling = await posting_store.find_settling(tx.driver, about)
    paid = await posting_store.lock_paid(
        tx.driver, [*settling, *(entry.row.payment_id for entry in payments if entry.gives_back)]
    )
    invoices = await posting_store.lock_invoices(
        tx.driver,
        [*named, *about, *(invoice_id for row in paid for invoice_id in row.allocations)],
        (entry.row.account for entry in payments if entry.row.type == "received" and not entry.invoice_names),
    )
    return Book(invoices, paid)


async def _write(bookings: Sequence[Booking], tx: Transaction) -> None:
    """Insert journals, lines and allocations, then the balances, and publish the journals."""
    lines = [line for booking in bookings for line in booking.lines]
    await posting_store.insert_journals(tx.driver, [booking.head for booking in bookings], lines)
    await posting_store.insert_allocations(
        tx.driver, [allocation for booking in bookings for allocation in booking.allocations]
    )
    await posting_store.update_balances(tx.driver, lines)
    for booking in bookings:
        tx.emit(LEDGER, journal_event(booking), account=booking.head.account)
