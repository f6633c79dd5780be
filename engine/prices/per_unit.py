"""Per unit: quantity times unit amount. With `licensed` the quantity is the contract's.

Source    PRICING.md, the table of models.
"""

from dataclasses import dataclass
from decimal import Decimal

from fakturo.engine.prices.model import Setting
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage
from fakturo.engine.texts import money_text, number_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit:
    """`unit_amount`, in the major unit, for each unit."""

    unit_amount: Decimal

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part, at zero usage too."""
        return (
            Part(
                text=f"{number_text(usage.quantity)} at {money_text(self.unit_amount, setting.digits)}",
                quantity=usage.quantity,
                unit_amount=self.unit_amount,
                amount=usage.quantity * self.unit_amount,
            ),
        )

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: every unit costs the same."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return the unit amount."""
        return self.unit_amount


def read(reader: Reader) -> PerUnit:
    """Return the model that the document describes."""
    return PerUnit(unit_amount=reader.decimal("unit_amount"))
