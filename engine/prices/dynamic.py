"""Dynamic: the events say themselves what they cost; their amounts are added and multiplied.

Place     the events' own amounts, totalled -> [this] -> one part.
Rules     an event without an amount is an error: a quantity is not taken for money. No events cost nothing. Transform
          and free units act on the amounts, since those are what is priced.
Source    PRICING.md; Lago "dynamic" (sum of the events' amounts), OpenMeter "dynamic" (with a multiplier).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.explanations import Phrase
from fakturo.engine.money import ONE
from fakturo.engine.prices.model import Amounts, Setting, plain_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """`multiplier` of the amounts: "1.2" adds a fifth."""

    multiplier: Decimal

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.REQUIRED

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part, or none where there are no events."""
        if not usage.events and not usage.quantity:
            return ()
        phrase: Phrase = ("own_amounts", usage.quantity)
        if self.multiplier != ONE:
            phrase = ("own_amounts_times", usage.quantity, self.multiplier)
        return (plain_part(phrase, usage.quantity * self.multiplier),)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: the next event says what it costs."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: each event says what it costs."""
        return None


def read(reader: Reader) -> Dynamic:
    """Return the model that the document describes."""
    return Dynamic(multiplier=reader.decimal("multiplier", default=ONE))
