"""What a price is applied to: a quantity, quantities by group, single events, peaks; and what comes of it.

Place     meter totals, raw events or the contract's quantity -> [this] -> models -> parts and amount -> rating.
Which     a price with `needs_events` looks at `events`; where there are none it takes a quantity above 0 for one event.
          Every other price looks at `quantity` and `groups`. `capacity` looks at `peaks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import field

from fakturo.engine.explanations import Phrase
from fakturo.engine.money import ONE, ZERO, exact_context

Groups = Mapping[tuple[str, ...], Decimal]
"""Dimension texts, in the order of `Usage.dimensions`, to the quantity of that group."""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that counts: its quantity, its own `amount` in the major unit, its time and its dimension texts.

    A negative quantity takes back something that was counted before. Events without a time come before all others.
    """

    quantity: Decimal = ONE
    amount: Decimal | None = None
    at: datetime | None = None
    properties: Mapping[str, str] = {}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """A total; `groups` splits it by `dimensions` where the meter groups. The default is zero usage.

    `events` are the single events, in the order in which they were told, where somebody kept them. `peaks` are the
    named quantities of `capacity`, one mapping for each time they were read.
    """

    quantity: Decimal = ZERO
    dimensions: tuple[str, ...] = ()
    groups: Groups = field(default_factory=dict)
    events: tuple[UsageEvent, ...] | None = None
    peaks: tuple[Mapping[str, Decimal], ...] = ()


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


def event_usage(events: Iterable[UsageEvent]) -> Usage:
    """Return usage by single events; its quantity is the sum of all events."""
    kept = tuple(events)
    with exact_context():
        return Usage(quantity=sum([event.quantity for event in kept], ZERO), events=kept)


def peak_usage(peaks: Sequence[Mapping[str, Decimal]]) -> Usage:
    """Return what `capacity` looks at: readings of named quantities."""
    return Usage(peaks=tuple(peaks))


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an amount, for explaining; a discount's or a cap's amount is negative.

    `phrase` says it (engine/explanations). `unit_amount` is None where units have no price.
    """

    phrase: Phrase
    quantity: Decimal
    unit_amount: Decimal | None
    amount: Decimal


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What the next unit costs: after `remaining` more units, each costs `unit_amount`."""

    remaining: Decimal
    unit_amount: Decimal


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """An exact, unrounded amount of `quantity` as it was used; the amounts of `parts` add up to it."""

    quantity: Decimal
    amount: Decimal
    parts: tuple[Part, ...]
