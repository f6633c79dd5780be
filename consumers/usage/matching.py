"""One event to what it counts for: its account, the meters that count it, and whether its period had closed.

Place     reading -> [this] -> claiming; corrections ask the same of what they take out. No I/O.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fakturo.consumers.usage.accounts import NEVER_CLOSED, AccountMeters
from fakturo.consumers.usage.folding import Count
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.reading import UsageEvent

WATERMARKS_MAX = 8
"""How many watermarks an account remembers: one a partition, most often."""


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An event with its account and counts: `counts` are added to the totals, `late_counts` wait for the next tick.

    `raw` says that the account is rated by events of this type themselves.
    """

    event: UsageEvent
    account_id: str
    counts: Sequence[Count]
    late_counts: Sequence[Count] = ()
    raw: bool = False


def match(event: UsageEvent, account: AccountMeters, open_periods: OpenPeriods) -> Counted | None:
    """Return what `event` counts for, or None when no meter of the account counts it.

    Raises:
        MeterError: a meter that counts it finds no value, or one that is not a number of the price language.
    """
    data, counts = event.data, []
    for count_of in account.counters.get(event.type, ()):
        count = count_of(data)
        if count is not None:
            counts.append(count)
    if not counts:
        return None
    raw = event.type in account.raw_types
    watermark_at = event.record.watermark_at
    if not account.cadences:  # as in split_late, which would be called for every event
        late_before = account.late_before.get(watermark_at)
        if late_before is not None and event.at >= late_before:
            return Counted(event, account.account_id, counts, (), raw)
    open_counts, late_counts = split_late(counts, event.at, watermark_at, account, open_periods)
    return Counted(event, account.account_id, open_counts, late_counts, raw)


def split_late(
    counts: Sequence[Count],
    at: datetime,
    watermark_at: datetime | None,
    account: AccountMeters,
    open_periods: OpenPeriods,
) -> tuple[Sequence[Count], Sequence[Count]]:
    """Return the counts of an event of `at` that came at `watermark_at`: those on time, and those that are late."""
    if not account.cadences:  # all periods are calendar months
        late_before = account.late_before.get(watermark_at)
        if late_before is None:
            late_before = _late_before(account, watermark_at, open_periods)
        return ((), counts) if at < late_before else (counts, ())
    late_for = {
        count[0]
        for count in counts
        if at < account.closed_until.get(count[0], NEVER_CLOSED)
        or open_periods.is_late(account.versions, at, watermark_at, account.cadences.get(count[0]))
    }
    if not late_for:
        return counts, ()
    return [one for one in counts if one[0] not in late_for], [one for one in counts if one[0] in late_for]


def _late_before(account: AccountMeters, watermark_at: datetime | None, open_periods: OpenPeriods) -> datetime:
    """Return before when usage of an account with calendar months is late, and remember it."""
    open_from = open_periods.open_from(account.versions, watermark_at) or NEVER_CLOSED
    if len(account.late_before) >= WATERMARKS_MAX:
        account.late_before.clear()
    account.late_before[watermark_at] = found = max(open_from, account.closed_until_at)
    return found
