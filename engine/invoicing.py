"""Invoices: rated lines of an account and a period become one document whose sums are exact.

Place     final statements and licensed items -> [this] -> invoicing agent -> `billing.invoices`.
Holds     subtotal = sum of the lines + sum of the discounts; total = subtotal + tax; all in minor units,
          nothing is rounded but tax, which is on what the discounts leave of each line.
Ids       derive from account, period start and revision, so a rerun gives the same document.
Order     lines are sorted by product, start of their slice and item, whatever order they came in.
Source    EN 16931, BR-CO-10 to BR-CO-16.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec

from fakturo.engine.periods import Period, Zone, local_date
from fakturo.engine.tax import BY_GROUP, TaxedLine, group_note, net_amounts, notes_of
from fakturo.engine.tax.positions import Positions, TaxPosition, correction_nets, correction_taxes
from fakturo.schemas.events.invoices import (
    Invoice,
    InvoiceDiscount,
    InvoiceLine,
    InvoiceTax,
    LineTax,
    LoyaltyMovement,
    Party,
)
from fakturo.schemas.events.usage import PeriodBounds

NO_POSITIONS: Positions = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledItem:
    """A rated line before it is on an invoice: `period` is its slice, `price_hash` the price version it used.

    `kind`, `corrects`, `account`, `cost_centre` and `phrases` are the line's. `item_period` is the billing period that
    the slice is a part of (None: the slice is all of it), `sequence` counts the lines of one item and slice start.
    Where the price includes tax `amount_minor` is gross until `net_items` makes it net and keeps it in `gross_minor`.
    `taxed` is what has been taxed so far of the slice that a correction corrects.
    """

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
    phrases: tuple[Any, ...] = ()
    kind: str = "charge"
    account: str | None = None
    cost_centre: str | None = None
    corrects: str | None = None
    corrects_invoice: str | None = None
    item_period: Period | None = None
    sequence: int = 1
    gross_minor: int | None = None
    taxed: TaxPosition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDiscount:
    """A discount on the invoice: `amount_minor` below 0, and its part of each of the sorted lines, adding up to it."""

    kind: str
    code: str | None
    description: str
    amount_minor: int
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceHead:
    """All of an invoice but its lines. `revision` is 1 for the first invoice of an account and period.

    `number` is given by the book that finalises it. Issue date is the local date of `issued_at`, by default the
    period's end. `seller_code` and `cost_centre` are None for the seller of the settings and an invoice that is not
    split. `notes` go onto the document behind those of its tax groups.
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
    issued_at: datetime | None = None
    seller_code: str | None = None
    cost_centre: str | None = None
    status: str = "open"
    reissues: str | None = None
    notes: tuple[str, ...] = ()


def invoice_id_of(
    account: str,
    period_start_at: datetime,
    revision: int,
    seller_code: str | None = None,
    cost_centre: str | None = None,
) -> str:
    """Return `inv_` and 26 hexadecimal digits derived from account, period start and revision.

    A seller or a cost centre of its own has revisions of its own, so it goes into the id too.
    """
    parts = [account, period_start_at.isoformat(), str(revision)]
    if seller_code is not None or cost_centre is not None:
        parts += [seller_code or "", cost_centre or ""]
    return "inv_" + _digest(*parts)


def sorted_items(items: Iterable[BilledItem]) -> tuple[BilledItem, ...]:
    """Return the items in the order of the invoice's lines, which the shares of a discount follow."""
    return tuple(sorted(items, key=_order))


def net_items(
    items: Iterable[BilledItem], tax_rounding: str = BY_GROUP, positions: Positions | None = None
) -> tuple[BilledItem, ...]:
    """Return the sorted items with the tax taken out of the amounts that include it; what is net stays as it is.

    Of a correction it is what its gross changes of the tax inside what was billed of the invoice that it corrects, by
    `positions`; with these it is worked out anew. A true-up is net: so is the commitment that it makes up for.
    """
    found = list(sorted_items(items))
    groups: dict[str | None, list[int]] = {}
    for index, item in enumerate(found):
        is_open = item.gross_minor is None or (positions is not None and item.corrects_invoice is not None)
        if item.tax.prices_include_tax and item.kind != "true_up" and is_open:
            groups.setdefault(item.corrects_invoice, []).append(index)
    for corrected, indexes in groups.items():
        gross = [(found[index].tax, _gross(found[index])) for index in indexes]
        if corrected is None:
            nets = net_amounts(gross, tax_rounding)
        else:
            taxed = [found[index].taxed for index in indexes]
            nets = correction_nets(gross, corrected, positions or NO_POSITIONS, tax_rounding, taxed)
        for index, net_minor in zip(indexes, nets, strict=True):
            found[index] = replace(found[index], amount_minor=net_minor, gross_minor=_gross(found[index]))
    return tuple(found)


