"""What every model is: a function from usage to explained parts of an amount.

Place     Price.charge -> [this] -> parts. Modifiers are the price's, not the model's.
Adding    a new model is one file with a frozen dataclass of this shape and a `read` function, and a line in `parse`.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from fakturo.engine.modifiers import Span
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a model may need beside the usage: the share of its fixed parts, and what prices inside a matrix need."""

    share: Fraction
    span: Span | None
    final: bool
    digits: int


class Model(Protocol):
    """One model of the price language. Called inside `exact_context()`."""

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the parts whose amounts add up to the model's amount; none for nothing."""

    def step(self, quantity: Decimal) -> Step | None:
        """Return what the next unit costs where that differs from the last, and how far it is."""

    def first_unit_amount(self) -> Decimal | None:
        """Return what the first unit costs, or None where units have no price of their own."""
