"""Single events: their order, and what of each a price looks at.

Place     `Usage.events` -> [this] -> Price, which prices them together or one by one.
Order     by time, ties in the order of the list; events without a time come first. Usage without events but with a
          quantity is one event of that quantity; usage of 0 is none.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from fakturo.engine.errors import PriceError
from fakturo.engine.modifiers import Modifiers
from fakturo.engine.prices.model import Amounts
from fakturo.engine.prices.usage import Usage, UsageEvent

_FIRST = datetime.min.replace(tzinfo=UTC)


def events_of(usage: Usage) -> Sequence[UsageEvent]:
    """Return the events, oldest first."""
    if usage.events is None:
        return (UsageEvent(quantity=usage.quantity),) if usage.quantity else ()
    return sorted(usage.events, key=lambda event: event.at or _FIRST)


def priced_quantity(event: UsageEvent, amounts: Amounts, modifiers: Modifiers) -> Decimal:
    """Return what of the event is priced: its own amount, or its quantity rounded up.

    Raises:
        PriceError: `event_amount_missing`.
    """
    if amounts is Amounts.UNREAD:
        return modifiers.incremented(event.quantity)
    if event.amount is not None:
        return event.amount
    if amounts is Amounts.REQUIRED:
        raise PriceError("event_amount_missing", "a dynamic price needs an amount in each event", "events")
    return modifiers.incremented(event.quantity)


def checked_total(total: Decimal) -> Decimal:
    """Return `total`.

    Raises:
        PriceError: `quantity_negative`.
    """
    if total < 0:
        raise PriceError("quantity_negative", f"the quantity {total:f} is below 0", "quantity")
    return total
