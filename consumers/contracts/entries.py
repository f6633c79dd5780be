"""Products unknown to the catalog, billed from the org's own price list: price book entry and selling model. Pure.

Place     items -> [this] -> a `Product` as the catalog would offer it, for this item.
Price     licensed `per_unit`: the entry's unit price, in versions, each from the local day of its commit on; the item's
          own unit price overrides it as it does a catalog's. The entry must be in the order's currency.
Period    a selling model of OneTime is charged once; else its pricing term (3 Months, 1 Annual) is the billing period,
          and where a TermDefined item names no last day, nor its order, it ends after one term. Periods longer than a
          month are counted from the item's first day.
Gone      an entry that was deactivated or deleted later still bills what was sold by it.
Acts      a sentence says what an administrator has to do where one of them is missing or does not fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from hashlib import sha256

import msgspec

from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile import Fields, ItemFields, ProductFields
from fakturo.consumers.contracts.values import DayOf, Unclear, decimal_of, flag, text_of, whole_of
from fakturo.engine.catalog import CALENDAR, SERVICE_START, Product, content_hash
from fakturo.engine.catalog.products import MONTHS_MAX
from fakturo.engine.periods import add_months
from fakturo.engine.schedule import ARREARS
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import PriceVersion

ONE_TIME, TERM_DEFINED, EVERGREEN = "onetime", "termdefined", "evergreen"
MODELS = {ONE_TIME: "OneTime", TERM_DEFINED: "TermDefined", EVERGREEN: "Evergreen"}
AMOUNT_MAX = 10**12
_LICENSED = {"model": "per_unit", "licensed": True, "proration": "day"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An item of a product that the catalog does not know: in which currency, from when, under which code."""

    item: RecordHistory
    product: RecordHistory
    code: str
    currency: str
    start_on: date
    day_of: DayOf


def product_of(sale: Sale, fields: ItemFields, products: ProductFields, offers: Offers) -> Product:
    """Return the product as the org's price list sells it.

    Raises:
        Unclear: what is missing, and what to do about it.
    """
    _check_entry(sale, fields)
    months = billing_months_of(sale.item, fields)
    if months is None:
        text = f"has the product {sale.code}, of which neither catalog nor price list says how often it is billed"
        raise Unclear(f"{text}: {_how_often(fields)}")
    tax = offers.tax
    category = text_of(sale.product.value(products.tax_category))
    if category and tax.by_country:
        tax = msgspec.structs.replace(tax, category=category)
    product = Product(
        code=sale.code,
        name=str(sale.product.value(products.name) or sale.code),
        billing=ARREARS,
        prices=_prices(sale, fields),
        tax=tax,
        hash="",
        unit=text_of(sale.product.value(products.unit)),
        billing_months=months,
        anchor=CALENDAR if months <= 1 else SERVICE_START,
    )
    return replace(product, hash=sha256(encode(product)).hexdigest())


def _how_often(fields: ItemFields) -> str:
    ways = ["give its price book entry a product selling model"] if fields.entry_model else []
    ways += [f"fill {fields.billing_months[0]}"] if fields.billing_months else []
    return ", or ".join([*ways, "add it to the catalog"])


def term_end_on(item: RecordHistory, fields: ItemFields, start_on: date) -> date | None:
    """Return the end of an item that is sold for one term and says nothing else, None where it is not.

    Raises:
        Unclear: the term is no number of months.
    """
    months = _model_months(item, fields) if _model(item, fields) == TERM_DEFINED else None
    return add_months(start_on, months) if months else None


def billing_months_of(item: RecordHistory, fields: ItemFields) -> int | None:
    """Return the months of a billing period, 0 for once: the item's own, else its selling model's; None without any.

    Raises:
        Unclear: they are no whole number of months.
    """
    latest = {name: item.value((name,)) for name in fields.billing_months}
    own = whole_of(latest, fields.billing_months, 0, MONTHS_MAX)
    return _model_months(item, fields) if own is None else own


