"""Flat: one amount, whatever the quantity. A fixed part, so prorated by day unless the price says otherwise.

Source    PRICING.md, the table of models.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.modifiers import prorated
from fakturo.engine.prices.model import Amounts, Setting, plain_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """`amount`, in the major unit."""

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    amount: Decimal

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the one amount."""
        return (plain_part(setting.noted(("flat", self.amount)), prorated(self.amount, setting.share)),)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: no unit costs anything."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: units have no price."""
        return None


def read(reader: Reader) -> Flat:
    """Return the model that the document describes."""
    return Flat(amount=reader.decimal("amount"))
