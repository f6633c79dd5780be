"""One event to what it counts for: its account, the meters that count it, and whether its period had closed.

Place     reading -> [this] -> claiming. No I/O.
"""

from decimal import Decimal

import msgspec

from fakturo.consumers.usage.accounts import AccountMeters, OpenPeriods
from fakturo.consumers.usage.folding import dimensions_text
from fakturo.consumers.usage.reading import UsageEvent


class Count(msgspec.Struct, frozen=True, gc=False):
    """What an event adds to one meter."""

    meter_id: int
    dimensions: str
    value: Decimal


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An event with its account and counts; a late one is stored and added to nothing."""

    event: UsageEvent
    account_id: str
    counts: tuple[Count, ...]
    late: bool


def match(event: UsageEvent, account: AccountMeters, open_periods: OpenPeriods) -> Counted | None:
    """Return what `event` counts for, or None when no meter of the account counts it.

    Raises:
        MeterError: a meter that counts it finds no value, or one that is not a number of the price language.
    """
    data = event.data
    counts = tuple(
        [
            Count(one.meter_id, dimensions_text(one.meter.group_by, one.meter.dimensions(data)), one.meter.value(data))
            for one in account.by_type.get(event.type, ())
            if one.meter.matches(event.type, data)
        ]
    )
    if not counts:
        return None
    late = open_periods.is_late(account, event.at, event.record.watermark_at)
    return Counted(event, account.account_id, counts, late)
