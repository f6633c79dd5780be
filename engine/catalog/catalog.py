"""A whole price list: every part is read, and refused together with all that is wrong in any of them.

Place     `parse_catalog` is what the contracts agent and `fakturo catalog` call -> [this] -> the parts' own files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fakturo.engine.catalog.coupons import read_coupons
from fakturo.engine.catalog.fields import currency_of
from fakturo.engine.catalog.loyalty import read_loyalty
from fakturo.engine.catalog.meters import read_meters
from fakturo.engine.catalog.products import Context, Product, read_products
from fakturo.engine.catalog.sellers import read_sellers
from fakturo.engine.catalog.tax import read_tax
from fakturo.engine.catalog.versions import content_hash
from fakturo.engine.errors import CatalogError, PriceError
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.events.contracts import Coupon, ItemTax, LoyaltyProgramme, MeterDefinition, Seller


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """A checked price list; `currency` is that of every price that names none. Everything is by its code.

    `tax` is that of a product that names no category.
    """

    currency: str
    meters: Mapping[str, MeterDefinition]
    products: Mapping[str, Product]
    sellers: Mapping[str, Seller]
    coupons: Mapping[str, Coupon]
    loyalty: Mapping[str, LoyaltyProgramme]
    tax: ItemTax
    hash: str


def parse_catalog(document: object) -> Catalog:
    """Return the checked price list.

    Raises:
        CatalogError: with every fault of it.
    """
    faults: list[PriceError] = []
    reader = Reader(document, "", faults)
    currency = currency_of(reader)
    tax = read_tax(reader)
    meters = read_meters(reader, faults)
    products = read_products(reader, Context(currency=currency, meters=meters, tax=tax, faults=faults))
    sellers = read_sellers(reader)
    coupons = read_coupons(reader, currency, products)
    loyalty = read_loyalty(reader)
    reader.finish("a catalog")
    if faults or not isinstance(document, Mapping):
        raise CatalogError(faults)
    return Catalog(
        currency=currency,
        meters=meters,
        products=products,
        sellers=sellers,
        coupons=coupons,
        loyalty=loyalty,
        tax=tax,
        hash=content_hash(document),
    )
