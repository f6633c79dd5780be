"""What a price is applied to: a quantity, or quantities by group; and what comes of it.

Place     meter totals or the contract's quantity -> [this] -> models -> parts and amount -> rating.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from fakturo.engine.money import ZERO, exact_context

Groups = Mapping[tuple[str, ...], Decimal]
"""Dimension texts, in the order of `Usage.dimensions`, to the quantity of that group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A total; `groups` splits it by `dimensions` where the meter groups. The default is zero usage."""

    quantity: Decimal = ZERO
    dimensions: tuple[str, ...] = ()
    groups: Groups = field(default_factory=dict)


NO_USAGE = Usage()
"""Zero usage, without groups."""


def usage_of(quantity: Decimal | int) -> Usage:
    """Return usage without groups."""
    return Usage(quantity=Decimal(quantity))


def grouped_usage(dimensions: tuple[str, ...], groups: Groups) -> Usage:
    """Return usage by group; its quantity is the sum of all groups."""
    with exact_context():
        total = sum(groups.values(), ZERO)
    return Usage(quantity=total, dimensions=dimensions, groups=groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One step of an amount, for explaining; a discount's or a cap's amount is negative.

    `text` is its place in the invoice's sentence ("500 at 120.00"), `description` the same standing alone
    ("500 movements at 120.00"). `unit_amount` is None where units have no price.
    """

    text: str
    description: str
    quantity: Decimal
    unit_amount: Decimal | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the next unit costs: after `remaining` more units, each costs `unit_amount`."""

    remaining: Decimal
    unit_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """An exact, unrounded amount of `quantity` as it was used; the amounts of `parts` add up to it."""

    quantity: Decimal
    amount: Decimal
    parts: tuple[Part, ...]
