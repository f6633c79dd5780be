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
    """One step of an amount, for explaining: `quantity` at `unit_amount` plus `flat_amount` makes `amount`.

    `text` is how the invoice says it: "500 at 120.00".
    """

    text: str
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
    """An exact, unrounded amount; `parts` explain the model's share of it, `notes` what modifiers did to it.

    `quantity` is what was used, before free units and transforms.
    """

    quantity: Decimal
    amount: Decimal
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
