"""Graduated: each unit at its own tier's unit amount, plus the flat amount of every tier entered.

Holds     the quantities of the parts add up to the quantity.
Source    PRICING.md; docs.stripe.com "Graduated pricing", Kill Bill "ALL_TIERS".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.prices.model import Amounts, Setting, units_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.tiers import Tier, read_tiers, shares_of, step_of
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Tiers, lowest first."""

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    tiers: tuple[Tier, ...]

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part for each tier entered, lowest first; the first tier is always entered."""
        return tuple(
            units_part(share, tier.unit_amount, setting, tier.flat_amount)
            for tier, share in shares_of(self.tiers, usage.quantity)
        )

    def step(self, quantity: Decimal) -> Step | None:
        """Return how far the next tier is, and what a unit costs there."""
        return step_of(self.tiers, quantity)

    def first_unit_amount(self) -> Decimal | None:
        """Return the first tier's unit amount."""
        return self.tiers[0].unit_amount


def read(reader: Reader) -> Graduated:
    """Return the model that the document describes."""
    return Graduated(tiers=read_tiers(reader))
