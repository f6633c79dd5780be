"""Subscription items over time: what of an item lies in a period, in slices that one price and one set of terms hold.

Place     `Subscription` of `billing.contracts` + period -> [this] -> slices -> rating (one RateRequest a slice).
Holds     slices touch, never overlap, and together are the item's active part of the period.
Rules     a new price version or new terms from a local date split the period there; the date belongs to the new.
          Terms that change nothing of the amount (the quantity of a metered item) split nothing.
Source    PRICING.md, Periods; CONTRACTS.md, own price and own discount.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

from fakturo.engine.catalog import price_at
from fakturo.engine.money import ZERO
from fakturo.engine.periods import Period, Zone, first_instant, local_date
from fakturo.engine.prices import Price, Usage, parse_price, usage_of
from fakturo.engine.rating import RateRequest
from fakturo.schemas.events.contracts import ItemTerms, PriceVersion, SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSlice:
    """A stretch of a period with one price and one set of terms.

    `price` has the item's own unit price and discount applied; `version` is the price list's (its hash goes on the
    invoice line). `licensed_quantity` is the contract's quantity, None where a meter gives it. `final` marks the last
    slice of the item in the period.
    """

    period: Period
    price: Price
    version: PriceVersion
    terms: ItemTerms
    licensed_quantity: Decimal | None
    final: bool


def active_period(item: SubscriptionItem, period: Period, zone: Zone) -> Period | None:
    """Return the part of `period` in which the item is in service, or None."""
    start_at = max(period.start_at, first_instant(item.service_start_on, zone))
    end_at = period.end_at
    if item.service_end_on is not None:
        end_at = min(end_at, first_instant(item.service_end_on, zone))
    return Period(start_at=start_at, end_at=end_at) if start_at < end_at else None


def item_slices(item: SubscriptionItem, period: Period, zone: Zone, currency: str) -> tuple[ItemSlice, ...]:
    """Return the item's slices of `period`, oldest first; none where it is not in service.

    A stretch before the first price version is left out: nothing says what it costs.

    Raises:
        PriceError: a price of the item is not of the price language (the catalog was not checked).
    """
    active = active_period(item, period, zone)
    if active is None:
        return ()
    merged: list[ItemSlice] = []
    for stretch in _stretches(item, active, zone):
        part = _slice(item, stretch, zone, currency)
        if part is None:
            continue
        if merged and _same(merged[-1], part):
            joined = Period(start_at=merged[-1].period.start_at, end_at=stretch.end_at)
            merged[-1] = replace(merged[-1], period=joined)
        else:
            merged.append(part)
    return tuple(replace(part, final=index == len(merged) - 1) for index, part in enumerate(merged))


def request_of(part: ItemSlice, period: Period, zone: Zone, usage: Usage | None = None, unit: str = "") -> RateRequest:
    """Return what to rate for a slice of `period`: `usage` of a meter, or the contract's quantity where it is None."""
    quantity = ZERO if part.licensed_quantity is None else part.licensed_quantity
    return RateRequest(
        price=part.price,
        usage=usage_of(quantity) if usage is None else usage,
        period=period,
        active=part.period,
        zone=zone,
        final=part.final,
        unit=unit or "units",
    )


def terms_at(terms: Sequence[ItemTerms], on: date) -> ItemTerms:
    """Return the terms that hold on the local date `on`; the first hold before their own date too."""
    return next((one for one in reversed(terms) if one.effective_from <= on), terms[0])


def _stretches(item: SubscriptionItem, active: Period, zone: Zone) -> Iterator[Period]:
    """Yield `active` cut at every date on which a price version or terms begin."""
    dates = {version.effective_from for version in item.prices} | {one.effective_from for one in item.terms}
    cuts = {first_instant(on, zone) for on in dates}
    edges = [active.start_at, *sorted(cut for cut in cuts if active.start_at < cut < active.end_at), active.end_at]
    for start_at, end_at in pairwise(edges):
        yield Period(start_at=start_at, end_at=end_at)


def _slice(item: SubscriptionItem, stretch: Period, zone: Zone, currency: str) -> ItemSlice | None:
    on = local_date(stretch.start_at, zone)
    version, terms = price_at(item.prices, on), terms_at(item.terms, on)
    if version is None:
        return None
    listed = parse_price(version.price, currency)
    price = listed.overridden(unit_amount=terms.own_unit_amount, discount_percent=terms.discount_percent)
    return ItemSlice(
        period=stretch,
        price=price,
        version=version,
        terms=terms,
        licensed_quantity=terms.quantity if price.licensed or item.meter is None else None,
        final=False,
    )


def _same(one: ItemSlice, other: ItemSlice) -> bool:
    """Return whether both cost the same, so that nothing splits them."""
    return (
        one.version.hash == other.version.hash
        and one.price == other.price
        and (not one.price.licensed or one.licensed_quantity == other.licensed_quantity)
    )
