"""Which meters an account has, which of its events are rated themselves, and what its stored events come to.

Place     projection, holding the contracts alone -> [this] -> projection_store, store.
Meter     a definition that an account did not have is totalled from the events that it has stored already, so it
          makes no difference whether a contract or its usage came first. Items whose periods have another length or
          anchor have a meter of their own: an event may be late for one and not for the other.
Raw       event types of which a price or a meter needs the events themselves are marked, those stored before too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

import msgspec

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import late_store, projection_store, store
from fakturo.consumers.usage.accounts import ZONES_APART, CountingMeter
from fakturo.consumers.usage.corrected_store import current_events
from fakturo.consumers.usage.event_store import StoredEvent, stored_events
from fakturo.consumers.usage.folding import Fold
from fakturo.consumers.usage.late import Aside
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.partitions import ensure_partitions
from fakturo.consumers.usage.projection_store import AccountMetersRow, ItemRow, ProjectedAccount
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import Aggregation, Meter, meter_of
from fakturo.engine.money import exact_context
from fakturo.engine.prices import parse_price
from fakturo.engine.schedule import Cadence
from fakturo.schemas.events.contracts import SubscriptionItem

EVENTS_AT_A_TIME = 5000
"""How many stored events are marked by one statement."""
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
    accounts: dict[str, ProjectedAccount],
    items: Sequence[ItemRow],
    version: int,
    open_periods: OpenPeriods,
    tx: Transaction,
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
                totals = _Totals(account_id, accounts[account_id], open_periods)
                await totals.take(sorted(one.meter_ids - had), one.start_on, tx)
        new_types = one.raw_types.difference(accounts[account_id].raw_types)
        if had and new_types:
            await _mark_raw(account_id, sorted(new_types), tx)
    rows = [
        AccountMetersRow(
            name, sorted(one.meter_ids), sorted(one.raw_types), one.start_on if one.start_on != date.max else None
        )
        for name, one in sorted(wanted.items())
    ]
    await projection_store.save_meter_ids(tx.driver, rows, version)
    return gained


async def _mark_raw(account_id: str, types: Sequence[str], tx: Transaction) -> None:
    """Mark the account's stored events of `types` to be rated themselves, a part at a time."""
    part: list[StoredEvent] = []
    async for event in stored_events(tx.driver, account_id, types, _ALL_TIME, _END_OF_TIME):
        part.append(event)
        if len(part) == EVENTS_AT_A_TIME:
            await projection_store.mark_raw(tx.driver, part)
            part = []
    if part:
        await projection_store.mark_raw(tx.driver, part)


def _want(wanted: _Wanted, row: ItemRow) -> None:
    wanted.meter_ids.add(row.meter_id)
    wanted.start_on = min(wanted.start_on, row.item.service_start_on)
    if row.item.meter is not None:
        meter = meter_of(row.item.meter)
        if rates_events(row.item, meter, row.currency):
            wanted.raw_types.add(meter.event_type)


@dataclass(slots=True)
class _Totals:
    """Takes the totals of an account's stored events by meters that it did not have when they came."""

    account_id: str
    account: ProjectedAccount
    open_periods: OpenPeriods
    fold: Fold = field(default_factory=Fold)
    aside: Aside = field(default_factory=Aside)

    async def take(self, meter_ids: Sequence[int], start_on: date, tx: Transaction) -> None:
        """Total what counts now by the meters; what came late for one waits for its tick as it would have.

        A level (`weighted_sum`) is the sum of all that ever came, everything else is asked for since service began.
        """
        found = await projection_store.meters(tx.driver, meter_ids)
        meters = [(CountingMeter(meter_id, meter_of(definition)), cadence) for meter_id, definition, cadence in found]
        await projection_store.forget_rollups(tx.driver, self.account_id, meter_ids)
        await late_store.forget_waiting(tx.driver, self.account_id, meter_ids)
        types = sorted({one.meter.event_type for one, _ in meters})
        from_at = datetime.combine(start_on, time.min, UTC) - ZONES_APART
        if any(one.meter.aggregation is Aggregation.WEIGHTED_SUM for one, _ in meters):
            from_at = _ALL_TIME
        async for event in current_events(tx.driver, self.account_id, types, from_at, _END_OF_TIME):
            for meter, cadence in meters:
                self._add(event, meter, cadence)
        await self.aside.save(tx)
        if self.fold.totals:
            await ensure_partitions(tx.driver, self.fold.months())
            await store.add_rollups(tx.driver, self.fold.columns())

    def _add(self, event: StoredEvent, meter: CountingMeter, cadence: Cadence) -> None:
        count = meter.count_stored(event.type, msgspec.json.decode(event.data))
        if count is None:
            return
        versions = self.account.content.versions if self.account.content else ()
        late = self.open_periods.is_late(versions, event.at, event.watermark_at, cadence)
        with exact_context():
            if late:
                self.aside.add(event.watermark_at, self.account_id, (count,), event.at, event.recorded_at)
            else:
                self.fold.add(self.account_id, (count,), event.at, event.recorded_at)