def _newest(item: RecordHistory, fields: Fields) -> object:
    """Return the newest value that was filled: an entry that is gone by now still says what was sold by it."""
    found = (first_filled(moment.values, fields) for moment in reversed(item.timeline(fields)))
    return next((value for value in found if value is not None), None)


def _model(item: RecordHistory, fields: ItemFields) -> str | None:
    value = text_of(_newest(item, fields.entry_model))
    if value is None:
        return None
    model = value.replace(" ", "").replace("_", "").replace("-", "").lower()
    if model not in MODELS:
        raise Unclear(f"is sold as {value!r}; the selling model must be one of {', '.join(MODELS.values())}")
    return model


def _model_months(item: RecordHistory, fields: ItemFields) -> int | None:
    model = _model(item, fields)
    if model is None:
        return None
    if model == ONE_TIME:
        return 0
    term = decimal_of(_newest(item, fields.entry_term))
    try:
        unit = decimal_of(_newest(item, fields.entry_term_unit))
    except Unclear:
        named = _newest(item, fields.entry_term_unit)
        text = f"has a selling model whose pricing term is in {named!r}, which the profile's values do not know"
        raise Unclear(f"{text}: Months, Quarterly, Semi-Annual or Annual") from None
    months = (Decimal(1) if term is None else term) * (Decimal(1) if unit is None else unit)
    if months != months.to_integral_value() or not 1 <= months <= MONTHS_MAX:
        raise Unclear(
            f"has a selling model with a term of {months:f} months; it must be 1 to {MONTHS_MAX} whole months"
        )
    return int(months)


def _check_entry(sale: Sale, fields: ItemFields) -> None:
    """Refuse a sale whose price is missing or not for it."""
    unknown = f"has the product {sale.code}, which the catalog does not know"
    entry = text_of(sale.item.value(fields.entry)) or ""
    if not fields.entry_price:
        raise Unclear(f"{unknown}; add it to the catalog")
    if fields.entry and not entry:
        raise Unclear(f"{unknown}, and no price book entry: fill {fields.entry[0]}, or add the product to the catalog")
    if _newest(sale.item, fields.entry_price) is None:
        waits = f"its price book entry {entry} has not arrived or has no price" if entry else "it has no list price"
        raise Unclear(f"{unknown}, and {waits}; correct that, or add the product to the catalog")
    told = [first_filled(moment.values, fields.entry_active) for moment in sale.item.timeline(fields.entry_active)]
    if told and not any(value is None or flag(value) for value in told):
        raise Unclear(f"{unknown}, and its price book entry {entry} was never active: activate it in Salesforce")
    currency = text_of(_newest(sale.item, fields.entry_currency))
    if currency is not None and currency != sale.currency:
        text = f"{unknown}, and its price book entry {entry} is in {currency}, while it is billed in {sale.currency}"
        raise Unclear(f"{text}: give it an entry in {sale.currency}, or add the product to the catalog")


def _prices(sale: Sale, fields: ItemFields) -> tuple[PriceVersion, ...]:
    """Return the versions of the price, ascending: the one that holds at the start, and all later ones."""
    versions: dict[date, PriceVersion] = {}
    for moment in sale.item.timeline(fields.entry_price):
        amount = _amount(moment.values, fields)
        if amount is None:
            continue
        on = max(sale.day_of(moment.effective_at), sale.start_on) if versions else sale.start_on
        price = {**_LICENSED, "unit_amount": f"{amount:f}", "currency": sale.currency}
        versions[on] = PriceVersion(effective_from=on, price=price, hash=content_hash(price))
    found: list[PriceVersion] = []
    for version in versions.values():
        if not found or found[-1].hash != version.hash:
            found.append(version)
    return tuple(found)


def _amount(values: Mapping[str, object], fields: ItemFields) -> Decimal | None:
    amount = decimal_of(first_filled(dict(values), fields.entry_price))
    if amount is not None and not 0 <= amount <= AMOUNT_MAX:
        raise Unclear(f"has the list price {amount:f}; it must not be negative, nor above {AMOUNT_MAX}")
    return amount.normalize() if amount else amount
