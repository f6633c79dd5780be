"""One event to what it counts for: its account, the meters that count it, and whether its period had closed.

Place     reading -> [this] -> claiming. No I/O.
"""

from datetime import datetime

import msgspec

from fakturo.consumers.usage.accounts import AccountMeters
from fakturo.consumers.usage.folding import Count
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.reading import UsageEvent


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An event with its account and counts; a late one is stored and added to nothing.

    `late_for` are the meters for which it is late while it counts for others: their counts are not in `counts`. `raw`
    says that the account is rated by events of this type themselves.
    """

    event: UsageEvent
    account_id: str
    counts: list[Count]
    late: bool
    raw: bool = False
    late_for: tuple[int, ...] = ()


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
    raw, watermark_at = event.type in account.raw_types, event.record.watermark_at
    if account.cadences:
        return _match_by_cadence(event, account, counts, open_periods, watermark_at)
    late = open_periods.is_late(account.versions, event.at, watermark_at)
    return Counted(event, account.account_id, counts, late, raw)


def _match_by_cadence(
    event: UsageEvent,
    account: AccountMeters,
    counts: list[Count],
    open_periods: OpenPeriods,
    watermark_at: datetime | None,
) -> Counted:
    """Return what `event` counts for where meters of the account have periods of different lengths or anchors."""
    late_for = tuple(
        count[0]
        for count in counts
        if open_periods.is_late(account.versions, event.at, watermark_at, account.cadences.get(count[0]))
    )
    raw = event.type in account.raw_types
    if len(late_for) == len(counts):
        return Counted(event, account.account_id, counts, True, raw)
    open_counts = [count for count in counts if count[0] not in late_for] if late_for else counts
    return Counted(event, account.account_id, open_counts, False, raw, late_for)
