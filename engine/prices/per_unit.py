"""Per unit: quantity times unit amount. With `licensed` the quantity is the contract's.

Source    PRICING.md, the table of models.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.prices.model import Amounts, Setting, units_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit:
    """`unit_amount`, in the major unit, for each unit."""

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    unit_amount: Decimal

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part, at zero usage too."""
        return (units_part(usage.quantity, self.unit_amount, setting),)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: every unit costs the same."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return the unit amount."""
        return self.unit_amount


def read(reader: Reader) -> PerUnit:
    """Return the model that the document describes."""
    return PerUnit(unit_amount=reader.decimal("unit_amount"))
