"""Modifiers: what a price does to the quantity before its model, and to the amount after it.

Place     inside `Price.charge`: event increments -> transform -> free units -> the model (whole, or event by event) ->
          proration -> discounts -> cap -> minimum.
Units     amounts are exact Decimals in the major unit; nothing is rounded here.
Rules     only fixed parts are prorated, `minimum_amount` among them; caps, discounts and free units never are. The
          minimum is a true-up for the whole period: it applies on the final slice, and what the period's earlier
          slices came to counts towards it; where it is prorated, the shares of the slices add up.
Negative  what takes an event back is treated as the event was: increments and transform of -7 are minus those of 7,
          and free units that it had used are free again.
Source    PRICING.md, Modifiers (the order is the contract's); event increments as CGRateS has them ("30/6" seconds).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fakturo.engine.explanations import Phrase
from fakturo.engine.money import ZERO

WHOLE = Fraction(1)
"""The share of what is not prorated."""


class Proration(StrEnum):
    """By what fixed parts are prorated: local calendar days, elapsed seconds, or not at all."""

    DAY = "day"
    SECOND = "second"
    NONE = "none"


class Rounding(StrEnum):
    """How a quotient of quantities becomes whole."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIncrements:
    """How the quantity of a single event is rounded up: to `minimum`, and beyond it by whole steps of `step`."""

    minimum: Decimal = ZERO
    step: Decimal | None = None

    def apply(self, quantity: Decimal) -> Decimal:
        """Return the quantity that is billed of an event; 0 stays 0. With 30 and 6: 1 -> 30, 31 -> 36."""
        if quantity < 0:
            return -self.apply(-quantity)
        if quantity <= self.minimum:
            return self.minimum if quantity else ZERO
        if self.step is None:
            return quantity
        return self.minimum + divided(quantity - self.minimum, self.step, Rounding.UP) * self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """`percent` of the amount, or a fixed `amount`; one of them. It never makes an amount negative."""

    percent: Decimal | None = None
    amount: Decimal | None = None

    def apply(self, amount: Decimal) -> Decimal:
        """Return what is left of `amount`."""
        if self.percent is not None:
            return amount * (100 - self.percent) / 100
        return max(amount - (self.amount or ZERO), min(amount, ZERO))

    def phrase(self) -> Phrase:
        """Return how the invoice says it."""
        if self.percent is not None:
            return ("less_percent", self.percent)
        return ("less_amount", self.amount or ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What a modifier changed of an amount, and how the invoice says it."""

    phrase: Phrase
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How much of a period something was held: local calendar days and elapsed seconds, of the stretch and the whole.

    0 <= active <= period, and the period is not empty.
    """

    active_days: int
    period_days: int
    active_seconds: int
    period_seconds: int

    def share(self, proration: Proration) -> Fraction:
        """Return the share by which fixed parts are multiplied."""
        match proration:
            case Proration.DAY:
                return Fraction(self.active_days, self.period_days)
            case Proration.SECOND:
                return Fraction(self.active_seconds, self.period_seconds)
            case Proration.NONE:
                return WHOLE

    def note(self, proration: Proration) -> Phrase:
        """Return how the invoice says it: "17 of 31 days"."""
        if proration is Proration.DAY:
            return ("days", self.active_days, self.period_days)
        return ("seconds", self.active_seconds, self.period_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifiers:
    """The modifiers of one price; the defaults change nothing. `discounts` apply one after the other."""

    divide_by: Decimal | None = None
    divide_round: Rounding = Rounding.NONE
    free_units: Decimal = ZERO
    proration: Proration = Proration.NONE
    discounts: tuple[Discount, ...] = ()
    maximum_amount: Decimal | None = None
    minimum_amount: Decimal | None = None
    increments: EventIncrements | None = None
    per_event: bool = False

    @property
    def change_quantities(self) -> bool:
        """Return whether the model is given another quantity than was used."""
        return bool(self.divide_by is not None or self.free_units or self.increments)

    def incremented(self, quantity: Decimal) -> Decimal:
        """Return what is billed of an event's quantity."""
        return quantity if self.increments is None else self.increments.apply(quantity)

    def transformed(self, quantity: Decimal) -> Decimal:
        """Return the quantity in the units that are priced."""
        if self.divide_by is None:
            return quantity
        if quantity < 0:
            return -divided(-quantity, self.divide_by, self.divide_round)
        return divided(quantity, self.divide_by, self.divide_round)

    def billable(self, quantity: Decimal) -> Decimal:
        """Return what is left to price of a total: transformed, less the free units."""
        return max(self.transformed(quantity) - self.free_units, ZERO)

    def billable_each(self, quantities: Iterable[Decimal]) -> Iterator[Decimal]:
        """Yield what is left to price of each event, oldest first: transformed, free units used up as they come."""
        used, priced = ZERO, ZERO
        for quantity in quantities:
            used += self.transformed(quantity)
            left = max(used - self.free_units, ZERO)
            yield left - priced
            priced = left

    def adjustments(self, amount: Decimal, *, share: Fraction, final: bool, earlier: Decimal) -> tuple[Adjustment, ...]:
        """Return what discounts, cap and minimum change of the model's `amount`, in this order; never a 0."""
        found: list[Adjustment] = []

        def become(changed: Decimal, phrase: Phrase) -> Decimal:
            if changed != amount:
                found.append(Adjustment(phrase=phrase, amount=changed - amount))
            return changed

        for discount in self.discounts:
            amount = become(discount.apply(amount), discount.phrase())
        if self.maximum_amount is not None:
            amount = become(min(amount, self.maximum_amount), ("cap", self.maximum_amount))
        if self.minimum_amount is not None and final:
            become(max(amount, prorated(self.minimum_amount, share) - earlier), ("minimum", self.minimum_amount))
        return tuple(found)


def prorated(amount: Decimal, share: Fraction) -> Decimal:
    """Return `share` of `amount`; multiplied before it is divided, so that a whole share is exact."""
    return amount if share is WHOLE or share == 1 else amount * share.numerator / share.denominator


def divided(quantity: Decimal, size: Decimal, rounding: Rounding) -> Decimal:
    """Return how many times `size` (above 0) goes into `quantity` (not below 0)."""
    if rounding is Rounding.NONE:
        return quantity / size
    started = 1 if rounding is Rounding.UP and quantity % size else 0
    return quantity // size + started
