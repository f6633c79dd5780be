"""A document and what the ledger says of it, as records of the org.

Place     handler -> [this] -> rows of Fakturo_Invoice__c and Fakturo_Invoice_Line__c. No I/O.
Ledger    what is open, and so whether an invoice is paid or written off, comes from its receivable alone: the ledger
          knows first, and of a payment that was given back it alone tells. Until the invoice's own journal has come all
          that is due counts as open.
Lines     those of the newest document; of a draft they change, and what is left over is taken out of the org. A draft
          without a line has been dropped: neither it nor its lines are to be there.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import msgspec

from fakturo.consumers.crm_sync.reading import AFTER, DRAFTED, Document
from fakturo.consumers.crm_sync.rows import DesiredRow
from fakturo.consumers.crm_sync.values import text_of
from fakturo.engine.money import from_minor
from fakturo.schemas.events.invoices import CREDIT_NOTE_ISSUED, INVOICE_VOIDED, Invoice, InvoiceLine
from fakturo.schemas.salesforce.written_fields import (
    INVOICE,
    INVOICE_FIELDS,
    INVOICE_LINE,
    INVOICE_LINE_FIELDS,
    OBJECT_BY_NAME,
    WrittenField,
)

FINALIZED, WRITTEN_OFF, RECOVERED = "finalized", "written_off", "recovered"
"""Kinds of journals that say more of an invoice than that something was settled."""

DRAFT, ISSUED, VOID, CREDIT_NOTE = "draft", "issued", "void", "credit_note"

KIND_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "charge": "Charge",
        "correction": "Correction",
        "reversal": "Reversal",
        "one_time": "One Time",
        "true_up": "True Up",
    }
)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a document, lines apart. `fields` are those of the org that come of the document alone."""

    kind: str
    currency: str
    amount_due_minor: int
    issued_on: date
    corrects: str | None
    is_dropped: bool
    fields: dict[str, str | None]


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of journal has done to an invoice's receivable; `settled_on` is the newest day that lowered it."""

    kind: str
    amount_minor: int
    settled_on: date | None


def head_of(document: Document) -> Head:
    """Return what is kept of a document."""
    invoice = document.invoice
    return Head(
        kind=_kind(document),
        currency=invoice.currency,
        amount_due_minor=invoice.amount_due_minor,
        issued_on=invoice.issue_date,
        corrects=invoice.corrects if document.event_type == CREDIT_NOTE_ISSUED else None,
        is_dropped=document.stage == DRAFTED and not invoice.lines,
        fields={
            field.name: text_of(field, _of_invoice(field.source, invoice, _kind(document)))
            for field in INVOICE_FIELDS
            if field.source.startswith("invoice.") and not _is_key(field, INVOICE)
        },
    )


def invoice_row(invoice_id: str, account: str, head: Head, movements: Sequence[Movement]) -> DesiredRow:
    """Return the document as the org is to show it."""
    if head.is_dropped:
        return DesiredRow(entity=INVOICE, key=invoice_id, account=account, fields=None)
    told = _ledger_values(head, movements)
    ledger = {
        field.name: text_of(field, told[field.source])
        for field in INVOICE_FIELDS
        if field.source in told and not _is_key(field, INVOICE)
    }
    return DesiredRow(
        entity=INVOICE,
        key=invoice_id,
        account=account,
        parent_key=head.corrects,
        fields={**head.fields, **ledger},
    )


def line_rows(document: Document) -> list[DesiredRow]:
    """Return the lines of a document as the org is to show them."""
    invoice = document.invoice
    return [
        DesiredRow(
            entity=INVOICE_LINE,
            key=line.line_id,
            account=document.account,
            parent_key=invoice.invoice_id,
            fields={
                field.name: text_of(field, _of_line(field.source, number, line, invoice))
                for field in INVOICE_LINE_FIELDS
                if not field.is_reference and not _is_key(field, INVOICE_LINE)
            },
        )
        for number, line in enumerate(invoice.lines, start=1)
    ]


def _is_key(field: WrittenField, entity: str) -> bool:
    return field.name == OBJECT_BY_NAME[entity].key_field or (field.is_reference and entity == INVOICE)


def _kind(document: Document) -> str:
    if document.stage == DRAFTED:
        return DRAFT
    if document.event_type == CREDIT_NOTE_ISSUED:
        return CREDIT_NOTE
    return VOID if document.stage == AFTER and document.event_type == INVOICE_VOIDED else ISSUED


def _ledger_values(head: Head, movements: Sequence[Movement]) -> dict[str, Any]:
    """Return status, payment status, what is open and since when nothing is."""
    status, payment, open_minor, paid_on = _stand(head, movements)
    return {
        "ledger.status": status,
        "ledger.payment_status": payment,
        "ledger.open_minor": None if open_minor is None else from_minor(open_minor, head.currency),
        "ledger.paid_on": paid_on,
    }


def _stand(head: Head, movements: Sequence[Movement]) -> tuple[str, str | None, int | None, date | None]:
    if head.kind == DRAFT:
        return "Draft", None, None, None
    if head.kind == CREDIT_NOTE:
        return "Issued", None, None, None
    if head.kind == VOID:
        return "Void", None, 0, None
    moved = {movement.kind: movement.amount_minor for movement in movements}
    open_minor = sum(moved.values()) + (0 if FINALIZED in moved else head.amount_due_minor)
    given_up_minor = -moved.get(WRITTEN_OFF, 0) - moved.get(RECOVERED, 0)
    if open_minor > 0:
        return "Open", "Unpaid" if open_minor == head.amount_due_minor else "Partially Paid", open_minor, None
    if given_up_minor > 0:
        return "Uncollectible", "Written Off", open_minor, None
    settled = [movement.settled_on for movement in movements if movement.settled_on]
    return "Paid", "Paid", open_minor, max(settled, default=head.issued_on)


def _of_invoice(source: str, invoice: Invoice, kind: str) -> object:
    name = source.removeprefix("invoice.")
    special = _SPECIAL_OF_INVOICE.get(name)
    return special(invoice, kind) if special else _plain(invoice, name, invoice.currency)


def _of_line(source: str, number: int, line: InvoiceLine, invoice: Invoice) -> object:
    owner, _, name = source.partition(".")
    if owner == "invoice":
        return _plain(invoice, name, invoice.currency)
    if name == "number":
        return number
    if name == "kind":
        return KIND_LABELS.get(line.kind, line.kind)
    return _plain(line, name, invoice.currency)


def _plain(owner: object, name: str, currency: str) -> object:
    """Return what the dotted `name` of `owner` says; minor units as an amount in the major unit."""
    value: Any = owner
    for part in name.split("."):
        value = getattr(value, part)
    return from_minor(value, currency) if name.endswith("_minor") and value is not None else value


_SPECIAL_OF_INVOICE: Mapping[str, Callable[[Invoice, str], object]] = MappingProxyType(
    {
        "number": lambda invoice, _: invoice.number or f"Draft of {invoice.issue_date.isoformat()}",
        "type": lambda _, kind: "Credit Note" if kind == CREDIT_NOTE else "Invoice",
        "notes": lambda invoice, _: "\n".join(invoice.notes),
    }
)
