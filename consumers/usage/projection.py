"""Contracts as the usage agent needs them: accounts, meters and metered items with the period that is next.

Place     handler, holding the contracts alone -> [this] -> projection_store; what it returns is released from parking.
Past      what a contract says of periods that were finalized is rated again by `advance` (revisions).
Pointer   of an item: derived from its contract, its account's zone and what was finalized, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import meter_identity, metering, projection_store, revisions, store
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.projection_store import ItemRow, ProjectedAccount
from fakturo.consumers.usage.revisions import ChangedItem
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import meter_of
from fakturo.engine.schedule import cadence_of, next_item_period
from fakturo.schemas.codec import decode_event
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import AccountChanged, Subscription
from fakturo.schemas.events.sales import OpportunityChanged

Change = tuple[Record, AccountChanged | Subscription]


def read_contracts(records: Sequence[Record], tx: Transaction) -> list[Change]:
    """Return what the records of `billing.contracts` say of usage; reject what cannot be read or metered."""
    changes: list[Change] = []
    for record in records:
        try:
            read = _read(record)
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        if read is None:
            tx.count(record.topic, "applied")
        else:
            changes.append((record, read))
    return changes


def _read(record: Record) -> AccountChanged | Subscription | None:
    """Return an account or a subscription, None for what sales alone sees."""
    event = decode_event(record.value, record.headers)
    data = event.data
    if isinstance(data, OpportunityChanged):
        return None
    if not isinstance(data, AccountChanged | Subscription):
        raise SchemaError(Reason.UNKNOWN_TYPE, f"{event.type!r} is no contract", "$.type")
    if isinstance(data, Subscription):
        _check_meters(data)
    return data


def _check_meters(subscription: Subscription) -> None:
    for index, item in enumerate(subscription.items):
        if item.meter is not None:
            try:
                meter_of(item.meter)
            except PriceError as error:
                raise SchemaError(Reason.UNKNOWN_SHAPE, error.message, f"$.data.items[{index}].{error.path}") from error


@dataclass(slots=True)
class _Newest:
    """The last word on each account and subscription in a batch, with its record."""

    accounts: dict[str, tuple[Record, AccountChanged]] = field(default_factory=dict)
    subscriptions: dict[str, tuple[Record, Subscription]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Applies contracts to the book; no period is opened on or after `billing_until`."""

    billing_until: date | None
    open_periods: OpenPeriods

    async def apply(self, changes: Sequence[Change], tx: Transaction) -> list[str]:
        """Apply `changes`; return the references whose parked records may be counted now."""
        newest = _newest(changes)
        version = await projection_store.next_version(tx.driver)
        named = await projection_store.save_accounts(tx.driver, [data for _, data in newest.accounts.values()], version)
        await self._save_subscriptions(newest, tx)
        touched = {*newest.accounts, *(data.account for _, data in newest.subscriptions.values())}
        accounts = await projection_store.load_accounts(tx.driver, sorted(touched))
        items = await projection_store.load_items(tx.driver, sorted(touched))
        await projection_store.save_pointers(tx.driver, self._pointers(accounts, items))
        await revisions.queue(_changed(newest, items), accounts, self.billing_until, tx)
        gained = await metering.save_meters(accounts, items, version, self.open_periods, tx)
        await _mark(newest, items, tx)
        return sorted(named | _references(accounts, newest, gained))

    async def _save_subscriptions(self, newest: _Newest, tx: Transaction) -> None:
        metered = [
            (record, subscription, item)
            for record, subscription in newest.subscriptions.values()
            for item in subscription.items
            if item.meter is not None
        ]
        definitions = {
            meter_identity.hash_of(item): (item.meter, cadence_of(item))
            for _, _, item in metered
            if item.meter is not None
        }
        meter_ids = await projection_store.save_meters(tx.driver, definitions)
        rows = [
            ItemRow(
                subscription_item=item.subscription_item,
                subscription_id=subscription.subscription_id,
                account_id=subscription.account,
                currency=subscription.currency,
                meter_id=meter_ids[meter_identity.hash_of(item)],
                item=item,
                recorded_at=subscription.recorded_at,
                known_watermark_at=record.watermark_at,
            )
            for record, subscription, item in metered
            if item.meter is not None
        ]
        await projection_store.save_items(tx.driver, sorted(rows, key=lambda row: row.subscription_item))
        kept = [row.subscription_item for row in rows]
        await projection_store.remove_items(tx.driver, sorted(newest.subscriptions), kept)

    def _pointers(
        self, accounts: dict[str, ProjectedAccount], items: Sequence[ItemRow]
    ) -> list[tuple[str, datetime | None, datetime | None]]:
        """Return (item, period start, period end), Nones where no period is next or the account is not known yet."""
        pointers = []
        for row in items:
            content = accounts[row.account_id].content
            period = None
            if content is not None and not row.removed:
                period = next_item_period(row.item, content.versions, row.finalized_until_at, self.billing_until)
            pointers.append(
                (row.subscription_item, period.start_at if period else None, period.end_at if period else None)
            )
        return pointers


def _newest(changes: Sequence[Change]) -> _Newest:
    newest = _Newest()
    for record, data in changes:
        if isinstance(data, AccountChanged):
            newest.accounts[data.account] = (record, data)
        else:
            newest.subscriptions[data.subscription_id] = (record, data)
    return newest


def _changed(newest: _Newest, items: Sequence[ItemRow]) -> list[ChangedItem]:
    """Return the items of the accounts and subscriptions that changed, each with what time had reached then."""
    changed = []
    for row in items:
        found = (newest.accounts.get(row.account_id), newest.subscriptions.get(row.subscription_id))
        records = [one[0] for one in found if one is not None]
        if records:
            known = [record.watermark_at for record in records if record.watermark_at is not None]
            changed.append(ChangedItem(row, max(known) if known else None))
    return changed


async def _mark(newest: _Newest, items: Sequence[ItemRow], tx: Transaction) -> None:
    """Have the statements of the items that changed published again, at their new price."""
    changed = {*newest.subscriptions}
    pairs = sorted({(row.account_id, row.meter_id) for row in items if row.subscription_id in changed})
    if pairs:
        await store.mark_dirty(tx.driver, pairs)


def _references(accounts: dict[str, ProjectedAccount], newest: _Newest, gained: set[str]) -> set[str]:
    """Return the subjects of the accounts that are known and are new, or can count what they could not before."""
    references: set[str] = set()
    for account_id, account in accounts.items():
        if account.content is None or (account_id not in gained and account_id not in newest.accounts):
            continue
        references |= {account_id, account.content.salesforce_id}
    return references
