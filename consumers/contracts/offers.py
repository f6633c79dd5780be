"""What the catalog offers, in the words of the published subscription.

Place     catalog file -> engine/catalog -> [this] -> items. Each subscription item carries its product
          whole, so that no later agent reads the catalog.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import ItemTax, MeterDefinition, PriceVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One product with its meter and every version of its price, ascending."""

    code: str
    name: str
    billing: str
    prices: tuple[PriceVersion, ...]
    tax: ItemTax
    meter: MeterDefinition | None = None
    unit: str | None = None

    @property
    def licensed(self) -> bool:
        """Return whether the contract's quantity counts in some version of the price."""
        return any(bool(version.price.get("licensed")) for version in self.prices)

    @property
    def own_price_allowed(self) -> bool:
        """Return whether an own unit price can mean anything: on `flat`, and on licensed `per_unit`."""
        return any(_takes_own_price(version.price) for version in self.prices)


def _takes_own_price(price: dict[str, Any]) -> bool:
    return price["model"] == "flat" or (price["model"] == "per_unit" and bool(price.get("licensed")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """All products by code; `currency` is None where no catalog is set: then every product is unknown."""

    currency: str | None = None
    by_code: dict[str, Offer] = field(default_factory=dict)

    @property
    def fingerprint(self) -> bytes:
        """Return a hash that changes with anything that a subscription carries of the catalog."""
        offers = [self.by_code[code] for code in sorted(self.by_code)]
        return hashlib.sha256(encode([self.currency, offers])).digest()
