"""What is due of an account and a period becomes one invoice: pure, from rows to `Invoice`.

Place     handler.advance -> [this] -> engine (contracts, rating, invoicing). Metered items come rated, in their final
          statement; licensed and flat ones are rated here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fakturo.consumers.invoicing.contracts_store import ItemRow
from fakturo.consumers.invoicing.groups import Payer
from fakturo.consumers.invoicing.line_taxes import line_tax_of, notes_on_tax
from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.invoicing import BilledItem, InvoiceHead, net_items
from fakturo.engine.periods import Period, local_date
from fakturo.engine.prices import usage_of
from fakturo.engine.rating import rate_slices
from fakturo.engine.schedule import version_at
from fakturo.engine.tax import tax_point
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, Seller
from fakturo.schemas.events.invoices import LineTax, Party
from fakturo.schemas.events.usage import UsageRated

Statements = Mapping[tuple[str, datetime], tuple[UsageRated, datetime]]
"""(item, period start) -> final statement and when it was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueGroup:
    """The items of one account that are billed on one invoice: same period, same currency."""

    account_id: str
    currency: str
    period: Period
    items: tuple[ItemRow, ...]

    def missing(self, statements: Statements) -> list[str]:
        """Return the metered items whose final statement has not come."""
        return [
            row.key
            for row in self.items
            if row.item.meter is not None and (row.key, self.period.start_at) not in statements
        ]


def oldest_groups(items: Iterable[ItemRow]) -> list[DueGroup]:
    """Return, for each account and currency, the items that are due for its oldest period."""
    groups: dict[tuple[str, str], dict[Period, list[ItemRow]]] = {}
    for row in items:
        if row.period is not None:
            groups.setdefault((row.account_id, row.currency), {}).setdefault(row.period, []).append(row)
    return [
        DueGroup(
            account_id=account_id, currency=currency, period=(oldest := min(periods)), items=tuple(periods[oldest])
        )
        for (account_id, currency), periods in sorted(groups.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An invoice before its discounts, its tax and its number."""

    payer: Payer
    head: InvoiceHead
    items: tuple[BilledItem, ...]


def bill_of(group: DueGroup, account: AccountChanged, statements: Statements, seller: Seller) -> Bill | None:
    """Return the bill of `group`, or None where no item has a price and a service day in the period.

    The period is that of the zone at its start; customer and terms are as they stand on the day of issue, its end.
    """
    version = version_at(account.versions, group.period.start_at)
    issued = version_at(account.versions, group.period.end_at)
    payer = Payer(
        account_id=group.account_id, version=issued, seller=seller, currency=group.currency, due_at=group.period.end_at
    )
    lines = tuple(line for row in group.items for line in _lines(row, group, version, statements, payer))
    if not lines:
        return None
    known = [row.recorded_at for row in group.items]
    known += [statements[key][1] for row in group.items if (key := (row.key, group.period.start_at)) in statements]
    head = InvoiceHead(
        account=group.account_id,
        customer=_customer(issued),
        seller=_issuer(seller),
        currency=group.currency,
        period=group.period,
        zone=version.timezone,
        terms_days=issued.terms_days,
        recorded_at=max(known),
        notes=notes_on_tax((row.item.tax for row in group.items), seller, issued, _taxed_on(group, payer)),
    )
    return Bill(payer=payer, head=head, items=net_items(lines, seller.tax_rounding))


def _lines(
    row: ItemRow, group: DueGroup, version: AccountVersion, statements: Statements, payer: Payer
) -> Sequence[BilledItem]:
    tax = line_tax_of(row.item.tax, payer.seller, payer.version, _taxed_on(group, payer))
    found = statements.get((row.key, group.period.start_at))
    if row.item.meter is not None and found is not None:
        return _metered(row, found[0], tax)
    return _licensed(row, group, version, tax)


def _metered(row: ItemRow, statement: UsageRated, tax: LineTax) -> list[BilledItem]:
    return [
        BilledItem(
            subscription_item=row.key,
            product_code=row.item.product_code,
            description=row.item.product_name,
            explanation=part.explanation,
            quantity=part.quantity,
            amount_exact=part.amount_exact,
            amount_minor=part.amount_minor,
            period=Period(start_at=part.period.start, end_at=part.period.end),
            tax=tax,
            price_hash=part.price_hash,
            unit=row.item.unit,
            unit_amount=part.unit_amount,
            phrases=part.phrases,
        )
        for part in statement.slices
    ]


def _licensed(row: ItemRow, group: DueGroup, version: AccountVersion, tax: LineTax) -> list[BilledItem]:
    slices = item_slices(row.item, group.period, version.timezone, group.currency)
    requests = [
        request_of(part, group.period, version.timezone, usage_of(part.terms.quantity), row.item.unit or "")
        for part in slices
    ]
    return [
        BilledItem(
            subscription_item=row.key,
            product_code=row.item.product_code,
            description=row.item.product_name,
            explanation=result.explanation,
            quantity=result.quantity,
            amount_exact=result.exact,
            amount_minor=result.amount_minor,
            period=part.period,
            tax=tax,
            price_hash=part.version.hash,
            unit=row.item.unit,
            unit_amount=result.unit_amount,
        )
        for part, result in zip(slices, rate_slices(requests), strict=True)
    ]


def _taxed_on(group: DueGroup, payer: Payer) -> date:
    return tax_point(local_date(payer.due_at, payer.version.timezone), group.period, payer.version.timezone)


def _issuer(seller: Seller) -> Party:
    return Party(name=seller.name, country=seller.country, vat_id=seller.vat_id, address=seller.address)


def _customer(version: AccountVersion) -> Party:
    return Party(
        name=version.name,
        country=version.country,
        vat_id=version.vat_id,
        locale=version.locale,
        address=version.address,
    )
