"""What is due of a payer becomes the lines of one document: pure, from rows to lines.

Place     due -> [this] -> engine (contracts, rating, corrections) -> finalizing. Metered items come rated, in their
          statement; licensed, flat and one-time ones are rated here. Of each period only what is not billed yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from fakturo.consumers.invoicing.corrections_store import Billed
from fakturo.consumers.invoicing.due import Book
from fakturo.consumers.invoicing.groups import DueGroup, Entry, Payer
from fakturo.consumers.invoicing.line_taxes import line_tax_of, notes_on_tax
from fakturo.engine.contracts import explained, item_slices, request_of
from fakturo.engine.corrections import outstanding
from fakturo.engine.explanations import explain
from fakturo.engine.invoicing import BilledItem, InvoiceHead, net_items
from fakturo.engine.periods import Period, local_date
from fakturo.engine.prices import usage_of
from fakturo.engine.rating import rate_slices
from fakturo.engine.schedule import begun_earlier, is_one_time, version_at
from fakturo.engine.tax import tax_point
from fakturo.schemas.events.contracts import AccountVersion, Seller
from fakturo.schemas.events.invoices import LineTax, Party
from fakturo.schemas.events.usage import UsageRated

ONE_TIME = "one_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A document before its discounts, its tax and its number."""

    group: DueGroup
    payer: Payer
    head: InvoiceHead
    items: tuple[BilledItem, ...]


def bill_of(group: DueGroup, book: Book, settings_seller: Seller) -> Bill | None:
    """Return the bill of `group`, or None where nothing of it is to be billed.

    Customer and terms are as they stand at the instant for which it is made. Its period is that of the items in
    arrears, else of those in advance, else of what it corrects; it says when it was used, not when it is due.

    Raises:
        PriceError: a price that cannot be rated.
    """
    payer = _payer(group, book, settings_seller)
    lines = tuple(line for entry in group.entries for line in _outstanding(entry, book, payer))
    if not lines:
        return None
    period = _period(group)
    taxes = (entry.row.item.tax for entry in group.entries)
    head = head_of(
        group,
        payer,
        period,
        recorded_at=_known_at(group, book),
        notes=notes_on_tax(taxes, payer.seller, payer.version, _taxed_on(period, payer)),
    )
    return Bill(group=group, payer=payer, head=head, items=net_items(lines, payer.seller.tax_rounding))


def head_of(
    group: DueGroup, payer: Payer, period: Period, *, recorded_at: datetime, notes: tuple[str, ...]
) -> InvoiceHead:
    """Return all of a document but its lines, its revision and its number."""
    return InvoiceHead(
        account=payer.account_id,
        customer=_customer(payer.version),
        seller=_seller(payer.seller),
        currency=payer.currency,
        period=period,
        zone=payer.version.timezone,
        terms_days=payer.version.terms_days,
        recorded_at=recorded_at,
        issued_at=group.due_at,
        seller_code=payer.seller.code or None,
        cost_centre=payer.cost_centre,
        reissues=group.key.reissues or None,
        notes=notes,
    )


def needs_approval(payer: Payer) -> bool:
    """Return whether a subscription on the document asks for a person's approval."""
    return any(subscription.approval_required for subscription in payer.subscriptions)


def _payer(group: DueGroup, book: Book, settings_seller: Seller) -> Payer:
    ids = sorted({entry.row.subscription_id for entry in group.entries} & book.subscriptions.keys())
    subscriptions = [book.subscriptions[one] for one in ids]
    sellers = [one.seller for one in subscriptions if one.seller and one.seller.code == group.key.seller_code]
    return Payer(
        account_id=group.key.payer_id,
        version=version_at(book.accounts[group.key.payer_id].versions, group.due_at),
        seller=sellers[0] if sellers else settings_seller,
        currency=group.key.currency,
        due_at=group.due_at,
        cost_centre=group.key.cost_centre or None,
        subscriptions=subscriptions,
        subscription_of={entry.row.key: entry.row.subscription_id for entry in group.entries},
    )


def _period(group: DueGroup) -> Period:
    regular = group.regular or group.entries
    arrears = [entry.period for entry in regular if entry.period.end_at <= group.due_at]
    periods = arrears or [entry.period for entry in regular]
    return Period(start_at=min(period.start_at for period in periods), end_at=max(period.end_at for period in periods))