def _gross(item: BilledItem) -> int:
    return item.amount_minor if item.gross_minor is None else item.gross_minor


def build_invoice(
    head: InvoiceHead,
    items: Iterable[BilledItem],
    *,
    discounts: Sequence[AppliedDiscount] = (),
    tax_rounding: str = "group",
    loyalty: LoyaltyMovement | None = None,
    positions: Positions = NO_POSITIONS,
) -> Invoice:
    """Return the whole invoice; with no items it has no lines and a total of 0.

    Tax is on what the shares of the discounts leave of each line, rounded once a group or, with `tax_rounding` "line",
    once a line. Shares are net; so where prices include tax, make the items net (`net_items`) before the discounts.
    `positions` say what was taxed of the invoices that lines correct. A document that corrects one invoice and charges
    nothing beside (a line of nothing used is no charge) names it in `corrects`.
    """
    ordered = net_items(items, tax_rounding, positions)
    invoice_id = invoice_id_of(head.account, head.period.start_at, head.revision, head.seller_code, head.cost_centre)
    corrected = [item.corrects_invoice for item in ordered]
    taxed = [item.taxed for item in ordered]
    found = correction_taxes(_taxable(ordered, discounts), corrected, positions, tax_rounding, taxed)
    lines = tuple(_line(invoice_id, item, tax) for item, tax in zip(ordered, found.by_line, strict=True))
    taxes = tuple(_noted(tax, head.customer.locale) for tax in found.groups)
    subtotal_minor = sum(line.amount_minor for line in lines) + sum(one.amount_minor for one in discounts)
    tax_total_minor = sum(tax.tax_minor for tax in taxes)
    issued_on = local_date(head.issued_at or head.period.end_at, head.zone)
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
        discounts=tuple(_discount(one) for one in discounts),
        taxes=taxes,
        subtotal_minor=subtotal_minor,
        tax_minor=tax_total_minor,
        total_minor=subtotal_minor + tax_total_minor,
        credits_applied_minor=0,
        amount_due_minor=subtotal_minor + tax_total_minor,
        corrects=_only_one(item.corrects_invoice for item in ordered if item.corrects_invoice or item.amount_minor),
        price_versions=tuple(sorted({line.price_hash for line in lines if line.price_hash})),
        revision=head.revision,
        recorded_at=head.recorded_at,
        status=head.status,
        seller_code=head.seller_code,
        cost_centre=head.cost_centre,
        accounts=tuple(sorted({line.account for line in lines if line.account is not None})),
        loyalty=loyalty,
        reissues=head.reissues,
        notes=notes_of(taxes, head.notes),
    )


def _taxable(items: Sequence[BilledItem], discounts: Sequence[AppliedDiscount]) -> list[TaxedLine]:
    """Return the tax of each line with its amount and what the discounts take of it."""
    return [
        TaxedLine(
            tax=item.tax,
            net_minor=item.amount_minor,
            discount_minor=sum(one.shares[index] for one in discounts) if discounts else 0,
            gross_minor=item.gross_minor,
        )
        for index, item in enumerate(items)
    ]


def _noted(tax: InvoiceTax, locale: str | None) -> InvoiceTax:
    note = group_note(tax, locale)
    return tax if note is None else msgspec.structs.replace(tax, note=note)


def _only_one(names: Iterable[str | None]) -> str | None:
    """Return the name that all are, None where they differ or there is none."""
    found = set(names)
    return found.pop() if len(found) == 1 else None


def _discount(one: AppliedDiscount) -> InvoiceDiscount:
    return InvoiceDiscount(description=one.description, amount_minor=one.amount_minor, kind=one.kind, code=one.code)


def _order(item: BilledItem) -> tuple[str, datetime, str, int]:
    return item.product_code, item.period.start_at, item.subscription_item, item.sequence


def _line(invoice_id: str, item: BilledItem, tax_minor: int) -> InvoiceLine:
    parts = [invoice_id, item.subscription_item, item.period.start_at.isoformat()]
    if item.sequence > 1:
        parts.append(str(item.sequence))
    return InvoiceLine(
        line_id="lin_" + _digest(*parts),
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
        corrects=item.corrects,
        corrects_invoice=item.corrects_invoice,
        kind=item.kind,
        account=item.account,
        cost_centre=item.cost_centre,
        phrases=item.phrases,
        tax_minor=tax_minor,
    )


def _bounds(period: Period) -> PeriodBounds:
    return PeriodBounds(start=period.start_at, end=period.end_at)


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:26]
