"""Revised final statements: which periods a contract that was learned late says something else of.

Place     projection -> [queue] -> `usage.revision_due` -> statements (`advance`) -> [revised] -> the next revision.
Queued    a period is rated again where the contract's signature of it (rateable.py) is not the one that its newest
          final statement was made by: another price, terms, discount, trial, pause or end, or an item that its contract
          no longer names. Periods before the first one, of a service that began earlier than was known, are stated too.
Published only where anything but the revision and the time of knowing differs. A period keeps its bounds for ever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from itertools import groupby

from msgspec import structs

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import revision_store
from fakturo.consumers.usage.projection_store import ItemRow, ProjectedAccount
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.revision_store import FinalStatement, ToRevise
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import meter_of
from fakturo.engine.periods import Period
from fakturo.engine.schedule import next_item_period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountVersion
from fakturo.schemas.events.usage import UsageRated


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """An item of which a contract came, and what time had reached in the contract's partition."""

    row: ItemRow
    known_watermark_at: datetime | None


def content_hash(statement: UsageRated) -> bytes:
    """Return the fingerprint of what a final statement says, whenever and however often it is said."""
    return sha256(encode(structs.replace(statement, revision=1, recorded_at=None))).digest()


async def queue(
    changed: Sequence[ChangedItem],
    accounts: dict[str, ProjectedAccount],
    billing_until: date | None,
    tx: Transaction,
) -> None:
    """Queue the finalized periods of the changed items that their contract now says something else of."""
    by_id = {one.row.subscription_item: one for one in changed}
    finals = await revision_store.newest_finals(tx.driver, sorted(by_id))
    queued: list[ToRevise] = []
    for item_id, group in groupby(finals, key=lambda final: final.subscription_item):
        one, published = by_id[item_id], list(group)
        content = accounts[one.row.account_id].content
        if content is None:
            continue
        periods = [
            final.period
            for final in published
            if _signature(one.row, content.versions, final.period) != final.signature
        ]
        periods += _before(one.row, content.versions, published[0].period.start_at, billing_until)
        queued += [ToRevise(item_id, period, one.known_watermark_at) for period in periods]
    await revision_store.forget_queued(tx.driver, sorted(by_id), queued)
    await revision_store.queue(tx.driver, queued)


def _signature(row: ItemRow, versions: tuple[AccountVersion, ...], period: Period) -> bytes | None:
    """Return what the contract says of the period; None where its prices cannot be read."""
    try:
        return Rateable.of(_due(row, versions, period)).signature()
    except PriceError:
        return None


def _due(row: ItemRow, versions: tuple[AccountVersion, ...], period: Period) -> DueItem:
    if row.item.meter is None:
        raise TypeError(f"item {row.subscription_item} has no meter: only metered items are in the book")
    return DueItem(
        subscription_item=row.subscription_item,
        subscription_id=row.subscription_id,
        account_id=row.account_id,
        currency=row.currency,
        meter_id=row.meter_id,
        meter=meter_of(row.item.meter),
        item=row.item,
        versions=versions,
        period=period,
        recorded_at=row.recorded_at,
        removed=row.removed,
    )


def _before(
    row: ItemRow, versions: tuple[AccountVersion, ...], first_at: datetime, billing_until: date | None
) -> Iterator[Period]:
    """Yield the item's periods before the first one that was stated; the last of them ends there."""
    if row.removed:
        return
    period = next_item_period(row.item, versions, None, billing_until)
    while period is not None and period.start_at < first_at:
        yield replace(period, end_at=min(period.end_at, first_at))
        period = next_item_period(row.item, versions, period.end_at, billing_until)


def final_of(item: Rateable, statement: UsageRated) -> FinalStatement:
    """Return what is kept of a final statement."""
    return FinalStatement(
        subscription_item=item.due.subscription_item,
        period=item.due.period,
        revision=statement.revision,
        content_hash=content_hash(statement),
        signature=item.signature(),
        quantity=statement.quantity,
        amount_minor=statement.amount_minor,
        alerts=item.due.item.alerts,
    )
