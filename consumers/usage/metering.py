"""Which meters an account has, which of its events are rated themselves, and what its stored events come to.

Place     projection, holding the contracts alone -> [this] -> projection_store, store.
Meter     a definition that an account did not have is totalled from the events that it has stored already, so it
          makes no difference whether a contract or its usage came first. Items whose periods have another length or
          anchor have a meter of their own: an event may be late for one and not for the other.
Raw       event types of which a price or a meter needs the events themselves are marked, those stored before too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import projection_store, store
from fakturo.consumers.usage.accounts import CountingMeter
from fakturo.consumers.usage.event_store import StoredEvent, stored_events
from fakturo.consumers.usage.folding import Count, Fold
from fakturo.consumers.usage.projection_store import ItemRow, ProjectedAccount
from fakturo.engine.errors import MeterError, PriceError
from fakturo.engine.meters import Aggregation, Meter, meter_of
from fakturo.engine.money import exact_context
from fakturo.engine.prices import parse_price
from fakturo.schemas.events.contracts import SubscriptionItem

_ZONES_APART = timedelta(hours=26)
"""No local midnight is further from that of UTC."""
_ALL_TIME = datetime(1, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(slots=True)
class _Wanted:
    """What the items of an account ask for."""

    meter_ids: set[int] = field(default_factory=set)
    raw_types: set[str] = field(default_factory=set)
    start_on: date = date.max


def rates_events(item: SubscriptionItem, meter: Meter, currency: str) -> bool:
    """Return whether the item's meter, or a price that it had or has, needs the events themselves."""
    return meter.needs_events or any(_needs_events(version.price, currency) for version in item.prices)


def _needs_events(price: dict[str, object], currency: str) -> bool:
    try:
        return parse_price(price, currency).needs_events
    except PriceError:
        return False  # nothing can be rated by it: its statement says so


async def save_meters(
    accounts: dict[str, ProjectedAccount], items: Sequence[ItemRow], version: int, tx: Transaction
) -> set[str]:
    """Note which meters and raw types each account has now; total the new ones. Returns who gained a meter."""
    wanted = {account_id: _Wanted() for account_id in accounts}
    for row in items:
        _want(wanted[row.account_id], row)
    gained: set[str] = set()
    for account_id, one in sorted(wanted.items()):
        had = set(accounts[account_id].meter_ids)
        if one.meter_ids - had:
            gained.add(account_id)
            if had:
                await _total_from_events(account_id, sorted(one.meter_ids - had), one.start_on, tx)
        new_types = one.raw_types.difference(accounts[account_id].raw_types)
        if had and new_types:
            await projection_store.mark_raw(tx.driver, account_id, sorted(new_types))
    rows = [(name, sorted(one.meter_ids), sorted(one.raw_types)) for name, one in sorted(wanted.items())]
    await projection_store.save_meter_ids(tx.driver, rows, version)
    return gained


def _want(wanted: _Wanted, row: ItemRow) -> None:
    wanted.meter_ids.add(row.meter_id)
    wanted.start_on = min(wanted.start_on, row.item.service_start_on)
    if row.item.meter is not None:
        meter = meter_of(row.item.meter)
        if rates_events(row.item, meter, row.currency):
            wanted.raw_types.add(meter.event_type)


async def _total_from_events(account_id: str, meter_ids: Sequence[int], start_on: date, tx: Transaction) -> None:
    """Total the account's stored events by meters that it did not have when they came; late ones count in no total.

    A level (`weighted_sum`) is the sum of all that ever came, everything else is asked for since service began.
    """
    fold = Fold()
    found = await projection_store.meters(tx.driver, meter_ids)
    meters = [CountingMeter(meter_id, meter_of(definition)) for meter_id, definition, _ in found]
    await projection_store.forget_rollups(tx.driver, account_id, meter_ids)
    types = sorted({one.meter.event_type for one in meters})
    from_at = datetime.combine(start_on, time.min, UTC) - _ZONES_APART
    if any(one.meter.aggregation is Aggregation.WEIGHTED_SUM for one in meters):
        from_at = _ALL_TIME
    async for event in stored_events(tx.driver, account_id, types, from_at, _END_OF_TIME):
        if event.late:
            continue
        counts = [count for meter in meters if (count := _count(meter, event)) is not None]
        with exact_context():
            fold.add(account_id, counts, event.at, event.recorded_at)
    if fold.totals:
        await store.add_rollups(tx.driver, fold.columns())


def _count(one: CountingMeter, event: StoredEvent) -> Count | None:
    """Return what `event` counts for; nothing where it holds no number: it was right for the meters of its time."""
    if event.type != one.meter.event_type:
        return None
    try:
        return one.count(event.type, msgspec.json.decode(event.data))
    except MeterError:
        return None
