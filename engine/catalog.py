"""The price list: meters and products with versions of their prices, checked as a whole.

Place     catalog file, loaded from YAML by the caller -> [this] -> contracts agent -> `billing.contracts`.
Form      a mapping with `currency`, `meters`, `products`, `tax`; unknown fields are errors. Dates may be dates (as YAML
          reads them) or texts "2013-01-01"; numbers are decimal strings or integers.
Errors    all of them at once, each with its path ("products.MOVEMENT.prices[0].tiers[1].up_to").
Hash      SHA-256, in hexadecimal, of the canonical JSON (sorted keys, no blanks).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fakturo.engine.periods import Period, Zone
from fakturo.schemas.events.contracts import ItemTax, MeterDefinition, PriceVersion


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSlice:
    """A part of a period in which one version of a price holds."""

    period: Period
    version: PriceVersion


def parse_catalog(document: object) -> Catalog:
    """Return the checked price list.

    Raises:
        CatalogError: with every fault of it.
    """
    raise NotImplementedError


def content_hash(document: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of `document`."""
    raise NotImplementedError


def price_at(versions: Sequence[PriceVersion], on: date) -> PriceVersion | None:
    """Return the version that holds on the local date `on`, or None before the first. `versions` are ascending."""
    raise NotImplementedError


def price_slices(versions: Sequence[PriceVersion], period: Period, zone: Zone) -> tuple[PriceSlice, ...]:
    """Return `period` cut where a version begins (a local date of `zone`); what lies before the first is left out."""
    raise NotImplementedError
