"""Quarters of an hour totalled again from their events, where a correction took out what cannot be subtracted.

Place     exchanging, `advance` -> [this] -> corrected_store.current_events -> folding -> `usage.rollup`.
When      at once where the quarter is open, else at the tick, from what that tick knows. A quarter that late usage
          waits for is left to the tick that brings it: what waits would be counted twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, removal_store
from fakturo.consumers.usage.accounts import CountingMeter
from fakturo.consumers.usage.corrected_store import current_events
from fakturo.consumers.usage.folding import QUARTER_SECONDS, Fold
from fakturo.consumers.usage.late import revise_stated
from fakturo.consumers.usage.late_store import Quarter
from fakturo.engine.meters import meter_of
from fakturo.engine.money import exact_context


async def at_once(quarters: Sequence[Quarter], tx: Transaction) -> None:
    """Total `quarters` again, or have the tick do so that late usage of them waits for."""
    if not quarters:
        return
    waiting = await removal_store.waiting_quarters(tx.driver, quarters)
    await removal_store.retotal_later(tx.driver, sorted((known_at, quarter) for quarter, known_at in waiting.items()))
    await _retotal([quarter for quarter in quarters if quarter not in waiting], None, tx)


async def at_tick(to: datetime, limit: int, tx: Transaction) -> bool:
    """Total up to `limit` quarters that were known before `to` again; return whether there may be more."""
    quarters = await removal_store.take_due(tx.driver, to, limit)
    await _retotal(sorted(set(quarters)), to, tx)
    await revise_stated(sorted(set(quarters)), tx)
    return len(quarters) == limit


async def _retotal(quarters: Sequence[Quarter], known_before: datetime | None, tx: Transaction) -> None:
    if not quarters:
        return
    found = await account_store.find_meters(tx.driver, sorted({meter_id for _, meter_id, _ in quarters}))
    meters = {meter_id: CountingMeter(meter_id, meter_of(definition)) for meter_id, definition, _ in found}
    fold = Fold()
    for account_id, meter_id, start_at in quarters:
        one, end_at = meters[meter_id], start_at + timedelta(seconds=QUARTER_SECONDS)
        types = [one.meter.event_type]
        async for event in current_events(tx.driver, account_id, types, start_at, end_at, known_before):
            count = one.count_stored(event.type, msgspec.json.decode(event.data))
            if count is not None:
                with exact_context():
                    fold.add(account_id, (count,), event.at, event.recorded_at)
    if fold.folded:
        await removal_store.replace_rollups(tx.driver, fold.columns())
