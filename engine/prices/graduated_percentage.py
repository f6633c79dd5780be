"""Graduated percentage: each part of the amount at its own tier's percentage, plus the flat amounts of tiers entered.

Place     the events' own amounts (their quantities where they have none), totalled -> [this] -> one part a tier.
Zero      at zero usage the first tier's flat amount is charged, as in `graduated`.
Source    PRICING.md; Lago "graduated percentage".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.explanations import Phrase
from fakturo.engine.modifiers import prorated
from fakturo.engine.prices.model import Amounts, Setting, plain_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.tiers import Tier, read_tiers, shares_of, step_of
from fakturo.engine.prices.usage import Part, Step, Usage

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedPercentage:
    """Tiers of the amount, lowest first; `Tier.unit_amount` is what one unit of money costs: 1 % is 0.01."""

    tiers: tuple[Tier, ...]

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.PREFERRED

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part for each tier entered, lowest first; the first tier is always entered."""
        return tuple(_part(tier, share, setting) for tier, share in shares_of(self.tiers, usage.quantity))

    def step(self, quantity: Decimal) -> Step | None:
        """Return how far the next tier is, and what a unit of money costs there."""
        return step_of(self.tiers, quantity)

    def first_unit_amount(self) -> Decimal | None:
        """Return what a unit of money costs in the first tier."""
        return self.tiers[0].unit_amount


def _part(tier: Tier, share: Decimal, setting: Setting) -> Part:
    percent = tier.unit_amount * _HUNDRED
    phrase: Phrase = ("percent", percent, share)
    if tier.flat_amount:
        phrase = setting.noted(("percent_flat", percent, share, tier.flat_amount))
    return plain_part(phrase, share * tier.unit_amount + prorated(tier.flat_amount, setting.share), share)


def read(reader: Reader) -> GraduatedPercentage:
    """Return the model that the document describes."""
    return GraduatedPercentage(tiers=read_tiers(reader, percent=True))
