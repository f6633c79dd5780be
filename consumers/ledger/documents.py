"""What comes after an invoice on `billing.invoices`: credit notes, voids and write-offs become journals.

Place     handler -> [this] (calls book and engine/postings) -> posting_store and the outbox.
Rules     a credit note settles what is open, then takes back what was written off, then what was paid, which is the
          payer's credit from then on; so is what corrections take back beyond the invoice that they correct, for it was
          charged by a correction before. A void is the invoice's journal negated, and what was paid becomes credit. A
          write-off gives up what is open. Where something written off is settled after all, a journal of its own, kind
          `recovered`, makes it owed again first; so 1200 of an invoice is always what is open of it.
Identity  `credit_note/<id>/issued`, `invoice/<id>/voided`, `write_off/<event id>/written_off`: an invoice can be
          written off again once a charge-back has reopened it.
"""

from collections.abc import Sequence
from typing import Any

from fakturo.consumers.ledger.book import Book, Refused
from fakturo.consumers.ledger.journals import Booking, head_of, recovery_booking
from fakturo.consumers.ledger.reading import DocumentEntry
from fakturo.consumers.ledger.rows import AllocationRow
from fakturo.engine.credit_notes import is_requested
from fakturo.engine.postings import Settlement, post_credit_note, post_void, post_write_off
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events import invoices
from fakturo.schemas.events.ledger import JournalLine


def book_document(entry: DocumentEntry, book: Book) -> list[Booking]:
    """Return the journals of `entry`, in the order in which they are posted.

    Raises:
        Refused: the ledger has no such invoice, or less is left of it.
    """
    if entry.invoice_id is not None and not book.knows(entry.invoice_id):
        raise Refused(Reason.REFERENCE_NEVER_CAME, f"invoice {entry.invoice_id!r} was never booked")
    match entry.event.type:
        case invoices.CREDIT_NOTE_ISSUED:
            return _credit_note(entry, book)
        case invoices.INVOICE_VOIDED:
            return _void(entry, book)
        case _:
            return _write_off(entry, book)


def _credit_note(entry: DocumentEntry, book: Book) -> list[Booking]:
    note = entry.document
    source = ("credit_note", note.invoice_id)
    if note.corrects is None:
        return _bookings(entry, source, "issued", None, post_credit_note(note, None), ())
    amount_minor = -note.total_minor
    if not is_requested(note):  # what takes back a correction that was charged elsewhere is the payer's credit
        amount_minor = min(amount_minor, book.left(note.corrects))
    recovered = book.recover(note.corrects, amount_minor)
    settled, released = book.credit(note.corrects, amount_minor)
    return _bookings(entry, source, "issued", recovered, post_credit_note(note, settled), released)


def _void(entry: DocumentEntry, book: Book) -> list[Booking]:
    invoice = entry.document
    recovered = book.recover(invoice.invoice_id, invoice.amount_due_minor)
    open_minor, released = book.void(invoice.invoice_id)
    return _bookings(
        entry, ("invoice", invoice.invoice_id), "voided", recovered, post_void(invoice, open_minor), released
    )


def _write_off(entry: DocumentEntry, book: Book) -> list[Booking]:
    given_up = book.write_off(entry.document.invoice_id)
    postings = post_write_off(given_up, entry.document.currency)
    return _bookings(entry, ("write_off", entry.event.id), "written_off", None, postings, ())


def _bookings(
    entry: DocumentEntry,
    source: tuple[str, str],
    kind: str,
    recovered: Settlement | None,
    postings: Sequence[JournalLine],
    released: Sequence[tuple[str, int]],
) -> list[Booking]:
    """Return the journal of the document after that of what it recovers; none where it moves nothing."""
    bookings = []
    shared: dict[str, Any] = {
        "account": entry.document.account,
        "effective_on": entry.effective_on,
        "recorded_at": entry.recorded_at,
    }
    at, traceparent = entry.event.time, entry.event.traceparent
    if recovered is not None:
        bookings.append(
            recovery_booking(source, recovered, entry.document.currency, at=at, traceparent=traceparent, **shared)
        )
    if postings:
        head = head_of((*source, kind), line_count=len(postings), **shared)
        allocations = tuple(
            AllocationRow(
                journal_id=head.journal_id,
                invoice_id=str(entry.invoice_id),
                payment_id=payment_id,
                amount_minor=-amount_minor,
            )
            for payment_id, amount_minor in released
        )
        bookings.append(
            Booking(head=head, postings=tuple(postings), allocations=allocations, at=at, traceparent=traceparent)
        )
    return bookings
