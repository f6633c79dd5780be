"""Usage that is kept in Salesforce (TransactionJournal): each record becomes one usage event, once.

Place     publication -> [this] -> `billing.usage` -> usage agent, which meters it like any other event.
Identity  `source` is `salesforce/<org>`, `id` the record's own identifier, else its record id. What was sent is in
          `contracts.usage_event`; later changes and the deletion of the record are not usage (a correction is).
Waits     for its account, a quantity, a time and a type; a sentence says for which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from fakturo.consumers.contracts.formulas import as_text
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.profile import UsageFields
from fakturo.consumers.contracts.values import Unclear, decimal_of, text_of
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.envelope import Event
from fakturo.schemas.events.contracts import AccountChanged
from fakturo.schemas.topics import USAGE


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """A usage event that a record of Salesforce gives."""

    record_id: str
    account: str
    event: Event[dict[str, Any]]


def map_usage(
    history: RecordHistory, org: str | None, account: AccountChanged | None, fields: UsageFields
) -> UsageRecord:
    """Return the usage event that `history` gives for `account`, None where that is not known.

    Raises:
        Unclear: what is missing or wrong.
    """
    if history.unclear:
        raise Unclear(history.unclear[0])
    wanted = history.value(fields.account)
    if wanted is None:
        raise Unclear(f"names no account: fill {fields.account[0]}")
    if account is None:
        raise Unclear(f"waits for its account {wanted}, which is not known or not complete")
    quantity = decimal_of(history.value(fields.quantity))
    event_type = text_of(history.value(fields.type)) or fields.default_type
    if quantity is None:
        raise Unclear(f"has no quantity: fill {fields.quantity[0]}")
    if not event_type:
        raise Unclear(f"has no usage type: fill {fields.type[0] if fields.type else 'default_type of the profile'}")
    data: dict[str, Any] = {"quantity": as_text(quantity)}
    named = {"unit": fields.unit, **fields.data}
    data |= {name: value for name, names in sorted(named.items()) if (value := history.value(names)) is not None}
    event = Event(
        specversion="1.0",
        id=text_of(history.value(fields.id)) or history.record_id,
        source=f"salesforce/{org or 'unknown'}",
        type=event_type,
        subject=account.account,
        time=_time(history, fields, account),
        datacontenttype="application/json",
        data=data,
        recordedat=history.recorded_at,
    )
    return UsageRecord(history.record_id, account.account, event)


def _time(history: RecordHistory, fields: UsageFields, account: AccountChanged) -> datetime:
    """Return when it was used; a date is the first instant of that day in the account's zone."""
    value = text_of(history.value(fields.time))
    if value is None:
        raise Unclear(f"does not say when: fill {fields.time[0]}")
    try:
        if len(value) == len("2013-01-01"):
            zone = ZoneInfo(account.versions[-1].timezone)
            return datetime.combine(date.fromisoformat(value), time.min, zone).astimezone(UTC)
        at = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise Unclear(f"has {value!r} in {fields.time[0]}, which is no time") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def publish(tx: Transaction, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Emit each of `records` that was never sent; return those whose identity another record has."""
    ordered = sorted(records, key=lambda one: (one.account, one.record_id))
    taken: list[UsageRecord] = []
    for one in ordered:
        row = await tx.driver.fetchval(
            "INSERT INTO contracts.usage_event (record_id, account, source, id, recorded_at)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING record_id",
            one.record_id,
            one.account,
            one.event.source,
            one.event.id,
            one.event.recordedat,
        )
        if row is None:
            taken.append(one)
        else:
            tx.emit(USAGE, one.event, account=one.account)
    return taken


async def sent(driver: asyncpg.Connection, ids: Sequence[str]) -> set[str]:
    """Return those of `ids` that were sent already."""
    rows = await driver.fetch(
        "SELECT record_id FROM contracts.usage_event WHERE record_id = ANY ($1::text[])", list(ids)
    )
    return {row["record_id"] for row in rows}


async def orgs_of(driver: asyncpg.Connection, entity: str, ids: Sequence[str]) -> Mapping[str, str | None]:
    """Return the org of each record in `ids`."""
    rows = await driver.fetch(
        "SELECT record_id, org FROM contracts.record WHERE entity = $1 AND record_id = ANY ($2::text[])",
        entity,
        list(ids),
    )
    return {row["record_id"]: row["org"] for row in rows}
