"""The price list: meters and products with versions of their prices, checked as a whole.

Place     catalog file, loaded from YAML by the caller -> [this] -> contracts agent -> `billing.contracts`.
Form      a mapping with `currency`, `meters`, `products`, `tax`; unknown fields are errors. Dates may be dates (as YAML
          reads them) or texts "2013-01-01"; numbers are decimal strings or integers.
Errors    all of them at once, each with its path ("products.MOVEMENT.prices[0].tiers[1].up_to").
Hash      SHA-256, in hexadecimal, of the canonical JSON (sorted keys, no blanks).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from fakturo.engine.errors import CatalogError, PriceError
from fakturo.engine.meters import meter_of
from fakturo.engine.money import ZERO, exponent_of
from fakturo.engine.prices import Price, read_price
from fakturo.engine.prices.flat import Flat
from fakturo.engine.prices.matrix import Matrix
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import ItemTax, MeterDefinition, PriceVersion

ARREARS = "arrears"
"""The only way of billing that is built: after the period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is sold. `prices` are ascending by `effective_from`; `meter` is None where the contract gives the quantity.

    `unit` names one unit in the plural, as the invoice says it; by default the meter's code.
    """

    code: str
    name: str
    billing: str
    prices: tuple[PriceVersion, ...]
    tax: ItemTax
    hash: str
    meter: MeterDefinition | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """A checked price list in one currency; meters and products by code."""

    currency: str
    meters: Mapping[str, MeterDefinition]
    products: Mapping[str, Product]
    hash: str


def parse_catalog(document: object) -> Catalog:
    """Return the checked price list.

    Raises:
        CatalogError: with every fault of it.
    """
    faults: list[PriceError] = []
    reader = Reader(document, "", faults)
    currency = _currency(reader)
    tax = _tax(reader)
    meters = _meters(reader, faults)
    products = _products(reader, Context(currency=currency, meters=meters, tax=tax, faults=faults))
    reader.finish("a catalog")
    if faults or not isinstance(document, Mapping):
        raise CatalogError(faults)
    return Catalog(currency=currency, meters=meters, products=products, hash=content_hash(document))


def content_hash(document: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of `document`."""
    return sha256(encode(document)).hexdigest()


def price_at(versions: Sequence[PriceVersion], on: date) -> PriceVersion | None:
    """Return the version that holds on the local date `on`, or None before the first. `versions` are ascending."""
    return next((version for version in reversed(versions) if version.effective_from <= on), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a product's document refers to."""

    currency: str
    meters: Mapping[str, MeterDefinition]
    tax: ItemTax
    faults: list[PriceError]


def _currency(reader: Reader) -> str:
    currency = reader.text("currency")
    try:
        exponent_of(currency)
    except PriceError as error:
        if currency:
            reader.fault(error.code, "currency", f"{currency!r} is not a currency of ISO 4217")
        return "EUR"  # a stand-in: the catalog is refused anyway
    return currency


def _tax(reader: Reader) -> ItemTax:
    """Return the tax of every product; a catalog without one charges none."""
    fields = reader.reader("tax")
    if fields.flag("prices_include_tax"):
        fields.fault("field_not_supported", "prices_include_tax", "is not supported yet")
    tax = ItemTax(
        category=fields.text("category", default="none"), rate_percent=fields.decimal("rate_percent", default=ZERO)
    )
    fields.finish("a tax")
    return tax


def _meters(reader: Reader, faults: list[PriceError]) -> dict[str, MeterDefinition]:
    rows = reader.reader("meters")
    meters = {}
    for code in rows.names():
        row = rows.reader(code)
        definition = MeterDefinition(
            code=code,
            event_type=row.text("event_type"),
            aggregation=row.text("aggregation"),
            value=row.text("value") if row.has("value") else None,
            group_by=row.texts("group_by"),
            filter=_filter(row),
        )
        row.finish("a meter")
        if definition.aggregation:
            try:
                meter_of(definition, row.path)
            except PriceError as error:
                faults.append(error)
        meters[code] = definition
    return meters


def _filter(row: Reader) -> dict[str, tuple[str, ...]]:
    fields = row.reader("filter")
    return {name: fields.texts(name) for name in fields.names()}


def _products(reader: Reader, context: Context) -> dict[str, Product]:
    rows = reader.reader("products")
    if not rows.names():
        reader.fault("field_missing", "products", "is missing")
    return {code: _product(code, rows.reader(code), context) for code in rows.names()}


def _product(code: str, row: Reader, context: Context) -> Product:
    name, unit = row.text("name"), row.text("unit", default="")
    if row.text("billing", default=ARREARS) != ARREARS:
        row.fault("field_not_supported", "billing", f"must be {ARREARS}; others are not supported yet")
    meter = None
    if row.has("meter"):
        meter_code = row.text("meter")
        meter = context.meters.get(meter_code)
        if meter is None and meter_code:
            row.fault("meter_unknown", "meter", f"{meter_code!r} is not a meter of this catalog")
    if row.has("price_change"):
        row.fault("field_not_supported", "price_change", "is not supported yet: a new price holds from its date on")
    metered = row.has("meter")
    prices = tuple(_price_versions(row, meter, metered=metered, context=context))
    row.finish("a product")
    product = Product(
        code=code,
        name=name,
        billing=ARREARS,
        prices=prices,
        tax=context.tax,
        hash="",
        meter=meter,
        unit=unit or (meter.code if meter else None),
    )
    return replace(product, hash=sha256(encode(product)).hexdigest())


def _price_versions(
    row: Reader, meter: MeterDefinition | None, *, metered: bool, context: Context
) -> Iterator[PriceVersion]:
    before: date | None = None
    for entry in row.readers("prices"):
        effective_from = _date(entry, "effective_from")
        document = {name: entry.take(name) for name in entry.names() if name != "effective_from"}
        price = read_price(document, context.currency, entry.path, context.faults)
        if price is not None:
            _check_price(entry, price, meter, metered=metered)
        if effective_from is None:
            continue
        if before is not None and effective_from <= before:
            entry.fault("price_versions_order", "effective_from", f"{effective_from} is not after {before}")
        before = effective_from
        if price is not None:
            yield PriceVersion(effective_from=effective_from, price=document, hash=content_hash(document))


def _check_price(entry: Reader, price: Price, meter: MeterDefinition | None, *, metered: bool) -> None:
    """Note where price and meter do not fit: both or none give the quantity, or a dimension that is not grouped by."""
    if price.licensed and metered:
        entry.fault("price_licensed_metered", "licensed", "takes the contract's quantity, but the product has a meter")
    if not price.licensed and not metered and not isinstance(price.model, Flat):
        entry.fault("meter_missing", "model", "takes its quantity from a meter, but the product has none")
    if isinstance(price.model, Matrix) and meter is not None:
        missing = [name for name in price.model.dimensions if name not in meter.group_by]
        if missing:
            entry.fault("price_matrix_dimension", "dimensions", f"{', '.join(missing)}: not in the meter's group_by")


def _date(row: Reader, field: str) -> date | None:
    value = row.take(field)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    if value is None:
        row.fault("field_missing", field, "is missing")
    else:
        row.fault("field_type", field, f"{value!r} is not a date such as 2013-01-31")
    return None
