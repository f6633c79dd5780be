"""What changes from one price list to the next, and what of it reaches into the past.

Place     `fakturo catalog diff` and `publish`, and the contracts agent before it takes a list -> [this].
Price     for each product and currency, day by day: where the content hashes differ, the list touches what was in
          force. What has no date (a meter, the tax, how a product is billed) touches all time.
Harmless  a product that is new, names, and alerts: nobody was ever billed by them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fakturo.engine.catalog.catalog import Catalog
from fakturo.engine.catalog.products import Product
from fakturo.engine.catalog.versions import price_at
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import PriceVersion, SubscriptionItem

ADDED, CHANGED, ENDED = "added", "changed", "ended"

_UNDATED = ("meter", "tax", "billing", "billing_months", "anchor", "trial_days", "price_change", "allowance_months")
_NAMES = ("name", "unit", "alerts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: `kind` is added, changed or ended; `subject` what it is of, `code` which, `field` what of it.

    Of a price `effective_from` is the version's and `currency` its currency. `before` and `after` are texts or hashes.
    """

    kind: str
    subject: str
    code: str
    field: str | None = None
    currency: str | None = None
    effective_from: date | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """The local dates on which a product's price is no longer what it was: from `start_on` (None: ever) to `end_on`."""

    product_code: str
    start_on: date | None
    end_on: date

    def holds(self, item: SubscriptionItem) -> bool:
        """Return whether `item` is of the product and in service on one of the dates."""
        if item.product_code != self.product_code or item.service_start_on >= self.end_on:
            return False
        return self.start_on is None or item.service_end_on is None or item.service_end_on > self.start_on


def changes_between(before: Catalog | None, after: Catalog) -> tuple[Change, ...]:
    """Return all differences, by subject and code, a product's own before its prices."""
    found: list[Change] = []
    if before is None or before.currency != after.currency:
        kind = ADDED if before is None else CHANGED
        old = None if before is None else before.currency
        found.append(Change(kind=kind, subject="currency", code=after.currency, before=old, after=after.currency))
    found += _by_code("meter", before.meters if before else {}, after.meters)
    old_products = before.products if before else {}
    for code in sorted({*old_products, *after.products}):
        found += _product_changes(code, old_products.get(code), after.products.get(code))
    found += _by_code("seller", before.sellers if before else {}, after.sellers)
    found += _by_code("coupon", before.coupons if before else {}, after.coupons)
    found += _by_code("loyalty", before.loyalty if before else {}, after.loyalty)
    return tuple(found)


def touched_past(before: Catalog | None, after: Catalog, on: date) -> tuple[Touched, ...]:
    """Return what of the time before the local date `on` a list would change, by product; a first list changes none."""
    if before is None:
        return ()
    return tuple(
        Touched(product_code=code, start_on=start, end_on=on)
        for code, product in sorted(before.products.items())
        for start in _earliest(product, after.products.get(code), on)
    )


def _by_code(subject: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for code in sorted({*before, *after}):
        old, new = before.get(code), after.get(code)
        if old == new:
            continue
        if old is None or new is None:
            yield Change(kind=ADDED if old is None else ENDED, subject=subject, code=code)
            continue
        for field in new.__struct_fields__:
            one, other = getattr(old, field), getattr(new, field)
            if one != other:
                yield Change(
                    kind=CHANGED, subject=subject, code=code, field=field, before=_text(one), after=_text(other)
                )


def _product_changes(code: str, before: Product | None, after: Product | None) -> Iterator[Change]:
    if before is None or after is None:
        yield Change(kind=ADDED if before is None else ENDED, subject="product", code=code)
    else:
        for field in (*_NAMES, *_UNDATED):
            one, other = getattr(before, field), getattr(after, field)
            if one != other:
                yield Change(
                    kind=CHANGED, subject="product", code=code, field=field, before=_text(one), after=_text(other)
                )
    old, new = _versions(before), _versions(after)
    for currency, effective_from in sorted({*old, *new}):
        one_hash, other_hash = old.get((currency, effective_from)), new.get((currency, effective_from))
        if one_hash != other_hash:
            kind = ADDED if one_hash is None else ENDED if other_hash is None else CHANGED
            yield Change(
                kind=kind,
                subject="price",
                code=code,
                currency=currency,
                effective_from=effective_from,
                before=one_hash,
                after=other_hash,
            )


def _versions(product: Product | None) -> dict[tuple[str, date], str]:
    return {
        (currency, version.effective_from): version.hash
        for currency, versions in _by_currency(product).items()
        for version in versions
    }


def _by_currency(product: Product | None) -> dict[str, tuple[PriceVersion, ...]]:
    """Return the versions by currency; "" is the catalog's own."""
    return {} if product is None else {"": product.prices, **product.other_prices}


def _earliest(before: Product, after: Product | None, on: date) -> Iterator[date | None]:
    """Yield the first day on which the product is no longer what it was, if it lies before `on`; None for ever."""
    if after is not None and any(getattr(before, field) != getattr(after, field) for field in _UNDATED):
        yield None
        return
    old, new = _by_currency(before), _by_currency(after)
    days = [
        version.effective_from
        for currency in sorted({*old, *new})
        for version in (*old.get(currency, ()), *new.get(currency, ()))
        if version.effective_from < on
        and _hash_at(old.get(currency, ()), version.effective_from)
        != _hash_at(new.get(currency, ()), version.effective_from)
    ]
    if days:
        yield min(days)


def _hash_at(versions: tuple[PriceVersion, ...], on: date) -> str | None:
    found = price_at(versions, on)
    return None if found is None else found.hash


def _text(value: object) -> str | None:
    return None if value is None else encode(value).decode().strip('"')
