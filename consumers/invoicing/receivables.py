"""What the ledger found of our invoices comes back: an invoice is paid once nothing is open of it, or open again.

Place     billing.ledger (feedback: it does not hold this agent's time) -> [this] -> status, outbox (billing.invoices).
Rules     open = amount due + all lines on 1200 that name the invoice, but its own journal's. Where that reaches 0 and
          nothing of it is written off, it is paid, and `fakturo.invoice.paid.v1` says so; a refund or charge-back of a
          settled one makes it open again, and its next settling is told under an id of its own.
Order     journals one by one as they came, so that where a batch ends changes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from fakturo.consumers.invoicing import life_store
from fakturo.consumers.invoicing.invoice_store import INVOICE, Issued
from fakturo.consumers.invoicing.life_store import Receivable
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.invoice_life import Status, Step, sources_of
from fakturo.schemas.codec import decode_data, decode_envelope
from fakturo.schemas.envelope import event_of
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.invoices import INVOICE_PAID, Invoice
from fakturo.schemas.events.ledger import JOURNAL_POSTED, JournalPosted
from fakturo.schemas.topics import INVOICES

RECEIVABLE = "1200"
FINALIZED, WRITTEN_OFF, RECOVERED = "finalized", "written_off", "recovered"
GIVEN_BACK = frozenset({"refunded", "charged_back"})

Told = tuple[JournalPosted, datetime, datetime]
"""A journal, when it took effect, and when it was recorded."""


async def apply(records: Sequence[Record], tx: Transaction) -> None:
    """Take the journals of `records` in; publish what is paid."""
    journals = _read(records, tx)
    touched = {name for journal, _, _ in journals for name, _ in _moves(journal)}
    if not touched:
        return
    known = await life_store.lock_receivables(tx.driver, touched)
    changed: dict[str, Receivable] = {}
    paid: list[tuple[Receivable, datetime, datetime]] = []
    for journal, at, recorded_at in journals:
        for name, amount_minor in _moves(journal):
            if name not in known:
                continue
            before = known[name]
            known[name] = changed[name] = now = moved(before, journal.kind, amount_minor)
            if now.settled_count > before.settled_count:
                paid.append((now, at, recorded_at))
    await life_store.save_receivables(tx.driver, list(changed.values()))
    documents = await life_store.find_contents(tx.driver, (row.invoice_id for row, _, _ in paid))
    for row, at, recorded_at in paid:
        tell_paid(documents[row.invoice_id], row.settled_count, at, recorded_at, tx)


async def settle_at_issue(document: Issued, at: datetime, tx: Transaction) -> None:
    """Mark an invoice as paid on which nothing is due (credit paid all of it, or nothing was billed), and say so."""
    invoice = document.invoice
    if invoice.amount_due_minor or document.kind != INVOICE:
        return
    rows = await life_store.lock_receivables(tx.driver, [invoice.invoice_id])
    await life_store.save_receivables(tx.driver, [moved(row, FINALIZED, 0) for row in rows.values()])
    tell_paid(invoice, 1, at, invoice.recorded_at or at, tx)


def moved(row: Receivable, kind: str, amount_minor: int) -> Receivable:
    """Return `row` after a line of `amount_minor` on 1200 in a journal of `kind`; its status follows."""
    written_off = row.written_off_minor
    if kind in {WRITTEN_OFF, RECOVERED}:
        written_off -= amount_minor
    now = replace(row, moved_minor=row.moved_minor + amount_minor, written_off_minor=written_off)
    if now.open_minor > 0 and kind in GIVEN_BACK and row.status in sources_of(Step.REOPEN):
        return replace(now, status=Status.OPEN.value)
    if now.open_minor <= 0 and not written_off and row.status in sources_of(Step.SETTLE):
        return replace(now, status=Status.PAID.value, settled_count=row.settled_count + 1)
    return now


def tell_paid(invoice: Invoice, count: int, at: datetime, recorded_at: datetime, tx: Transaction) -> None:
    """Publish that an invoice is paid, for the `count`th time."""
    event = event_of(
        agent=tx.agent,
        event_type=INVOICE_PAID,
        id=f"{invoice.invoice_id}:paid" + ("" if count == 1 else f":{count}"),
        subject=invoice.account,
        time=at,
        data=msgspec.structs.replace(invoice, status=Status.PAID.value),
        recorded_at=recorded_at,
    )
    tx.emit(INVOICES, event, account=invoice.account)


def _moves(journal: JournalPosted) -> list[tuple[str, int]]:
    return [
        (line.invoice_id, line.amount_minor)
        for line in journal.lines
        if line.account_code == RECEIVABLE and line.invoice_id is not None
    ]


def _read(records: Sequence[Record], tx: Transaction) -> list[Told]:
    """Return the journals that move what is open; an invoice's own is what its amount due says already."""
    journals: list[Told] = []
    for record in records:
        try:
            envelope: Any = decode_envelope(record.value, record.headers)
            if envelope.type != JOURNAL_POSTED:
                continue
            journal: JournalPosted = decode_data(envelope)
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        if journal.kind != FINALIZED:
            journals.append((journal, envelope.time, journal.recorded_at))
    return journals
