"""Prices: the price language, one file a model.

Entry     `parse_price` reads a price document; `Price.charge` applies it to a usage, modifiers included, exact;
          `to_minor` rounds it, once. Whoever checks the books needs no more than this package.
Flow      reading (checked access to the document) -> parse -> price (modifiers around the model) -> charge.
          charge: events (their order, what of each counts) -> priced (all before the model) -> model -> adjustments.
Models    flat, per_unit, graduated, volume, graduated_percentage (the three share tiers), package, percentage, dynamic,
          capacity, matrix.
"""

from fakturo.engine.modifiers import Span
from fakturo.engine.money import exponent_of, rounded, to_minor
from fakturo.engine.prices.model import Amounts
from fakturo.engine.prices.parse import MODELS, parse_price, read_price
from fakturo.engine.prices.price import Price
from fakturo.engine.prices.usage import (
    NO_USAGE,
    Charge,
    Part,
    Step,
    Usage,
    UsageEvent,
    event_usage,
    grouped_usage,
    peak_usage,
    usage_of,
)

__all__ = [
    "MODELS",
    "NO_USAGE",
    "Amounts",
    "Charge",
    "Part",
    "Price",
    "Span",
    "Step",
    "Usage",
    "UsageEvent",
    "event_usage",
    "exponent_of",
    "grouped_usage",
    "parse_price",
    "peak_usage",
    "read_price",
    "rounded",
    "to_minor",
    "usage_of",
]
