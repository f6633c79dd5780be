"""What every model is: a function from usage to explained parts of an amount.

Place     Price.charge -> [this] -> parts. Modifiers are the price's, not the model's.
Adding    a new model is one file with a frozen dataclass of this shape and a `read` function, and a line in `parse`.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Protocol

from fakturo.engine.explanations import Phrase
from fakturo.engine.modifiers import WHOLE, Span, prorated
from fakturo.engine.money import ONE, ZERO
from fakturo.engine.prices.usage import Part, Step, Usage


class Amounts(StrEnum):
    """What a model prices: quantities; the events' own amounts, or quantities where an event has none; amounts alone.

    What transform and free units act on is the same.
    """

    UNREAD = "unread"
    PREFERRED = "preferred"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a model may need beside the usage.

    `share` multiplies its fixed parts, and `note` says so ("17 of 31 days", None where it is whole). `span` and `final`
    are for the prices inside a matrix.
    """

    share: Fraction = field(default=WHOLE)
    note: Phrase | None = None
    span: Span | None = None
    final: bool = True

    def noted(self, phrase: Phrase) -> Phrase:
        """Return `phrase` with the note behind it."""
        return ("all", phrase, self.note) if self.note else phrase


class Model(Protocol):
    """One model of the price language. Called inside `exact_context()`.

    `rates_events`: each event costs something by itself, so the usage that it is given holds the events, oldest first,
    with what is to be priced as their quantities. `amounts`: whether it prices the events' own amounts.
    """

    rates_events: ClassVar[bool]
    amounts: ClassVar[Amounts]

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return the parts whose amounts add up to the model's amount; none for nothing."""

    def step(self, quantity: Decimal) -> Step | None:
        """Return what the next unit costs where that differs from the last, and how far it is."""

    def first_unit_amount(self) -> Decimal | None:
        """Return what the first unit costs, or None where units have no price of their own."""


def units_part(quantity: Decimal, unit_amount: Decimal, setting: Setting, flat_amount: Decimal = ZERO) -> Part:
    """Return `quantity` at `unit_amount`, plus a flat amount that is prorated."""
    amount = quantity * unit_amount
    phrase: Phrase = ("units", quantity, unit_amount)
    if flat_amount:
        phrase = setting.noted(("units_flat", quantity, unit_amount, flat_amount))
        amount += prorated(flat_amount, setting.share)
    return Part(phrase=phrase, quantity=quantity, unit_amount=unit_amount, amount=amount)


def plain_part(phrase: Phrase, amount: Decimal = ZERO, quantity: Decimal = ONE) -> Part:
    """Return a part in which no units have a price."""
    return Part(phrase=phrase, quantity=quantity, unit_amount=None, amount=amount)
