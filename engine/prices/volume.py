"""Volume: all units at the one tier that the quantity lands in, plus that tier's flat amount.

The total may fall as usage rises: that is what the model means.
Source    PRICING.md; docs.stripe.com "Volume pricing", Kill Bill "TOP_TIER".
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.prices.model import Amounts, Setting, units_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.tiers import Tier, read_tiers, step_of
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Tiers, lowest first."""

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    tiers: tuple[Tier, ...]

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part: the whole quantity at its tier."""
        tier = next(tier for tier in self.tiers if tier.holds(usage.quantity))
        return (units_part(usage.quantity, tier.unit_amount, setting, tier.flat_amount),)

    def step(self, quantity: Decimal) -> Step | None:
        """Return how far the next tier is, and what every unit costs from there on."""
        return step_of(self.tiers, quantity)

    def first_unit_amount(self) -> Decimal | None:
        """Return the first tier's unit amount."""
        return self.tiers[0].unit_amount


def read(reader: Reader) -> Volume:
    """Return the model that the document describes."""
    return Volume(tiers=read_tiers(reader))
