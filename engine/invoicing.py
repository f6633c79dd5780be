"""Invoices: rated lines of an account and a period become one document whose sums are exact.

Place     final statements and licensed items -> [this] -> invoicing agent -> `billing.invoices`.
Holds     subtotal = sum of the lines; total = subtotal + tax; all in integer minor units, nothing is rounded but tax.
Ids       derive from account, period start and revision, so a rerun gives the same document.
Order     lines are sorted by product, start of their slice and item, whatever order they came in.
Source    EN 16931, BR-CO-10 to BR-CO-16.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

from fakturo.engine.periods import Period, Zone, local_date
from fakturo.engine.tax import taxes_of
from fakturo.schemas.events.invoices import Invoice, InvoiceLine, LineTax, Party
from fakturo.schemas.events.usage import PeriodBounds


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledItem:
    """A rated line before it is on an invoice: `period` is its slice, `price_hash` the price version it used."""

    subscription_item: str
    product_code: str
    description: str
    explanation: str
    quantity: Decimal
    amount_exact: Decimal
    amount_minor: int
    period: Period
    tax: LineTax
    price_hash: str
    unit: str | None = None
    unit_amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceHead:
    """All of an invoice but its lines. `revision` is 1 for the first invoice of an account and period.

    `number` is given by the book that finalises it. Issue date is the local date of the period's end.
    """

    account: str
    customer: Party
    seller: Party
    currency: str
    period: Period
    zone: Zone
    terms_days: int
    number: str | None = None
    revision: int = 1
    recorded_at: datetime | None = None


def invoice_id_of(account: str, period_start_at: datetime, revision: int) -> str:
    """Return `inv_` and 26 hexadecimal digits derived from account, period start and revision."""
    return "inv_" + _digest(account, period_start_at.isoformat(), str(revision))


def issue_date_of(period: Period, zone: Zone) -> date:
    """Return the local date of the period's end: the first day after it."""
    return local_date(period.end_at, zone)


def build_invoice(head: InvoiceHead, items: Iterable[BilledItem]) -> Invoice:
    """Return the whole invoice; with no items it has no lines and a total of 0."""
    invoice_id = invoice_id_of(head.account, head.period.start_at, head.revision)
    lines = tuple(_line(invoice_id, item) for item in sorted(items, key=_order))
    taxes = taxes_of((line.tax, line.amount_minor) for line in lines)
    subtotal_minor = sum(line.amount_minor for line in lines)
    tax_total_minor = sum(tax.tax_minor for tax in taxes)
    issued_on = issue_date_of(head.period, head.zone)
    return Invoice(
        invoice_id=invoice_id,
        number=head.number,
        account=head.account,
        customer=head.customer,
        seller=head.seller,
        currency=head.currency,
        period=_bounds(head.period),
        issue_date=issued_on,
        due_date=issued_on + timedelta(days=head.terms_days),
        payment_terms=f"{head.terms_days} days net",
        lines=lines,
        discounts=(),
        taxes=taxes,
        subtotal_minor=subtotal_minor,
        tax_minor=tax_total_minor,
        total_minor=subtotal_minor + tax_total_minor,
        credits_applied_minor=0,
        amount_due_minor=subtotal_minor + tax_total_minor,
        corrects=None,
        price_versions=tuple(sorted({line.price_hash for line in lines if line.price_hash})),
        revision=head.revision,
        recorded_at=head.recorded_at,
    )


def _order(item: BilledItem) -> tuple[str, datetime, str]:
    return item.product_code, item.period.start_at, item.subscription_item


def _line(invoice_id: str, item: BilledItem) -> InvoiceLine:
    return InvoiceLine(
        line_id="lin_" + _digest(invoice_id, item.subscription_item, item.period.start_at.isoformat()),
        subscription_item=item.subscription_item,
        product_code=item.product_code,
        description=item.description,
        explanation=item.explanation,
        quantity=item.quantity,
        unit=item.unit,
        unit_amount=item.unit_amount,
        amount_exact=item.amount_exact,
        amount_minor=item.amount_minor,
        period=_bounds(item.period),
        tax=item.tax,
        price_hash=item.price_hash,
    )


def _bounds(period: Period) -> PeriodBounds:
    return PeriodBounds(start=period.start_at, end=period.end_at)


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:26]
