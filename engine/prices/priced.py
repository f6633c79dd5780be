"""What comes before the model: which quantity, which events or which readings of a usage are priced.

Place     usage -> [this], with the price's modifiers -> the model's own input, and parts of no amount that tell of it.
Totals    increments of each event, then transform and free units on the total.
Singly    with `per_event`, or a model that rates events: transform on each event, free units used up oldest first. An
          event that takes something back is priced as such an event is, and counts negative.
Capacity  transform and free units on each reading; with `per_event` each reading is priced by itself.
Matrix    everything in each cell by itself.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec import field

from fakturo.engine.modifiers import Modifiers
from fakturo.engine.money import ZERO
from fakturo.engine.prices.capacity import Capacity
from fakturo.engine.prices.events import checked_total, events_of, priced_quantity
from fakturo.engine.prices.matrix import Cell, Matrix
from fakturo.engine.prices.model import Amounts, Model, plain_part
from fakturo.engine.prices.usage import NO_USAGE, Part, Usage, UsageEvent, peak_usage

Signed = tuple[int, Usage]
"""1 or -1, and a usage that is not negative."""


class Lot(msgspec.Struct, frozen=True):
    """What landed in a cell of a matrix: one usage, or one for each event; `quantity` is all of it as it was used."""

    cell: Cell
    usages: Sequence[Signed]
    quantity: Decimal


class Priced(msgspec.Struct, frozen=True):
    """The model's input: `usage`, or `singles` where each event is priced by itself, or the `lots` of a matrix.

    `total` is what was used, rounded up by increments, in the units that transform and free units act on.
    """

    usage: Usage
    total: Decimal
    parts: tuple[Part, ...] = ()
    singles: Sequence[Signed] | None = None
    lots: Sequence[Lot] = field(default=())


def priced(usage: Usage, model: Model, modifiers: Modifiers) -> Priced:
    """Return what `model` has to price of `usage`; called inside `exact_context()`.

    Raises as `Price.charge`.
    """
    if isinstance(model, Matrix):
        lots = [_lot(cell, landed, modifiers) for cell, landed in model.split(usage)]
        return Priced(NO_USAGE, usage.quantity, lots=lots)
    if isinstance(model, Capacity):
        return _of_readings(usage, model, modifiers)
    if model.rates_events or modifiers.per_event:
        return _of_events(usage, model, modifiers)
    total = usage.quantity
    if modifiers.increments is not None or model.amounts is not Amounts.UNREAD:
        # Else the total is the meter's, which need not be the sum of the events.
        values = [priced_quantity(event, model.amounts, modifiers) for event in events_of(usage)]
        total = checked_total(sum(values, ZERO))
    if not modifiers.change_quantities and total == usage.quantity:
        return Priced(usage, total)
    left = modifiers.billable(total)
    return Priced(Usage(quantity=left, events=usage.events), total, _told(usage, total, left, modifiers))


def _of_events(usage: Usage, model: Model, modifiers: Modifiers) -> Priced:
    """Return the events with what is to be priced as their quantities."""
    values = [priced_quantity(event, model.amounts, modifiers) for event in events_of(usage)]
    total = checked_total(sum(values, ZERO))
    left = list(modifiers.billable_each(values))
    parts = _told(usage, total, sum(left, ZERO), modifiers, singly=True)
    if not modifiers.per_event or model.rates_events:
        # What free units covered whole is no event any more.
        kept = [one for value, one in zip(values, left, strict=True) if one or not value]
        events = tuple(UsageEvent(quantity=one) for one in kept)
        return Priced(Usage(quantity=sum(kept, ZERO), events=events), total, parts)
    singles = [_signed(value, one) for value, one in zip(values, left, strict=True)]
    return Priced(NO_USAGE, total, parts, singles=singles)


def _signed(value: Decimal, left: Decimal) -> Signed:
    quantity = abs(left)
    return (-1 if value < 0 else 1), Usage(quantity=quantity, events=(UsageEvent(quantity=quantity),))


def _of_readings(usage: Usage, model: Capacity, modifiers: Modifiers) -> Priced:
    readings = [
        {name: modifiers.billable(quantity) for name, quantity in reading.items()} for reading in model.readings(usage)
    ]
    if modifiers.per_event:
        return Priced(NO_USAGE, usage.quantity, singles=[(1, peak_usage([one])) for one in readings])
    return Priced(peak_usage(readings), usage.quantity)


def _lot(cell: Cell, landed: Usage, modifiers: Modifiers) -> Lot:
    if not modifiers.per_event and not modifiers.change_quantities:
        return Lot(cell, ((1, landed),), landed.quantity)
    events = events_of(landed)
    values = [modifiers.incremented(event.quantity) for event in events]
    left = list(modifiers.billable_each(values))
    if not modifiers.per_event:
        total = sum(values, ZERO) if modifiers.increments is not None else landed.quantity
        changed = [msgspec.structs.replace(event, quantity=one) for event, one in zip(events, left, strict=True)]
        usage = Usage(quantity=modifiers.billable(checked_total(total)), events=tuple(changed))
        return Lot(cell, ((1, usage),), landed.quantity)
    singles = []
    for event, value, one in zip(events, values, left, strict=True):
        amount = None if event.amount is None else abs(event.amount)
        changed_event = msgspec.structs.replace(event, quantity=abs(one), amount=amount)
        singles.append((-1 if value < 0 else 1, Usage(quantity=abs(one), events=(changed_event,))))
    return Lot(cell, singles, landed.quantity)


def _told(
    usage: Usage, total: Decimal, left: Decimal, modifiers: Modifiers, *, singly: bool = False
) -> tuple[Part, ...]:
    """Return the parts that cost nothing: what increments and a transform made of the quantity, and free units."""
    parts = []
    if modifiers.increments is not None and total != usage.quantity:
        parts.append(plain_part(("incremented", total), quantity=total))
    quantity = total
    if modifiers.divide_by is not None:
        # Event by event the quotients are rounded singly; what is left is theirs.
        quantity = left if singly and not modifiers.free_units else modifiers.transformed(total)
        parts.append(plain_part(("divided", quantity, modifiers.divide_by), quantity=quantity))
    free = min(quantity, modifiers.free_units)
    if free:
        parts.append(plain_part(("free", free), quantity=free))
    return tuple(parts)
