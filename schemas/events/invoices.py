"""Invoices and credit notes: what accounting consumes from `billing.invoices`."""

from datetime import date
from decimal import Decimal

import msgspec

from fakturo.schemas.envelope import Instant
from fakturo.schemas.events.usage import PeriodBounds

INVOICE_DRAFTED = "fakturo.invoice.drafted.v1"
INVOICE_FINALIZED = "fakturo.invoice.finalized.v1"
INVOICE_PAID = "fakturo.invoice.paid.v1"
INVOICE_VOIDED = "fakturo.invoice.voided.v1"
INVOICE_UNCOLLECTIBLE = "fakturo.invoice.uncollectible.v1"
CREDIT_NOTE_ISSUED = "fakturo.credit_note.issued.v1"


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A customer or a seller as it stands on the document."""

    name: str
    address: str | None = None
    country: str | None = None
    vat_id: str | None = None
    locale: str | None = None


class LineTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax category and rate of a line."""

    category: str
    rate_percent: Decimal


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `amount_exact` as rated, `amount_minor` rounded once; negative on a credit."""

    line_id: str
    subscription_item: str
    product_code: str
    description: str
    explanation: str
    quantity: Decimal
    amount_exact: Decimal
    amount_minor: int
    period: PeriodBounds
    tax: LineTax
    unit: str | None = None
    unit_amount: Decimal | None = None
    price_hash: str | None = None
    corrects: str | None = None


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of one category and rate, rounded once on the sum of its lines."""

    category: str
    rate_percent: Decimal
    taxable_minor: int
    tax_minor: int


class InvoiceDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """A discount on the invoice as a whole (coupons and credits; a line's own discount is in its amount)."""

    description: str
    amount_minor: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A whole invoice or credit note. total = subtotal + tax; amount due = total - credits applied."""

    invoice_id: str
    number: str | None
    account: str
    customer: Party
    seller: Party
    currency: str
    period: PeriodBounds
    issue_date: date
    due_date: date
    payment_terms: str
    lines: tuple[InvoiceLine, ...]
    discounts: tuple[InvoiceDiscount, ...]
    taxes: tuple[InvoiceTax, ...]
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    credits_applied_minor: int
    amount_due_minor: int
    corrects: str | None
    price_versions: tuple[str, ...]
    revision: int = 1
    recorded_at: Instant | None = None


TYPES: dict[str, type[msgspec.Struct]] = dict.fromkeys(
    (INVOICE_DRAFTED, INVOICE_FINALIZED, INVOICE_PAID, INVOICE_VOIDED, INVOICE_UNCOLLECTIBLE, CREDIT_NOTE_ISSUED),
    Invoice,
)
