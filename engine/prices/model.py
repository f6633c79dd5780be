"""What every model is: a function from usage to explained parts of an amount.

Place     Price.charge -> [this] -> parts. Modifiers are the price's, not the model's.
Adding    a new model is one file with a frozen dataclass of this shape and a `read` function, and a line in `parse`.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from fakturo.engine.modifiers import Span, prorated
from fakturo.engine.money import ZERO
from fakturo.engine.prices.usage import Part, Step, Usage
from fakturo.engine.texts import money_text, number_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a model may need beside the usage.

    `share` multiplies its fixed parts, and `note` says so ("17 of 31 days", "" where it is whole). `span` and `final`
    are for the prices inside a matrix, `digits` (the currency's) and `unit` for texts.
    """

    share: Fraction
    note: str
    span: Span | None
    final: bool
    digits: int
    unit: str

    def noted(self, text: str) -> str:
        """Return `text` with the note behind it."""
        return f"{text}, {self.note}" if self.note else text

    def money(self, amount: Decimal) -> str:
        """Return an amount as the sentence shows it."""
        return money_text(amount, self.digits)


class Model(Protocol):
    """One model of the price language. Called inside `exact_context()`."""

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the parts whose amounts add up to the model's amount; none for nothing."""

    def step(self, quantity: Decimal) -> Step | None:
        """Return what the next unit costs where that differs from the last, and how far it is."""

    def first_unit_amount(self) -> Decimal | None:
        """Return what the first unit costs, or None where units have no price of their own."""


def units_part(quantity: Decimal, unit_amount: Decimal, setting: Setting, flat_amount: Decimal = ZERO) -> Part:
    """Return `quantity` at `unit_amount`, plus a flat amount that is prorated."""
    terms = f"at {setting.money(unit_amount)}"
    if flat_amount:
        terms = setting.noted(f"{terms} + {setting.money(flat_amount)}")
    count = number_text(quantity)
    return Part(
        text=f"{count} {terms}",
        description=f"{count} {setting.unit} {terms}",
        quantity=quantity,
        unit_amount=unit_amount,
        amount=quantity * unit_amount + prorated(flat_amount, setting.share),
    )
