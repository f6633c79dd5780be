"""Where a usage stands in its price: the tier it has reached, and what the next units cost.

Place     price + usage so far -> [this] -> the running statement.
Units     as they are used: before a transform, free ones included. `amount` is of `per_units` of them together: of one,
          or of a package. Percentage discounts are taken off, a cap that is reached makes it 0; a minimum and discounts
          of a fixed amount are not looked at.
None      where units have no price of their own: events priced singly or by their amounts, matrix, capacity, licensed.
Volume    says the unit price that holds for all units there; the units before cost the same.
"""

from decimal import Decimal

import msgspec

from fakturo.engine.modifiers import Modifiers, Rounding
from fakturo.engine.money import ONE, ZERO, exact_context
from fakturo.engine.prices.flat import Flat
from fakturo.engine.prices.graduated import Graduated
from fakturo.engine.prices.package import Package
from fakturo.engine.prices.per_unit import PerUnit
from fakturo.engine.prices.price import Price
from fakturo.engine.prices.tiers import Tier
from fakturo.engine.prices.usage import Usage
from fakturo.engine.prices.volume import Volume

_HUNDRED = Decimal(100)
_TIERED = (Graduated, Volume)
_OF_UNITS = (PerUnit, Graduated, Volume, Package)


class TierReached(msgspec.Struct, frozen=True, kw_only=True):
    """The tier that a usage lands in: `number` of `count`, from 1; units above `after` up to `up_to` (None: no end)."""

    number: int
    count: int
    after: Decimal
    up_to: Decimal | None
    unit_amount: Decimal


class NextUnits(msgspec.Struct, frozen=True, kw_only=True):
    """What the next units cost: `amount` for each `per_units`, as long as `remaining` lasts (None: no end)."""

    amount: Decimal
    per_units: Decimal = ONE
    remaining: Decimal | None = None


def tier_reached(price: Price, usage: Usage) -> TierReached | None:
    """Return the tier of `graduated` and `volume` prices that `usage` has reached, bounds in units of usage."""
    model, modifiers = price.model, price.modifiers
    if not isinstance(model, _TIERED) or price.licensed or price.needs_events:
        return None
    with exact_context():
        quantity = modifiers.billable(usage.quantity)
        number, tier = next((index, tier) for index, tier in enumerate(model.tiers, start=1) if tier.holds(quantity))
        return TierReached(
            number=number,
            count=len(model.tiers),
            after=_bound(tier.after, modifiers) if tier.after else ZERO,
            up_to=None if tier.up_to is None else _bound(tier.up_to, modifiers),
            unit_amount=tier.unit_amount,
        )


def next_units(price: Price, usage: Usage, amount: Decimal) -> NextUnits | None:
    """Return what the units after `usage` cost, which came to the exact `amount`; None where units have no price."""
    if price.licensed or price.needs_events:
        return None
    modifiers = price.modifiers
    with exact_context():
        found = _listed(price, usage.quantity)
        if found is None:
            return None
        if modifiers.maximum_amount is not None and amount >= modifiers.maximum_amount:
            return NextUnits(amount=ZERO)
        left = found.amount
        for discount in modifiers.discounts:
            left = left if discount.percent is None else discount.apply(left)
        return NextUnits(amount=left, per_units=found.per_units, remaining=found.remaining)


def _listed(price: Price, used: Decimal) -> NextUnits | None:
    """Return what the price list says of the next units, before discounts and cap."""
    model, modifiers = price.model, price.modifiers
    if Rounding.DOWN in (modifiers.divide_round, getattr(model, "rounding", None)):
        return None  # one unit does not lead on
    free_left = _bound(ZERO, modifiers) - used
    if free_left > 0 and isinstance(model, _OF_UNITS):
        return NextUnits(amount=ZERO, remaining=free_left)
    match model:
        case Flat():
            return NextUnits(amount=ZERO)
        case PerUnit():
            return _stepped(NextUnits(amount=model.unit_amount), used, modifiers)
        case Graduated() | Volume():
            return _stepped(_in_tier(model.tiers, used, modifiers), used, modifiers)
        case Package() if modifiers.divide_by is None:
            size, beyond = model.package_size, max(used - modifiers.free_units, ZERO)
            return _of_blocks(NextUnits(amount=model.package_amount), beyond, size)
        case _:
            return None


def _in_tier(tiers: tuple[Tier, ...], used: Decimal, modifiers: Modifiers) -> NextUnits:
    """Return the tier that the next unit lands in: after exactly `up_to`, the one behind it."""
    quantity = max(modifiers.transformed(used) - modifiers.free_units, ZERO)
    tier = next(tier for tier in tiers if tier.up_to is None or quantity < tier.up_to)
    remaining = None if tier.up_to is None else _bound(tier.up_to, modifiers) - used
    return NextUnits(amount=tier.unit_amount, remaining=remaining)


def _stepped(units: NextUnits, used: Decimal, modifiers: Modifiers) -> NextUnits:
    """Return `units` where a transform prices several of them as one."""
    size = modifiers.divide_by
    if size is None:
        return units
    if modifiers.divide_round is Rounding.NONE:
        return NextUnits(amount=units.amount, per_units=size, remaining=units.remaining)
    return _of_blocks(units, used, size)


def _of_blocks(units: NextUnits, used: Decimal, size: Decimal) -> NextUnits:
    """Return what the next units cost where a started block counts whole: nothing, to the end of one that has begun."""
    begun = used % size
    if begun:
        return NextUnits(amount=ZERO, remaining=size - begun)
    return NextUnits(amount=units.amount, per_units=size, remaining=units.remaining)


def _bound(quantity: Decimal, modifiers: Modifiers) -> Decimal:
    """Return a bound of priced units in units of usage: behind the free ones, before the transform."""
    return (quantity + modifiers.free_units) * (modifiers.divide_by or ONE)
