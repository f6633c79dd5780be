"""What was sold to whom, and what of it was used: read from the books, never changed.

Place     contracts.published, usage.rollup, raw events, invoicing.invoice_line -> [this] -> periods, simulate.
Totals    of a meter that the usage agent has totalled come from its quarter-hour rollups; of one that only the new list
          knows, and where single events are rated, from the raw events as they count now: late and corrected ones too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from fakturo.consumers.usage.corrected_store import current_events
from fakturo.engine.meters import Rollup
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import (
    AccountChanged,
    AccountVersion,
    MeterDefinition,
    Subscription,
    SubscriptionItem,
)

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldItem:
    """An item with the account that it was sold to."""

    account: str
    currency: str
    versions: tuple[AccountVersion, ...]
    item: SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """A stored usage event: its `data` and when it took place."""

    data: Mapping[str, Any]
    at: datetime


@dataclass(slots=True)
class Stretch:
    """A stretch of an account's time in which a meter has to be totalled, and what was found.

    `groups` are the rollups by dimensions, as canonical JSON texts of the meter's `group_by`; or `events` are the
    single events, None where nobody read them.
    """

    account: str
    period: Period
    groups: dict[str, Rollup] = field(default_factory=dict)
    events: list[RawEvent] | None = None


async def sold_items(connection: asyncpg.Connection) -> list[SoldItem]:
    """Return every item that was published, by account and item."""
    accounts: dict[str, AccountChanged] = {}
    subscriptions: list[Subscription] = []
    for row in await connection.fetch("SELECT role, content::text AS content FROM contracts.published ORDER BY 1"):
        if row["role"] == "account":
            account = msgspec.json.decode(row["content"], type=AccountChanged)
            accounts[account.account] = account
        else:
            subscriptions.append(msgspec.json.decode(row["content"], type=Subscription))
    found = [
        SoldItem(account=one.account, currency=one.currency, versions=accounts[one.account].versions, item=item)
        for one in subscriptions
        for item in one.items
        if one.account in accounts
    ]
    return sorted(found, key=lambda sold: (sold.account, sold.item.subscription_item))


async def customer_names(connection: asyncpg.Connection) -> dict[str, str]:
    """Return the name of every account."""
    rows = await connection.fetch("SELECT account_id, name FROM invoicing.account")
    return {row["account_id"]: row["name"] for row in rows}


async def total_rollups(connection: asyncpg.Connection, meter: MeterDefinition, stretches: Sequence[Stretch]) -> bool:
    """Fill in the groups of `stretches` from the rollups; return False where the books do not total this meter."""
    meter_id = await _meter_id(connection, meter)
    if meter_id is None:
        return False
    rows = await connection.fetch(
        "SELECT s.number, r.dimensions, sum(r.event_count)::bigint AS event_count, sum(r.sum_value) AS sum_value, "
        "max(r.max_value) AS max_value, min(r.min_value) AS min_value, "
        "(array_agg(r.last_value ORDER BY r.last_at DESC))[1] AS last_value, max(r.last_at) AS last_at "
        "FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY "
        "AS s(account_id, start_at, end_at, number) JOIN usage.rollup r ON r.account_id = s.account_id "
        "AND r.meter_id = $1 AND r.bucket_start_at >= s.start_at AND r.bucket_start_at < s.end_at "
        "GROUP BY s.number, r.dimensions ORDER BY s.number, r.dimensions",
        meter_id,
        [stretch.account for stretch in stretches],
        [stretch.period.start_at for stretch in stretches],
        [stretch.period.end_at for stretch in stretches],
    )
    for row in rows:
        stretches[row["number"] - 1].groups[row["dimensions"]] = Rollup(
            count=row["event_count"],
            total=row["sum_value"],
            highest=row["max_value"],
            lowest=row["min_value"],
            last=row["last_value"],
            last_at=row["last_at"],
        )
    return True


async def read_events(
    connection: asyncpg.Connection, meter: MeterDefinition, stretches: Sequence[Stretch], *, since_ever: bool
) -> None:
    """Fill in the raw events of `stretches` that have the meter's type, oldest first, ties as they came.

    With `since_ever` also those before each stretch: a level is carried into it.
    """
    for stretch in stretches:
        from_at = BEGINNING if since_ever else stretch.period.start_at
        events = current_events(connection, stretch.account, [meter.event_type], from_at, stretch.period.end_at)
        stretch.events = [RawEvent(data=msgspec.json.decode(event.data), at=event.at) async for event in events]


async def billed_minor(connection: asyncpg.Connection, periods: Sequence[tuple[str, Period]]) -> list[int | None]:
    """Return, for each (item, billing period), the net amount of its invoice lines; None where there are none."""
    rows = await connection.fetch(
        "SELECT sum(l.amount_minor)::bigint AS amount_minor "
        "FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS p(item, start_at, end_at, n) "
        "LEFT JOIN invoicing.invoice_line l ON l.subscription_item = p.item "
        "AND l.period_start_at >= p.start_at AND l.period_start_at < p.end_at GROUP BY n ORDER BY n",
        [item for item, _ in periods],
        [period.start_at for _, period in periods],
        [period.end_at for _, period in periods],
    )
    return [row["amount_minor"] for row in rows]


async def _meter_id(connection: asyncpg.Connection, meter: MeterDefinition) -> int | None:
    rows = await connection.fetch("SELECT meter_id, definition::text AS definition FROM usage.meter")
    return next(
        (row["meter_id"] for row in rows if msgspec.json.decode(row["definition"], type=MeterDefinition) == meter), None
    )
