"""What the engine's property tests draw from: numbers of the price language, tiers, prices of any model, events."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from fakturo.engine.prices import Usage, UsageEvent, event_usage, peak_usage

quantities = st.decimals(min_value=0, max_value=10**7, places=3, allow_nan=False, allow_infinity=False)
instants = st.integers(-300_000_000, 2_200_000_000).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
amounts = st.decimals(min_value=0, max_value=10**5, places=4, allow_nan=False, allow_infinity=False)
small = st.decimals(min_value=0, max_value=200, places=2)


def text(value: Decimal) -> str:
    """Return a number as a document of the price language has it."""
    return f"{value:f}"


@st.composite
def tiered(draw: st.DrawFn, model: str) -> dict[str, Any]:
    """Draw a price with one to five tiers, with fractional bounds and flat amounts."""
    bounds = sorted(draw(st.sets(st.decimals(min_value="0.5", max_value=50, places=1), max_size=4)))
    tiers = [
        {"up_to": None if bound is None else text(bound), "unit_amount": text(draw(amounts)), "flat_amount": text(flat)}
        for bound in [*bounds, None]
        for flat in [draw(amounts)]
    ]
    return {"model": model, "tiers": tiers}


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a price of any model that takes a plain quantity, with any of its modifiers."""
    model = draw(st.sampled_from(["flat", "per_unit", "graduated", "volume", "package"]))
    document: dict[str, Any] = {"model": model}
    match model:
        case "flat":
            document["amount"] = text(draw(amounts))
        case "per_unit":
            document["unit_amount"] = text(draw(amounts))
        case "package":
            document["package_size"] = text(draw(st.decimals(min_value="0.1", max_value=5000, places=1)))
            document["package_amount"] = text(draw(amounts))
            document["round"] = draw(st.sampled_from(["up", "down"]))
        case _:
            document = draw(tiered(model))
    if draw(st.booleans()):
        document["free_units"] = text(draw(quantities))
    if draw(st.booleans()):
        document["discount"] = {"percent": text(draw(st.decimals(min_value=0, max_value=100, places=2)))}
    if draw(st.booleans()):
        document["maximum_amount"] = text(draw(amounts))
    if draw(st.booleans()):
        document["minimum_amount"] = text(draw(amounts))
    return document


def _percent_tiers(document: dict[str, Any]) -> dict[str, Any]:
    tiers = [
        {"up_to": tier["up_to"], "percent": tier["unit_amount"], "flat_amount": tier["flat_amount"]}
        for tier in document["tiers"]
    ]
    return {"model": "graduated_percentage", "tiers": tiers}


@st.composite
def models(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a price of the model `name`, without modifiers."""
    match name:
        case "flat":
            return {"model": name, "amount": text(draw(amounts))}
        case "per_unit":
            return {"model": name, "unit_amount": text(draw(amounts))}
        case "package":
            size = draw(st.decimals(min_value="0.1", max_value=50, places=1))
            rounding = draw(st.sampled_from(["up", "down"]))
            return {"model": name, "package_size": text(size), "package_amount": text(draw(amounts)), "round": rounding}
        case "graduated_percentage":
            return _percent_tiers(draw(tiered("graduated")))
        case "dynamic":
            return {"model": name, "multiplier": text(draw(small))}
        case "percentage":
            low, high = sorted((draw(small), draw(small)))
            optional = {
                "fixed_amount": text(draw(small)),
                "free_events": draw(st.integers(0, 4)),
                "free_amount": text(draw(small)),
                "minimum_per_event": text(low),
                "maximum_per_event": text(high),
            }
            chosen = draw(st.sets(st.sampled_from(sorted(optional))))
            return {"model": name, "percent": text(draw(small))} | {one: optional[one] for one in chosen}
        case "capacity":
            return {
                "model": name,
                "tiers": [
                    {"limits": {"a": "50", "b": "9"}, "amount": "1"},
                    {"limits": {"a": "150"}, "amount": "2"},
                    {"limits": {}, "amount": "5"},
                ],
            }
        case "matrix":
            cells = [
                {
                    "match": {"zone": zone},
                    "price": draw(models(draw(st.sampled_from(["per_unit", "package", "percentage"])))),
                }
                for zone in ("eu", "us")
            ]
            return {"model": name, "dimensions": ["zone"], "cells": cells, "default": draw(models("graduated"))}
        case _:
            return draw(tiered(name))


@st.composite
def priced(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """Draw a price of one of these models, with any of the modifiers."""
    document = draw(models(draw(st.sampled_from(names))))
    modifiers = {
        "event_increments": {"minimum": "3", "step": "0.7"},
        "transform": {"divide_by": "10", "round": draw(st.sampled_from(["up", "down", "none"]))},
        "free_units": text(draw(small)),
        "per_event": True,
        "discount": draw(st.sampled_from([{"percent": "12.5"}, {"amount": "7"}])),
        "maximum_amount": text(draw(amounts)),
        "minimum_amount": text(draw(amounts)),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(modifiers))))
    return document | {name: modifiers[name] for name in chosen}


single_events = st.builds(
    UsageEvent,
    quantity=small,
    amount=small,
    at=instants,
    properties=st.fixed_dictionaries({"zone": st.sampled_from(["eu", "us", "asia"])}),
)


def usage_of_history(document: dict[str, Any], events: list[UsageEvent]) -> Usage:
    """Return events, or what a capacity price reads in place of them."""
    if document["model"] == "capacity":
        return peak_usage([{"a": event.quantity, "b": event.amount or Decimal(0)} for event in events])
    return event_usage(events)
