"""Invoices and credit notes: what accounting consumes from `billing.invoices`."""

from datetime import date
from decimal import Decimal
from typing import Any

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
    """The tax category and rate of a line. `country` is whose tax it is, where that was looked up."""

    category: str
    rate_percent: Decimal
    country: str | None = None
    prices_include_tax: bool = False


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `amount_exact` as rated, `amount_minor` rounded once; negative on a credit.

    Amounts are net, also where prices include tax. `kind` is `charge`, `correction` (of the line that `corrects` names,
    on the invoice `corrects_invoice`), `reversal` (takes that line back), `one_time` or `true_up`. `account` is the
    customer that used it, where a parent account pays. `tax_minor` is the line's share of its tax group, by largest
    remainder. `phrases` is the explanation as data, from which engine/explanations makes the sentence in any language
    it knows.
    """

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
    kind: str = "charge"
    account: str | None = None
    cost_centre: str | None = None
    tax_minor: int | None = None
    phrases: tuple[Any, ...] = ()
    corrects_invoice: str | None = None


class InvoiceTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of one category and rate, rounded once on the sum of its lines."""

    category: str
    rate_percent: Decimal
    taxable_minor: int
    tax_minor: int
    country: str | None = None
    note: str | None = None


class InvoiceDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """A discount on the invoice as a whole, net and negative (a line's own discount is in its amount).

    Above 0 it is given back: on a credit note, or by a spend cap where a correction lowered a period that was over it.
    `description` is in the customer's language, a coupon's as it was given. `kind` is `spend_cap`, `coupon`,
    `promotional_credit` or `loyalty`; `code` names the coupon, grant or programme.
    """

    description: str
    amount_minor: int
    kind: str = "coupon"
    code: str | None = None


class CreditApplied(msgspec.Struct, frozen=True, kw_only=True):
    """Prepaid credit that pays a part of the total: `amount_minor` above 0 of the grant `grant_id`."""

    grant_id: str
    amount_minor: int


class LoyaltyMovement(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice does to a customer's points, and what of its revenue waits for their redemption.

    `deferred_minor` is the part of the subtotal that belongs to the points earned, `released_minor` what earlier
    invoices had deferred for the points redeemed.
    """

    programme: str
    points_earned: int = 0
    points_redeemed: int = 0
    deferred_minor: int = 0
    released_minor: int = 0


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A whole invoice or credit note.

    subtotal = sum of the lines + sum of the discounts; total = subtotal + tax; amount due = total - credits applied.
    A credit note has the same form and its amounts are negative; `corrects` names the invoice; it applies no credit.
    `seller_code` names the seller, `accounts` the children that a parent pays for, `notes` what tax law wants said.
    `reissues` names the void invoice that this one stands for; `reason` says why a credit note or void came about.
    """

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
    status: str = "open"
    seller_code: str | None = None
    cost_centre: str | None = None
    accounts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    credits: tuple[CreditApplied, ...] = ()
    loyalty: LoyaltyMovement | None = None
    reissues: str | None = None
    reason: str | None = None


TYPES: dict[str, type[msgspec.Struct]] = dict.fromkeys(
    (INVOICE_DRAFTED, INVOICE_FINALIZED, INVOICE_PAID, INVOICE_VOIDED, INVOICE_UNCOLLECTIBLE, CREDIT_NOTE_ISSUED),
    Invoice,
)
