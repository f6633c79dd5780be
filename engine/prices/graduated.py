"""Graduated: each unit at its own tier's unit amount, plus the flat amount of every tier entered.

Holds     the quantities of the parts add up to the quantity.
Source    PRICING.md; docs.stripe.com "Graduated pricing", Kill Bill "ALL_TIERS".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.prices.model import Setting, units_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.tiers import Tier, read_tiers, step_of
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Tiers, lowest first."""

    rates_events: ClassVar[bool] = False
    reads_amounts: ClassVar[bool] = False

    tiers: tuple[Tier, ...]

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part for each tier entered, lowest first; the first tier is always entered."""
        parts = []
        for index, tier in enumerate(self.tiers):
            if index and usage.quantity <= tier.after:
                break
            top = usage.quantity if tier.up_to is None else min(usage.quantity, tier.up_to)
            parts.append(units_part(top - tier.after, tier.unit_amount, setting, tier.flat_amount))
        return tuple(parts)

    def step(self, quantity: Decimal) -> Step | None:
        """Return how far the next tier is, and what a unit costs there."""
        return step_of(self.tiers, quantity)

    def first_unit_amount(self) -> Decimal | None:
        """Return the first tier's unit amount."""
        return self.tiers[0].unit_amount


def read(reader: Reader) -> Graduated:
    """Return the model that the document describes."""
    return Graduated(tiers=read_tiers(reader))
