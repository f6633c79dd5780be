"""The versions of a product's price, by currency: each holds from its date on until the next one.

Place     products -> [this] -> `PriceVersion`s, ascending. A price's own `currency` goes into its document and hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from fakturo.engine.catalog.fields import date_of
from fakturo.engine.errors import PriceError
from fakturo.engine.money import EXPONENTS
from fakturo.engine.prices import Price, read_price
from fakturo.engine.prices.flat import Flat
from fakturo.engine.prices.matrix import Matrix
from fakturo.engine.prices.reading import Reader
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import MeterDefinition, PriceVersion


def content_hash(document: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of `document`."""
    return sha256(encode(document)).hexdigest()


def price_at(versions: Sequence[PriceVersion], on: date) -> PriceVersion | None:
    """Return the version that holds on the local date `on`, or None before the first. `versions` are ascending."""
    return next((version for version in reversed(versions) if version.effective_from <= on), None)


def read_versions(
    row: Reader, meter: MeterDefinition | None, *, metered: bool, currency: str, faults: list[PriceError]
) -> dict[str, tuple[PriceVersion, ...]]:
    """Return the versions by currency (`currency` where a price names none), each ascending."""
    found: dict[str, list[PriceVersion]] = {currency: []}
    before: dict[str, date] = {}
    for entry in row.readers("prices"):
        named = entry.take("currency")
        own = named if isinstance(named, str) and named in EXPONENTS else currency  # of another, read_price complains
        for version in _version(entry, own, meter, metered=metered, faults=faults):
            last = before.get(own)
            if last is not None and version.effective_from <= last:
                entry.fault("price_versions_order", "effective_from", f"{version.effective_from} is not after {last}")
            before[own] = version.effective_from
            found.setdefault(own, []).append(version)
    return {code: tuple(versions) for code, versions in found.items()}


def _version(
    entry: Reader, currency: str, meter: MeterDefinition | None, *, metered: bool, faults: list[PriceError]
) -> Iterator[PriceVersion]:
    """Yield the version that `entry` holds, or nothing where it has no date; a faulty price has its faults noted."""
    effective_from = date_of(entry, "effective_from")
    document = {name: entry.take(name) for name in entry.names() if name != "effective_from"}
    price = read_price(document, currency, entry.path, faults)
    if price is not None:
        _check_price(entry, price, meter, metered=metered)
    if effective_from is not None:
        yield PriceVersion(effective_from=effective_from, price=document, hash=content_hash(document) if price else "")


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
