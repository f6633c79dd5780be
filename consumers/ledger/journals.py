"""From what was decided to what is written: a journal's head, lines and allocations, and the event that tells of it.

Place     handler -> [this] (calls engine/postings and book) -> posting_store and the outbox.
Identity  a journal's id is its source and kind, `invoice/<id>/finalized` or `payment/<id>/<type>`, so a rerun gives
          the same; Postgres keeps (source type, source id, kind) unique.
Dates     an invoice takes effect on its issue date; a payment on the UTC date it was received, because the account's
          zone is not known here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from fakturo.consumers.ledger.book import Book
from fakturo.consumers.ledger.reading import CreditEntry, InvoiceEntry, PaymentEntry
from fakturo.consumers.ledger.rows import AllocationRow, JournalRow, LineRow
from fakturo.engine.postings import (
    Settlement,
    post_credit_expired,
    post_credit_granted,
    post_invoice,
    post_payment,
    post_points_expired,
    post_recovery,
    post_return,
)
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.credit import CREDIT_GRANTED, PointsExpired
from fakturo.schemas.events.ledger import JOURNAL_POSTED, JournalLine, JournalPosted, JournalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A journal to write. `at` is when its cause took effect."""

    head: JournalRow
    postings: tuple[JournalLine, ...]
    allocations: tuple[AllocationRow, ...]
    at: datetime
    traceparent: str | None

    @property
    def lines(self) -> list[LineRow]:
        """Return the postings as rows, numbered from 1."""
        return [
            LineRow(
                journal_id=self.head.journal_id,
                line_no=number,
                account_code=line.account_code,
                party=line.party,
                currency=line.currency,
                amount_minor=line.amount_minor,
                invoice_id=line.invoice_id,
            )
            for number, line in enumerate(self.postings, start=1)
        ]


def book_invoice(entry: InvoiceEntry) -> Booking | None:
    """Return the journal of a finalized invoice; None where nothing is owed (a month without usage)."""
    postings = post_invoice(entry.invoice)
    if not postings:
        return None
    head = head_of(
        ("invoice", entry.invoice.invoice_id, "finalized"),
        account=entry.invoice.account,
        effective_on=entry.invoice.issue_date,
        recorded_at=entry.recorded_at,
        line_count=len(postings),
    )
    return Booking(
        head=head, postings=postings, allocations=(), at=entry.event.time, traceparent=entry.event.traceparent
    )


def book_payment(entry: PaymentEntry, book: Book, invoices: Mapping[str, str]) -> list[Booking]:
    """Return the journals of a payment event; none for a failed one, which is only recorded.

    `invoices` maps the names of invoices to their ids. A payment of a named invoice that was written off has two: what
    it recovers is owed again first.

    Raises:
        Refused: the books can't take it.
    """
    row = entry.row
    if row.type == "failed":
        return []
    recovered = None
    if row.type == "received":
        named = next((invoices[name] for name in entry.invoice_names if name in invoices), None)
        recovered = book.recover(named, row.amount_minor) if named and book.may_settle(row, named) else None
        settlements, credit_minor = book.receive(row, named)
        post, sign = post_payment, 1
    else:
        settlements, credit_minor = book.give_back(row)
        post, sign = post_return, -1
    postings = post(
        account=row.account,
        currency=row.currency,
        fee_minor=row.fee_minor,
        settlements=settlements,
        credit_minor=credit_minor,
    )
    dates: dict[str, Any] = {"effective_on": entry.effective_on, "recorded_at": row.recorded_at}
    head = head_of(("payment", row.payment_id, row.type), account=row.account, line_count=len(postings), **dates)
    booking = Booking(
        head=head,
        postings=postings,
        allocations=tuple(_allocations(head, settlements, sign)),
        at=row.received_at,
        traceparent=entry.event.traceparent,
    )
    if recovered is None:
        return [booking]
    first = recovery_booking(
        ("payment", row.payment_id),
        recovered,
        row.currency,
        account=row.account,
        at=booking.at,
        traceparent=booking.traceparent,
        **dates,
    )
    return [first, booking]


def book_credit(entry: CreditEntry) -> Booking | None:
    """Return the journal of a grant or an expiry; None where no money moves (a promotion, points worth nothing).

    The source is the event: what a void invoice gave back after its day expires once more, as another event.
    """
    movement = entry.movement
    if isinstance(movement, PointsExpired):
        source_type, kind, postings = "points", "expired", post_points_expired(movement)
    elif entry.event.type == CREDIT_GRANTED:
        source_type, kind, postings = "credit", "granted", post_credit_granted(movement)
    else:
        source_type, kind, postings = "credit", "expired", post_credit_expired(movement)
    if not postings:
        return None
    head = head_of(
        (source_type, entry.event.id, kind),
        account=movement.account,
        effective_on=movement.effective_on,
        recorded_at=entry.recorded_at,
        line_count=len(postings),
    )
    return Booking(
        head=head, postings=postings, allocations=(), at=entry.event.time, traceparent=entry.event.traceparent
    )


def journal_event(booking: Booking) -> Event[JournalPosted]:
    """Return the event that `billing.ledger` carries; its id is the journal's."""
    head = booking.head
    journal = JournalPosted(
        journal_id=head.journal_id,
        kind=head.kind,
        account=head.account,
        source=JournalSource(type=head.source_type, id=head.source_id),
        effective_on=head.effective_on,
        recorded_at=head.recorded_at,
        lines=booking.postings,
    )
    event = event_of(
        agent="ledger",
        event_type=JOURNAL_POSTED,
        id=head.journal_id,
        subject=head.account,
        time=booking.at,
        data=journal,
        recorded_at=head.recorded_at,
    )
    return msgspec.structs.replace(event, traceparent=booking.traceparent)


def recovery_booking(
    source: tuple[str, str],
    recovered: Settlement,
    currency: str,
    *,
    account: str,
    effective_on: date,
    recorded_at: datetime,
    at: datetime,
    traceparent: str | None,
) -> Booking:
    """Return the journal, kind `recovered`, by which something written off is owed again since `source` settles it."""
    postings = post_recovery(recovered, currency)
    head = head_of(
        (*source, "recovered"),
        account=account,
        effective_on=effective_on,
        recorded_at=recorded_at,
        line_count=len(postings),
    )
    return Booking(head=head, postings=postings, allocations=(), at=at, traceparent=traceparent)


def head_of(
    source: tuple[str, str, str], *, account: str, effective_on: date, recorded_at: datetime, line_count: int
) -> JournalRow:
    """Return the head of the journal of a source (type, id) and kind."""
    source_type, source_id, kind = source
    return JournalRow(
        journal_id=f"{source_type}/{source_id}/{kind}",
        kind=kind,
        account=account,
        source_type=source_type,
        source_id=source_id,
        effective_on=effective_on,
        recorded_at=recorded_at,
        line_count=line_count,
    )


def _allocations(head: JournalRow, settlements: Iterable[Settlement], sign: int) -> Iterable[AllocationRow]:
    for settlement in settlements:
        yield AllocationRow(
            journal_id=head.journal_id,
            invoice_id=settlement.invoice_id,
            payment_id=head.source_id,
            amount_minor=sign * settlement.amount_minor,
        )
