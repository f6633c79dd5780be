"""One event to what it counts for: its account, the meters that count it, and whether its period had closed.

Place     reading -> [this] -> claiming. No I/O.
"""

import msgspec

from fakturo.consumers.usage.accounts import AccountMeters, OpenPeriods
from fakturo.consumers.usage.folding import Count
from fakturo.consumers.usage.reading import UsageEvent


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An event with its account and counts; a late one is stored and added to nothing."""

    event: UsageEvent
    account_id: str
    counts: list[Count]
    late: bool


def match(event: UsageEvent, account: AccountMeters, open_periods: OpenPeriods) -> Counted | None:
    """Return what `event` counts for, or None when no meter of the account counts it.

    Raises:
        MeterError: a meter that counts it finds no value, or one that is not a number of the price language.
    """
    counts = [
        count
        for meter in account.by_type.get(event.type, ())
        if (count := meter.count(event.type, event.data)) is not None
    ]
    if not counts:
        return None
    late = open_periods.is_late(account, event.at, event.record.watermark_at)
    return Counted(event, account.account_id, counts, late)
