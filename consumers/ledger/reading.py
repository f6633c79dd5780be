"""From records to what the ledger books: decoded, checked, with the digest that identity is judged by.

Place     handler -> [this] -> store and book. No I/O.
Digest    of an invoice the bytes of its data (they are ours); of a payment its fields in canonical form, so that
          another spacing or order of the same payment is still the same payment.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from fakturo.consumers.ledger.rows import Identity, InvoiceRow, PaymentRow
from fakturo.consumers.runtime.records import Record
from fakturo.engine.money import EXPONENTS
from fakturo.schemas.codec import decode_data, decode_envelope, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events import credit, invoices, payments
from fakturo.schemas.events.credit import CreditMovement, PointsExpired
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.payments import Payment

PAYMENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        payments.PAYMENT_RECEIVED: "received",
        payments.PAYMENT_FAILED: "failed",
        payments.PAYMENT_REFUNDED: "refunded",
        payments.PAYMENT_CHARGED_BACK: "charged_back",
    }
)
CREDIT_TYPES = frozenset({credit.CREDIT_GRANTED, credit.CREDIT_EXPIRED, credit.POINTS_EXPIRED})
NOTHING_TO_BOOK = frozenset({invoices.INVOICE_DRAFTED, invoices.INVOICE_PAID, credit.CREDIT_LOW})
"""A draft owes nothing yet, `paid` says what the ledger itself found, and a low balance moves no money."""

DOCUMENT_TYPES = frozenset({invoices.CREDIT_NOTE_ISSUED, invoices.INVOICE_VOIDED, invoices.INVOICE_UNCOLLECTIBLE})

AMOUNT_MINOR_MAX = 10**15
"""The largest amount of one event; sums of thousands of these still fit a bigint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceEntry:
    """A finalized invoice to book."""

    record: Record
    event: Event[Any]
    identity: Identity
    invoice: Invoice
    recorded_at: datetime

    @property
    def row(self) -> InvoiceRow:
        """Return the row that keeps it; all that is due is open."""
        invoice = self.invoice
        return InvoiceRow(
            invoice_id=invoice.invoice_id,
            number=invoice.number,
            account=invoice.account,
            currency=invoice.currency,
            issued_on=invoice.issue_date,
            due_on=invoice.due_date,
            total_minor=invoice.total_minor,
            open_minor=invoice.amount_due_minor,
            digest=self.identity.digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """A credit note, or an invoice as it stands when it was voided or written off."""

    record: Record
    event: Event[Any]
    identity: Identity
    document: Invoice
    recorded_at: datetime

    @property
    def invoice_id(self) -> str | None:
        """Return the invoice that it is about; None for a credit note that corrects several."""
        return self.document.corrects if self.event.type == invoices.CREDIT_NOTE_ISSUED else self.document.invoice_id

    @property
    def effective_on(self) -> date:
        """Return the day it takes effect: a note's issue date; else the UTC date it was done, never before issue."""
        if self.event.type == invoices.CREDIT_NOTE_ISSUED:
            return self.document.issue_date
        return max(self.document.issue_date, self.event.time.astimezone(UTC).date())


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEntry:
    """A payment event to book."""

    record: Record
    event: Event[Any]
    identity: Identity
    payment: Payment
    row: PaymentRow

    @property
    def key(self) -> tuple[str, str]:
        """Return what identifies the payment: its id and type."""
        return self.row.payment_id, self.row.type

    @property
    def gives_back(self) -> bool:
        """Return whether it gives a received payment back."""
        return self.row.type in {"refunded", "charged_back"}

    @property
    def invoice_names(self) -> tuple[str, ...]:
        """Return the names of the invoice that it pays: id, then number; none means the oldest due."""
        return tuple(name for name in (self.payment.invoice_id, self.payment.invoice_number) if name)

    @property
    def effective_on(self) -> date:
        """Return the UTC date of the payment: the account's zone is not known here."""
        return self.payment.received_at.astimezone(UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditEntry:
    """A movement of credit or points between invoices."""

    record: Record
    event: Event[Any]
    identity: Identity
    movement: CreditMovement | PointsExpired
    recorded_at: datetime


def read(record: Record) -> InvoiceEntry | DocumentEntry | PaymentEntry | CreditEntry | None:
    """Return what `record` asks to book, None where its type books nothing.

    Raises:
        SchemaError: no event, not of its type's shape, or an amount that can't be booked.
    """
    envelope = decode_envelope(record.value, record.headers)
    if envelope.type in NOTHING_TO_BOOK:
        return None
    if envelope.type == invoices.INVOICE_FINALIZED:
        return _invoice_entry(record, envelope, decode_data(envelope))
    if envelope.type in DOCUMENT_TYPES:
        return _document_entry(record, envelope, decode_data(envelope))
    if envelope.type in PAYMENT_TYPES:
        return _payment_entry(record, envelope, decode_data(envelope))
    if envelope.type in CREDIT_TYPES:
        return _credit_entry(record, envelope, decode_data(envelope))
    raise SchemaError(Reason.UNKNOWN_TYPE, f"the ledger has no posting rule for {envelope.type!r}", "$.type")


def _invoice_entry(record: Record, envelope: Event[msgspec.Raw], invoice: Invoice) -> InvoiceEntry:
    minor_digits(invoice.currency, "$.data.currency")
    _check_sums(invoice, 1)
    digest = hashlib.sha256(bytes(envelope.data)).digest()
    return InvoiceEntry(
        record=record,
        event=envelope,
        identity=Identity(source=envelope.source, id=envelope.id, digest=digest),
        invoice=invoice,
        recorded_at=envelope.recordedat or invoice.recorded_at or record.recorded_at,
    )


def _document_entry(record: Record, envelope: Event[msgspec.Raw], document: Invoice) -> DocumentEntry:
    minor_digits(document.currency, "$.data.currency")
    _check_sums(document, -1 if envelope.type == invoices.CREDIT_NOTE_ISSUED else 1)
    digest = hashlib.sha256(bytes(envelope.data)).digest()
    return DocumentEntry(
        record=record,
        event=envelope,
        identity=Identity(source=envelope.source, id=envelope.id, digest=digest),
        document=document,
        recorded_at=envelope.recordedat or document.recorded_at or record.recorded_at,
    )


def _check_sums(invoice: Invoice, sign: int) -> None:
    """Refuse a document whose sums do not agree; `sign` is -1 for a credit note, whose amounts are negative."""
    amounts = (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor, invoice.amount_due_minor)
    signed = [sign * amount for amount in amounts]
    if min(signed) < 0 or max(signed) > AMOUNT_MINOR_MAX or invoice.credits_applied_minor < 0:
        raise SchemaError(Reason.INVALID_AMOUNT, f"amounts out of range: {amounts}", "$.data.total_minor")
    if invoice.subtotal_minor + invoice.tax_minor != invoice.total_minor:
        raise SchemaError(Reason.INVALID_AMOUNT, "the total is not subtotal plus tax", "$.data.total_minor")
    if invoice.total_minor - invoice.credits_applied_minor != invoice.amount_due_minor:
        raise SchemaError(
            Reason.INVALID_AMOUNT, "the amount due is not total less credits applied", "$.data.amount_due_minor"
        )


def _credit_entry(
    record: Record, envelope: Event[msgspec.Raw], movement: CreditMovement | PointsExpired
) -> CreditEntry:
    minor_digits(movement.currency, "$.data.currency")
    amount = movement.released_minor if isinstance(movement, PointsExpired) else movement.amount_minor
    if not 0 <= amount <= AMOUNT_MINOR_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{amount} is out of range", "$.data")
    digest = hashlib.sha256(bytes(envelope.data)).digest()
    return CreditEntry(
        record=record,
        event=envelope,
        identity=Identity(source=envelope.source, id=envelope.id, digest=digest),
        movement=movement,
        recorded_at=envelope.recordedat or movement.recorded_at or record.recorded_at,
    )


def _payment_entry(record: Record, envelope: Event[msgspec.Raw], payment: Payment) -> PaymentEntry:
    amount_minor = to_minor_checked(payment.amount, payment.currency, "$.data.amount")
    fee_minor = to_minor_checked(payment.fee or "0", payment.currency, "$.data.fee")
    if amount_minor <= 0:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{payment.amount} is not above 0", "$.data.amount")
    if not 0 <= fee_minor <= AMOUNT_MINOR_MAX or amount_minor > AMOUNT_MINOR_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, "amount or fee out of range", "$.data.fee")
    digest = hashlib.sha256(encode([envelope.type, payment])).digest()
    row = PaymentRow(
        payment_id=payment.payment_id,
        type=PAYMENT_TYPES[envelope.type],
        account=payment.account,
        currency=payment.currency,
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        method=payment.method,
        received_at=payment.received_at,
        recorded_at=record.recorded_at,
        digest=digest,
    )
    identity = Identity(source=envelope.source, id=envelope.id, digest=digest)
    return PaymentEntry(record=record, event=envelope, identity=identity, payment=payment, row=row)


def to_minor_checked(text: str, currency: str, path: str) -> int:
    """Return an amount of the major unit in minor units, exactly.

    Raises:
        SchemaError: the currency is unknown, or the amount has more decimals than it.
    """
    minor = Decimal(text).scaleb(minor_digits(currency, "$.data.currency"))
    if minor != minor.to_integral_value():
        raise SchemaError(Reason.INVALID_AMOUNT, f"{text} has more decimals than {currency}", path)
    return int(minor)


def minor_digits(currency: str, path: str) -> int:
    """Return how many decimals `currency` has.

    Raises:
        SchemaError: no such currency.
    """
    digits = EXPONENTS.get(currency)
    if digits is None:
        raise SchemaError(Reason.UNKNOWN_CURRENCY, f"{currency!r} is no currency of ISO 4217", path)
    return digits