def _known_at(group: DueGroup, book: Book) -> datetime:
    known = [entry.row.recorded_at for entry in group.entries]
    known += [book.statements[entry.key][1] for entry in group.entries if entry.key in book.statements]
    return max(known)


def _outstanding(entry: Entry, book: Book, payer: Payer) -> Sequence[BilledItem]:
    """Return the lines that bring what was billed of the entry's period to what it should be."""
    if entry.row.removed:
        return []  # taken off its subscription: billed no more, and what was billed stays
    billed = book.billed.get(entry.key, Billed())
    if billed.settled and not entry.is_next and not entry.running:
        return []  # voided for good after its correction was noted; of a period that goes on the rest is owed
    should = _should(entry, book, payer)
    if entry.row.item.meter is not None and entry.key not in book.statements:
        return []  # nothing says what it should be
    if not billed.lines and not billed.taken:
        return should
    return outstanding(
        should,
        billed.lines,
        payer.currency,
        taken=billed.taken,
        credited_minor=billed.credited_minor,
        locale=payer.version.locale,
    )


def _should(entry: Entry, book: Book, payer: Payer) -> list[BilledItem]:
    item, child = entry.row.item, entry.row.account_id
    tax = line_tax_of(item.tax, payer.seller, payer.version, _taxed_on(entry.period, payer))
    found = book.statements.get(entry.key)
    if item.meter is not None:
        lines = _metered(entry, found[0], tax) if found is not None else []
    else:
        lines = _licensed(entry, book, tax, payer)
    return [
        replace(
            line,
            account=child if child != payer.account_id else None,
            cost_centre=item.cost_centre,
            item_period=entry.period,
        )
        for line in lines
    ]


def _metered(entry: Entry, statement: UsageRated, tax: LineTax) -> list[BilledItem]:
    item = entry.row.item
    return [
        BilledItem(
            subscription_item=item.subscription_item,
            product_code=item.product_code,
            description=item.product_name,
            explanation=part.explanation,
            quantity=part.quantity,
            amount_exact=part.amount_exact,
            amount_minor=part.amount_minor,
            period=Period(start_at=part.period.start, end_at=part.period.end),
            tax=tax,
            price_hash=part.price_hash,
            unit=item.unit,
            unit_amount=part.unit_amount,
            phrases=part.phrases,
        )
        for part in statement.slices
    ]


def _licensed(entry: Entry, book: Book, tax: LineTax, payer: Payer) -> list[BilledItem]:
    item, versions = entry.row.item, book.accounts[entry.row.account_id].versions
    period = entry.period
    if not is_one_time(item):
        period = begun_earlier(item, versions, period, book.before.get(entry.key))
    zone = version_at(versions, period.start_at).timezone
    slices = item_slices(item, period, zone, entry.row.currency)
    requests = [request_of(part, period, zone, usage_of(part.terms.quantity), item.unit or "") for part in slices]
    lines = []
    for part, result in zip(slices, rate_slices(requests), strict=True):
        phrases = explained(part, result, result.quantity)
        lines.append(
            BilledItem(
                subscription_item=item.subscription_item,
                product_code=item.product_code,
                description=item.product_name,
                explanation=explain(phrases, payer.version.locale),
                quantity=result.quantity,
                amount_exact=result.exact,
                amount_minor=result.amount_minor,
                period=part.period,
                tax=tax,
                price_hash=part.version.hash,
                unit=item.unit,
                unit_amount=result.unit_amount,
                phrases=phrases,
                kind=ONE_TIME if is_one_time(item) else "charge",
            )
        )
    return lines


def _taxed_on(period: Period, payer: Payer) -> date:
    zone = payer.version.timezone
    return tax_point(local_date(payer.due_at, zone), period, zone)


def _customer(version: AccountVersion) -> Party:
    return Party(
        name=version.name,
        address=version.address,
        country=version.country,
        vat_id=version.vat_id,
        locale=version.locale,
    )


def _seller(seller: Seller) -> Party:
    return Party(name=seller.name, address=seller.address, country=seller.country, vat_id=seller.vat_id)
