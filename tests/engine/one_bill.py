"""One bill, written once more from PRICING.md and in fractions: what all documents of a period must come to.

Apart     nothing of engine/prices is used. Models without proration, increments, transform and per_event; with free
          units (on quantities), discount, cap and minimum.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from fakturo.engine.prices import UsageEvent


def one_bill(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    """Return the exact amount of all events together."""
    amount = _MODELS[price["model"]](price, sorted(events, key=lambda event: str(event.at)))
    if "discount" in price:
        discount = price["discount"]
        less = amount * Fraction(discount["percent"]) / 100 if "percent" in discount else Fraction(discount["amount"])
        amount = max(amount - less, Fraction(0))
    if "maximum_amount" in price:
        amount = min(amount, Fraction(price["maximum_amount"]))
    return max(amount, Fraction(price.get("minimum_amount", 0)))


def half_away(amount: Fraction, digits: int = 0) -> int:
    """Return an amount in minor units of a currency with so many digits, half away from zero."""
    scaled = abs(amount) * 10**digits
    whole = floor(scaled + Fraction(1, 2))
    return whole if amount >= 0 else -whole


def _quantity(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    used = sum((Fraction(event.quantity) for event in events), Fraction(0))
    return max(used - Fraction(price.get("free_units", 0)), Fraction(0))


def _own(event: UsageEvent) -> Fraction:
    return Fraction(event.amount or 0)


def _flat(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    return Fraction(price["amount"])


def _per_unit(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    return _quantity(price, events) * Fraction(price["unit_amount"])


def _graduated(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    return _by_tier(price["tiers"], _quantity(price, events), "unit_amount", Fraction(1))


def _graduated_percentage(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    return _by_tier(price["tiers"], sum(map(_own, events), Fraction(0)), "percent", Fraction(1, 100))


def _by_tier(tiers: Sequence[dict[str, Any]], used: Fraction, rate: str, unit: Fraction) -> Fraction:
    """Each unit at its own tier, and the flat amounts of the tiers entered; the first is entered at 0."""
    amount, below = Fraction(0), Fraction(0)
    for index, tier in enumerate(tiers):
        if index and used <= below:
            break
        top = used if tier["up_to"] is None else min(used, Fraction(tier["up_to"]))
        amount += (top - below) * Fraction(tier[rate]) * unit + Fraction(tier["flat_amount"])
        below = Fraction(tier["up_to"] or 0)
    return amount


def _volume(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    used = _quantity(price, events)
    tier = next(one for one in price["tiers"] if one["up_to"] is None or used <= Fraction(one["up_to"]))
    return used * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])


def _package(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    packages = _quantity(price, events) / Fraction(price["package_size"])
    return (ceil if price["round"] == "up" else floor)(packages) * Fraction(price["package_amount"])


def _dynamic(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    return sum(map(_own, events), Fraction(0)) * Fraction(price["multiplier"])


def _percentage(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    free_events, free_amount = price.get("free_events", 0), Fraction(price.get("free_amount", 0))
    amount, before = Fraction(0), Fraction(0)
    for number, event in enumerate(events, start=1):
        after = before + _own(event)
        charged: Fraction | None = after - before
        if (not free_events or number <= free_events) and (free_events or free_amount):
            above = after - max(before, free_amount)
            charged = above if free_amount and after > free_amount else None
        before = after
        if charged is None:
            continue
        cost = charged * Fraction(price["percent"]) / 100 + Fraction(price.get("fixed_amount", 0))
        cost = max(cost, Fraction(price.get("minimum_per_event", 0)))
        amount += min(cost, Fraction(price["maximum_per_event"])) if "maximum_per_event" in price else cost
    return amount


def _matrix(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    known = {cell["match"]["zone"]: cell["price"] for cell in price["cells"]}
    lots: dict[str | None, list[UsageEvent]] = {}
    for event in events:
        zone = event.properties["zone"]
        lots.setdefault(zone if zone in known else None, []).append(event)
    prices = {None: price["default"], **known}
    return sum((one_bill(prices[zone], landed) for zone, landed in lots.items()), Fraction(0))


def _capacity(price: dict[str, Any], events: Sequence[UsageEvent]) -> Fraction:
    peaks = {
        "a": max((Fraction(event.quantity) for event in events), default=Fraction(0)),
        "b": max(map(_own, events), default=Fraction(0)),
    }
    fits = (
        tier for tier in price["tiers"] if all(peaks[name] <= Fraction(limit) for name, limit in tier["limits"].items())
    )
    return Fraction(next(fits)["amount"])


_MODELS = {
    "flat": _flat,
    "per_unit": _per_unit,
    "graduated": _graduated,
    "volume": _volume,
    "package": _package,
    "percentage": _percentage,
    "graduated_percentage": _graduated_percentage,
    "dynamic": _dynamic,
    "matrix": _matrix,
    "capacity": _capacity,
}
