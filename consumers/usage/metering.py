"""Which meters an account has, which of its events are rated themselves, and what its stored events come to.

Place     projection, holding the contracts alone -> [this] -> projection_store, store.
Meter     a definition that an account did not have is totalled from the events that it has stored already, so it
          makes no difference whether a contract or its usage came first. Items whose periods have another length or
          anchor have a meter of their own: an event may be late for one and not for the other.
From      where service begins: a new meter reads no more of the account's history than its items ask for. From when on
          totals are complete is kept (`usage.account_meter`), so a service that turns out to have begun earlier has
          what is missing totalled, too. Only an account that never had a meter has no stored events.
Raw       event types of which a price or a meter needs the events themselves are marked, those stored before too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

import msgspec

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import projection_store, store
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
    """What the items of an account ask for: meters, each from when on, and event types that are rated themselves."""

    from_at: dict[int, datetime] = field(default_factory=dict)
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
    totalled: list[tuple[str, int, datetime]] = []
    for account_id, one in sorted(wanted.items()):
        account = accounts[account_id]
        if one.from_at.keys() - set(account.meter_ids):
            gained.add(account_id)
        missing = _missing(account, one)
        if account.totalled_from:
            await _Totals(account_id, account, open_periods).take(missing, tx)
            await _mark_raw(account_id, sorted(one.raw_types.difference(account.raw_types)), tx)
        # Nothing is stored of who never had a meter: all that will come is counted.
        totalled += [
            (account_id, each.meter_id, each.from_at if account.totalled_from else _ALL_TIME) for each in missing
        ]
    rows = [
        AccountMetersRow(
            name, sorted(one.from_at), sorted(one.raw_types), one.start_on if one.start_on != date.max else None
        )
        for name, one in sorted(wanted.items())
    ]
    await projection_store.save_meter_ids(tx.driver, rows, version)
    await projection_store.save_totalled_from(tx.driver, totalled)
    return gained


@dataclass(frozen=True, slots=True)
class _Missing:
    """A stretch of time of which a meter's totals lack stored events."""

    meter_id: int
    from_at: datetime
    until_at: datetime


def _missing(account: ProjectedAccount, wanted: _Wanted) -> list[_Missing]:
    """Return what is missing: all for a meter that the account does not have now, else what came before its totals."""
    found = []
    for meter_id, from_at in sorted(wanted.from_at.items()):
        until_at = account.totalled_from.get(meter_id) if meter_id in account.meter_ids else None
        if until_at is None or from_at < until_at:
            found.append(_Missing(meter_id, from_at, until_at or _END_OF_TIME))
    return found


async def _mark_raw(account_id: str, types: Sequence[str], tx: Transaction) -> None:
    """Mark the account's stored events of `types` to be rated themselves, a part at a time."""
    if not types:
        return
    part: list[StoredEvent] = []
    async for event in stored_events(tx.driver, account_id, types, _ALL_TIME, _END_OF_TIME):
        part.append(event)
        if len(part) == EVENTS_AT_A_TIME:
            await projection_store.mark_raw(tx.driver, part)
            part = []
    if part:
        await projection_store.mark_raw(tx.driver, part)


def _want(wanted: _Wanted, row: ItemRow) -> None:
    wanted.start_on = min(wanted.start_on, row.item.service_start_on)
    from_at = datetime.combine(row.item.service_start_on, time.min, UTC) - ZONES_APART
    if row.item.meter is not None:
        meter = meter_of(row.item.meter)
        if rates_events(row.item, meter, row.currency):
            wanted.raw_types.add(meter.event_type)
        if meter.aggregation is Aggregation.WEIGHTED_SUM:
            from_at = _ALL_TIME  # a level is the sum of all that ever came
    wanted.from_at[row.meter_id] = min(from_at, wanted.from_at.get(row.meter_id, from_at))


@dataclass(slots=True)
class _Totals:
    """Takes the totals of an account's stored events by meters that it did not have when they came."""

    account_id: str
    account: ProjectedAccount
    open_periods: OpenPeriods
    fold: Fold = field(default_factory=Fold)
    aside: Aside = field(default_factory=Aside)

    async def take(self, missing: Sequence[_Missing], tx: Transaction) -> None:
        """Total what counts now of what is `missing`; what came late for a meter waits for its tick all the same."""
        if not missing:
            return
        found = await projection_store.meters(tx.driver, [one.meter_id for one in missing])
        meters = {
            meter_id: (CountingMeter(meter_id, meter_of(definition)), cadence)
            for meter_id, definition, cadence in found
        }
        for one in missing:
            await projection_store.forget_totals(tx.driver, self.account_id, one.meter_id, one.from_at, one.until_at)
        types = sorted({meter.meter.event_type for meter, _ in meters.values()})
        from_at, until_at = min(one.from_at for one in missing), max(one.until_at for one in missing)
        async for event in current_events(tx.driver, self.account_id, types, from_at, until_at):
            for one in missing:
                if one.from_at <= event.at < one.until_at:
                    self._add(event, *meters[one.meter_id])
        await self.aside.save(tx)
        if self.fold.folded:
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
