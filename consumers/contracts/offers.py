"""What the catalog offers: read from its file once, at start.

Place     catalog file (`FAKTURO_CATALOG`) -> engine/catalog -> [this] -> items. Each item carries its product
          whole, so that no later agent reads the catalog.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.engine.catalog import Catalog, Product, parse_catalog
from fakturo.engine.catalog.tax import NONE
from fakturo.engine.errors import CatalogError
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import Coupon, ItemTax, LoyaltyProgramme, Seller

UNTAXED = ItemTax(category=NONE, rate_percent=Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """All that a catalog offers, by code; `currency` is None where none is set: then every product is unknown.

    `document` is the catalog as it was read, empty where nobody needs it; `tax` that of products it does not know.
    """

    currency: str | None = None
    by_code: Mapping[str, Product] = field(default_factory=dict)
    sellers: Mapping[str, Seller] = field(default_factory=dict)
    coupons: Mapping[str, Coupon] = field(default_factory=dict)
    loyalty: Mapping[str, LoyaltyProgramme] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    tax: ItemTax = UNTAXED

    @classmethod
    def of(cls, catalog: Catalog) -> "Offers":
        """Return what `catalog` offers."""
        return cls(
            currency=catalog.currency,
            by_code=catalog.products,
            sellers=catalog.sellers,
            coupons=catalog.coupons,
            loyalty=catalog.loyalty,
            tax=catalog.tax,
        )

    @property
    def fingerprint(self) -> bytes:
        """Return a hash that changes with anything that a subscription carries of the catalog."""
        products = [self.by_code[code] for code in sorted(self.by_code)]
        named = [sorted(found.items()) for found in (self.sellers, self.coupons, self.loyalty)]
        return hashlib.sha256(encode([self.currency, products, named])).digest()

    @property
    def currencies(self) -> frozenset[str]:
        """Return the currencies in which something has a price."""
        others = {code for product in self.by_code.values() for code in product.other_prices}
        return frozenset({*others, *([self.currency] if self.currency else [])})

    def find(self, code: str, currency: str) -> Product | None:
        """Return the product with its prices in `currency` (there may be none), or None where nothing has the code."""
        product = self.by_code.get(code)
        if product is None or currency == self.currency:
            return product
        return replace(product, prices=product.other_prices.get(currency, ()), other_prices={})


def load_offers(path: Path | None) -> Offers:
    """Return what the catalog file offers; without a file nothing.

    Raises:
        SettingsFault: the file cannot be read, or is refused; the text lists every fault with its path.
    """
    if path is None:
        return Offers()
    try:
        document = yaml.safe_load(path.read_text())
        catalog = parse_catalog(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsFault(f"FAKTURO_CATALOG: {path} cannot be read: {error}") from error
    except CatalogError as error:
        raise SettingsFault(f"FAKTURO_CATALOG: {path} is refused:\n{error}") from error
    return replace(Offers.of(catalog), document=document)


def is_licensed(product: Product) -> bool:
    """Return whether the contract's quantity counts in some version of the price."""
    return any(bool(version.price.get("licensed")) for version in product.prices)


def takes_own_price(product: Product) -> bool:
    """Return whether an own unit price can mean anything: on `flat`, and on licensed `per_unit`."""
    return any(_takes_own_price(version.price) for version in product.prices)


def _takes_own_price(price: Mapping[str, Any]) -> bool:
    return price["model"] == "flat" or (price["model"] == "per_unit" and bool(price.get("licensed")))
