"""The `ledger` agent: a batch of invoices, payments and movements of credit becomes journals, balances and allocations.

Place     runner -> processor -> [this] -> reading, waiting, book, journals, store -> outbox (billing.ledger).
Order     invoices of a batch first, movements of credit among them as they came, then its payments as they came, so
          that where a batch ends changes nothing; what gives a payment back comes after that payment wherever it
          stands (before it, it would have been parked).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from fakturo.consumers.ledger import posting_store, store
from fakturo.consumers.ledger.book import Book, Refused
from fakturo.consumers.ledger.journals import Booking, book_credit, book_invoice, book_payment, journal_event
from fakturo.consumers.ledger.reading import CreditEntry, InvoiceEntry, PaymentEntry, read
from fakturo.consumers.ledger.repeats import distinct
from fakturo.consumers.ledger.waiting import find_waiting, invoice_references, payment_references
from fakturo.consumers.runtime import metrics
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.topics import LEDGER


class LedgerAgent:
    """Books invoices and payments; see the module's docstring for the order of things."""

    name = "ledger"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._checked_at: datetime | None = None

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Book the invoices and payments of `batch`; reject what is bad, park what waits for something."""
        invoices, payments, movements = _read(batch, tx)
        if not invoices and not payments and not movements:
            return
        may_park = (await find_waiting(tx.driver, payments)).entries
        await store.lock_arrivals(tx.driver, alone=bool(may_park))
        invoices = await _claim_invoices(invoices, tx)
        payments += await _release(invoice_references(invoices), tx)
        payments = await _claim_payments(await _ready(payments, tx), tx)
        movements = await _claim_movements(movements, tx)
        bookings = _book(invoices, movements)
        bookings += await _apply(payments, tx)
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


def _read(batch: Iterable[Record], tx: Transaction) -> tuple[list[InvoiceEntry], list[PaymentEntry], list[CreditEntry]]:
    invoices: list[InvoiceEntry] = []
    movements: list[CreditEntry] = []
    payments: list[PaymentEntry] = []
    for record in batch:
        try:
            entry = read(record)
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        if isinstance(entry, InvoiceEntry):
            invoices.append(entry)
        elif isinstance(entry, PaymentEntry):
            payments.append(entry)
        elif isinstance(entry, CreditEntry):
            movements.append(entry)
        else:
            tx.count(record.topic, "applied")
    return invoices, payments, movements


def _book(invoices: Sequence[InvoiceEntry], movements: Sequence[CreditEntry]) -> list[Booking]:
    """Return the journals of invoices and of movements of credit in the order that these came in."""
    found = [(_place(entry), book_invoice(entry)) for entry in invoices]
    found += [(_place(movement), book_credit(movement)) for movement in movements]
    return [booking for _, booking in sorted(found, key=lambda pair: pair[0]) if booking is not None]


async def _claim_movements(entries: Sequence[CreditEntry], tx: Transaction) -> list[CreditEntry]:
    """Claim identities; return the movements of credit that are new."""
    fresh, _ = await distinct(
        entries,
        lambda entry: (entry.identity.source, entry.identity.id),
        lambda firsts: store.claim_identities(tx.driver, (entry.identity for entry in firsts)),
        tx,
    )
    for entry in fresh:
        tx.count(entry.record.topic, "applied")
    return fresh


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


def _place(entry: InvoiceEntry | PaymentEntry | CreditEntry) -> tuple[int, int]:
    return entry.record.partition, entry.record.offset


async def _release(references: Sequence[str], tx: Transaction) -> list[PaymentEntry]:
    """Return the parked payments that waited for one of `references`."""
    released: list[PaymentEntry] = []
    if not references or not await store.anything_parked(tx.driver, tx.agent):
        return released
    while records := await tx.release_parked(references):
        for record in records:
            tx.count(record.topic, "released")
        released += _read(records, tx)[1]
    return released


async def _ready(entries: list[PaymentEntry], tx: Transaction) -> list[PaymentEntry]:
    """Park what still waits; return the rest, and what was parked for a payment that is now there."""
    waiting = await find_waiting(tx.driver, entries)
    there = [entry for entry in entries if id(entry) not in waiting.entries]
    released = await _release(payment_references(there), tx)
    await tx.park([(entry.record, reference, message) for entry, reference, message in waiting.items])
    return there + released


async def _apply(entries: Sequence[PaymentEntry], tx: Transaction) -> list[Booking]:
    """Settle and take back under lock; return the journals to post. What the books refuse loses its claims."""
    if not entries:
        return []
    named = await store.known_invoices(tx.driver, (name for entry in entries for name in entry.invoice_names))
    paid = await posting_store.lock_paid(tx.driver, (e.row.payment_id for e in entries if e.gives_back))
    invoices = await posting_store.lock_invoices(
        tx.driver,
        [*named.values(), *(invoice_id for row in paid for invoice_id in row.allocations)],
        (entry.row.account for entry in entries if entry.row.type == "received" and not entry.invoice_names),
    )
    book = Book(invoices, paid)
    bookings: list[Booking] = []
    refused: list[PaymentEntry] = []
    for entry in entries:
        try:
            booking = book_payment(entry, book, named)
        except Refused as reason:
            tx.reject(entry.record, reason.reason, str(reason))
            refused.append(entry)
            continue
        tx.count(entry.record.topic, "applied")
        if booking:
            bookings.append(booking)
    await store.release_identities(tx.driver, [entry.identity for entry in refused])
    await store.delete_payments(tx.driver, [entry.key for entry in refused])
    await posting_store.update_paid(tx.driver, book.changed_paid.values())
    await posting_store.update_open(tx.driver, book.changed_open)
    return bookings


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
