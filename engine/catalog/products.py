"""The products of a catalog: what is sold, what it costs and how it is billed unless an order item says otherwise.

Place     catalog -> [this] -> `Product` by code -> contracts agent, which gives each item what holds for it.
Form      `name`, `unit`, `meter`, `prices`, `tax_category`, `billing: arrears | advance`, `billing_period: {months: n}`
          or `once`, `anchor: calendar | service_start | subscription_start | YYYY-MM-DD`, `trial_days`,
          `price_change: immediate | next_period`, `allowance: {months: n}`,
          `alerts: [{quantity: n}, {amount: n, currency: EUR}]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256

import msgspec

from fakturo.engine.catalog.alerts import read_alerts
from fakturo.engine.catalog.fields import date_of, optional_whole, whole
from fakturo.engine.catalog.versions import read_versions
from fakturo.engine.errors import PriceError
from fakturo.engine.prices.reading import Reader
from fakturo.engine.schedule import ADVANCE, ARREARS, IMMEDIATE, NEXT_PERIOD
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AlertThreshold, ItemTax, MeterDefinition, PriceVersion

CALENDAR, SERVICE_START, SUBSCRIPTION_START = "calendar", "service_start", "subscription_start"
"""What billing periods are counted from, beside a date: the calendar, the item's first day, the order's first day."""

ONCE = "once"
MONTHS_MAX = 120
YEAR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is sold. `prices` are ascending by `effective_from`; `meter` is None where the contract gives the quantity.

    `unit` names one unit in the plural, as the invoice says it; by default the meter's code. `other_prices` are the
    versions in currencies other than the catalog's. `billing_months` is 0 for a one-time charge; `anchor` is
    `calendar`, `service_start`, `subscription_start` or a date. `alerts` are of all currencies: those of the contract's
    count.
    """

    code: str
    name: str
    billing: str
    prices: tuple[PriceVersion, ...]
    tax: ItemTax
    hash: str
    meter: MeterDefinition | None = None
    unit: str | None = None
    other_prices: Mapping[str, tuple[PriceVersion, ...]] = field(default_factory=dict)
    billing_months: int = 1
    anchor: str | date = CALENDAR
    trial_days: int = 0
    price_change: str = IMMEDIATE
    allowance_months: int | None = None
    alerts: tuple[AlertThreshold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a product's document refers to."""

    currency: str
    meters: Mapping[str, MeterDefinition]
    tax: ItemTax
    faults: list[PriceError]


def read_products(reader: Reader, context: Context) -> dict[str, Product]:
    """Return the products by code; there must be one."""
    rows = reader.reader("products")
    if not rows.names():
        reader.fault("field_missing", "products", "is missing")
    return {code: _product(code, rows.reader(code), context) for code in rows.names()}


def _product(code: str, row: Reader, context: Context) -> Product:
    name, unit, meter = row.text("name"), row.text("unit", default=""), _meter(row, context)
    versions = read_versions(row, meter, metered=row.has("meter"), currency=context.currency, faults=context.faults)
    currencies = tuple(versions)
    product = Product(
        code=code,
        name=name,
        billing=row.choice("billing", (ARREARS, ADVANCE), default=ARREARS),
        prices=versions.pop(context.currency),
        tax=_tax(row, context.tax),
        hash="",
        meter=meter,
        unit=unit or (meter.code if meter else None),
        other_prices=versions,
        billing_months=_billing_months(row),
        anchor=_anchor(row),
        trial_days=whole(row, "trial_days", low=0, high=3650, default=0),
        price_change=row.choice("price_change", (IMMEDIATE, NEXT_PERIOD), default=IMMEDIATE),
        allowance_months=_allowance_months(row),
        alerts=read_alerts(row, context.currency, currencies, metered=row.has("meter")),
    )
    for fault in billing_faults(product, metered=row.has("meter")):
        row.fault(*fault)
    row.finish("a product")
    return replace(product, hash=sha256(encode(product)).hexdigest())


def billing_faults(product: Product, *, metered: bool) -> list[tuple[str, str, str]]:
    """Return (code, field, message) for all that does not go together in how `product` is billed."""
    months, faults = product.billing_months, []
    if product.billing == ADVANCE and metered:
        faults.append(("billing_advance_metered", "billing", "advance cannot be: what a meter counts is not known yet"))
    if months and product.anchor == CALENDAR and YEAR % months:
        faults.append(("billing_anchor", "anchor", f"calendar has no periods of {months} months; name another anchor"))
    if not months and (metered or product.trial_days or product.allowance_months):
        faults.append(("billing_once", "billing_period", "once has no meter, no trial_days and no allowance"))
    if product.allowance_months is not None and months:
        if not metered:
            faults.append(("allowance_meter", "allowance", "needs a meter"))
        if product.allowance_months % months or product.allowance_months == months:
            text = f"of {product.allowance_months} months is not several billing periods of {months} months"
            faults.append(("allowance_months", "allowance", text))
    return faults


def _meter(row: Reader, context: Context) -> MeterDefinition | None:
    if not row.has("meter"):
        return None
    code = row.text("meter")
    meter = context.meters.get(code)
    if meter is None and code:
        row.fault("meter_unknown", "meter", f"{code!r} is not a meter of this catalog")
    return meter


def _tax(row: Reader, tax: ItemTax) -> ItemTax:
    """Return the catalog's tax with the product's own category, which only means something by country."""
    if not row.has("tax_category"):
        return tax
    category = row.text("tax_category")
    if not tax.by_country:
        row.fault("tax_category_fixed", "tax_category", "needs tax.by_country: the catalog has one rate for all")
    return msgspec.structs.replace(tax, category=category)


def _billing_months(row: Reader) -> int:
    if row.take("billing_period") == ONCE:
        return 0
    if not row.has("billing_period"):
        return 1
    period = row.reader("billing_period")
    months = whole(period, "months", low=1, high=MONTHS_MAX)
    period.finish("a billing period")
    return months


def _anchor(row: Reader) -> str | date:
    value = row.take("anchor")
    if value is None:
        return CALENDAR
    if value in (CALENDAR, SERVICE_START, SUBSCRIPTION_START):
        return str(value)
    return date_of(row, "anchor") or CALENDAR


def _allowance_months(row: Reader) -> int | None:
    if not row.has("allowance"):
        return None
    allowance = row.reader("allowance")
    months = optional_whole(allowance, "months", low=1, high=MONTHS_MAX)
    if months is None:
        allowance.fault("field_missing", "months", "is missing")
    allowance.finish("an allowance")
    return months
