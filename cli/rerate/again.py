"""Totals and statements of an account, computed again from the raw events as they count now.

Place     consumers/usage events -> [this] -> comparing. One pass over the account's events of the stretch, folded as
          the agent folds them; where a meter or a price looks at single events, these are read for its stretches.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import msgspec

from fakturo.cli.history import books
from fakturo.cli.history.books import Stretch
from fakturo.cli.history.periods import PricedPeriod, priced_period, wanted_totals
from fakturo.cli.rerate.wanted import Account, Stated
from fakturo.consumers.usage.corrected_store import current_events
from fakturo.consumers.usage.folding import Fold, RollupKey, Total
from fakturo.engine.meters import Aggregation, Rollup
from fakturo.engine.money import exact_context
from fakturo.engine.periods import Period
from fakturo.schemas.events.usage import UsageRated

_QUARTER_SECONDS = 900

Totals = dict[RollupKey, Total]
"""Totals by account, meter, quarter of an hour and dimensions."""


async def totals_again(connection: asyncpg.Connection, account: Account, within: Period) -> Totals:
    """Return the totals of every meter of the account in `within`."""
    fold = Fold()
    types = sorted({one.meter.event_type for one in account.meters})
    async for event in current_events(connection, account.account_id, types, within.start_at, within.end_at):
        data = msgspec.json.decode(event.data)
        counts = [count for meter in account.meters if (count := meter.count_stored(event.type, data))]
        with exact_context():
            fold.add(account.account_id, counts, event.at, event.recorded_at)
    return fold.totals


async def statements_again(
    connection: asyncpg.Connection, account: Account, stated: Sequence[Stated]
) -> list[UsageRated]:
    """Return the statement of each of `stated`, in their order, at the prices as they are now.

    Raises:
        PriceError: a price that cannot be read, a group that no cell covers, a total below 0.
    """
    periods = [priced_period(one.item.sold, one.item.sold.item, one.period) for one in stated]
    await _read_usage(connection, account, periods, [one.item.meter_id for one in stated])
    return [one.statement(one.used()) for one in periods]


async def _read_usage(
    connection: asyncpg.Connection, account: Account, periods: Sequence[PricedPeriod], meter_ids: Sequence[int]
) -> None:
    """Fill in the stretches of `periods`, whose meters are `meter_ids`: totals of the events, or the events."""
    singly = [one for one in wanted_totals(periods) if one.singly]
    for wanted in singly:
        weighted = wanted.meter.aggregation == Aggregation.WEIGHTED_SUM
        await books.read_events(connection, wanted.meter, wanted.stretches, since_ever=weighted)
    left = [
        (meter_id, stretch)
        for period, meter_id in zip(periods, meter_ids, strict=True)
        for stretch in period.stretches
        if stretch.events is None
    ]
    if not left:
        return
    start_at, end_at = min(one.period.start_at for _, one in left), max(one.period.end_at for _, one in left)
    totals = await totals_again(connection, account, Period(start_at=start_at, end_at=end_at))
    for key in sorted(totals):
        for meter_id, stretch in left:
            if meter_id == key[1] and stretch.period.contains(_quarter_at(key)):
                _merge(stretch, key[3], totals[key])


def _merge(stretch: Stretch, dimensions: str, total: Total) -> None:
    with exact_context():
        stretch.groups[dimensions] = stretch.groups.get(dimensions, Rollup()).merge(
            Rollup(
                count=total.event_count,
                total=total.sum_value,
                highest=total.max_value,
                lowest=total.min_value,
                last=total.last_value,
                last_at=total.last_at,
            )
        )


def _quarter_at(key: RollupKey) -> datetime:
    return datetime.fromtimestamp(key[2] * _QUARTER_SECONDS, UTC)
