"""Opportunities: what sales sees of time, published for the KPI agent where it changed.

Place     publication -> [this] -> `fakturo.opportunity.changed.v1` on `billing.contracts`.
Closed    by the flag, or by a stage that the profile calls closed. A flag that was told with such a stage says nothing
          once the stage is another one: not every event tells it.
Ordered   the first activation of an order that names the opportunity.
Waits     without an account, or before its account is published, nothing is said: nobody is billed by it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import msgspec

from fakturo.consumers.contracts.accounts import local_day
from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.lifecycle import activated_at_of
from fakturo.consumers.contracts.profile import OpportunityFields, SubscriptionFields
from fakturo.consumers.contracts.publication_store import Published, published_of, version_after
from fakturo.consumers.contracts.values import Unclear, date_of, decimal_of, flag, text_of
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import AccountChanged
from fakturo.schemas.events.sales import OPPORTUNITY_CHANGED, OpportunityChanged
from fakturo.schemas.topics import CONTRACTS

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """An opportunity's record and the orders that name it."""

    history: RecordHistory
    orders: Sequence[RecordHistory]


def map_opportunity(
    known: Known, account: AccountChanged, fields: OpportunityFields, orders: SubscriptionFields
) -> OpportunityChanged:
    """Return the opportunity as it stands.

    Raises:
        Unclear: a value that cannot be followed.
    """
    history = known.history
    if history.unclear:
        raise Unclear(history.unclear[0])
    closed_at, won = _closed(history, fields)
    naming = [one for one in known.orders if one.value(orders.opportunity) == history.record_id]
    activations = [at for at in (activated_at_of(order, orders) for order in naming) if at is not None]
    return OpportunityChanged(
        opportunity=history.record_id,
        account=account.account,
        opened_at=_opened_at(history, fields),
        recorded_at=max(one.recorded_at for one in (history, *naming)),
        stage=text_of(history.value(fields.stage)),
        closed_at=closed_at,
        won=won,
        closes_on=date_of(history, fields.closes_on, lambda at: local_day(account, at)),
        ordered_at=min(activations, default=None),
        amount=decimal_of(history.value(fields.amount)),
        currency=text_of(history.value(fields.currency)),
        deleted=history.deleted_at() is not None,
    )


def _closed(history: RecordHistory, fields: OpportunityFields) -> tuple[datetime | None, bool]:
    """Return since when the opportunity is closed without a break (None: open), and whether it is won."""
    closed_at: datetime | None = None
    won = False
    told: dict[str, object] = {}
    stage_told = ""
    for moment in history.timeline((*fields.closed, *fields.won, *fields.stage)):
        stage = str(first_filled(moment.values, fields.stage) or "")
        flags = {name: moment.values.get(name) for name in (*fields.closed, *fields.won)}
        if flags != told:
            told, stage_told = flags, stage
        is_stale = stage != stage_told and stage_told in fields.closed_stages
        is_closed = stage in fields.closed_stages or (not is_stale and flag(first_filled(flags, fields.closed)))
        won = is_closed and (stage in fields.won_stages or (not is_stale and flag(first_filled(flags, fields.won))))
        closed_at = (closed_at or moment.effective_at) if is_closed else None
    return closed_at, won


def _opened_at(history: RecordHistory, fields: OpportunityFields) -> datetime:
    value = history.value(fields.opened_at)
    try:
        opened_at = datetime.fromisoformat(str(value)) if value else history.facts[0].effective_at
    except ValueError:
        opened_at = history.facts[0].effective_at
    return opened_at if opened_at.tzinfo else opened_at.replace(tzinfo=UTC)


async def publish(tx: Transaction, mapped: Sequence[OpportunityChanged], published: Mapping[str, Published]) -> None:
    """Emit what changed, by account and id. One that moved to another account is deleted for the one that it left."""
    rows = []
    for one in sorted(mapped, key=lambda found: (found.account, found.opportunity)):
        before = published.get(one.opportunity)
        bare = msgspec.structs.replace(one, recorded_at=_NEVER)
        content_hash = hashlib.sha256(encode(bare)).digest()
        if before is not None and before.content_hash == content_hash:
            continue
        if before is None and one.deleted:
            continue
        version = version_after(before)
        if before is not None and before.account != one.account:
            _emit(tx, msgspec.structs.replace(one, account=before.account, deleted=True), version)
        _emit(tx, one, version)
        rows.append((one.opportunity, one.account, content_hash, encode(one).decode(), one.recorded_at, version))
    await tx.driver.executemany(
        "INSERT INTO contracts.opportunity (record_id, account, content_hash, content, recorded_at, version)"
        " VALUES ($1, $2, $3, $4::text::jsonb, $5, $6) ON CONFLICT (record_id) DO UPDATE SET"
        " account = excluded.account, content_hash = excluded.content_hash, content = excluded.content,"
        " recorded_at = excluded.recorded_at, version = excluded.version",
        rows,
    )


def _emit(tx: Transaction, one: OpportunityChanged, version: int) -> None:
    event = event_of(
        agent=tx.agent,
        event_type=OPPORTUNITY_CHANGED,
        id=f"opportunity/{one.opportunity}/{version}/{hashlib.sha256(encode(one)).hexdigest()[:16]}",
        subject=one.account,
        time=one.closed_at or one.opened_at,
        data=one,
        recorded_at=one.recorded_at,
    )
    tx.emit(CONTRACTS, event, account=one.account, key=f"{one.account}/opportunity/{one.opportunity}")


async def load_published(driver: asyncpg.Connection, ids: Sequence[str]) -> dict[str, Published]:
    """Return what was published of `ids`, by record id."""
    rows = await driver.fetch(
        "SELECT record_id, account, content_hash, version FROM contracts.opportunity"
        " WHERE record_id = ANY ($1::text[])",
        list(ids),
    )
    return {row["record_id"]: published_of(row) for row in rows}
