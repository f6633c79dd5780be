"""What the books say of an account and a stretch of time: its meters, and the periods that were stated of its items.

Place     usage.subscription_item, usage.meter, usage.final_statement, invoicing.final_statement -> [this] -> again.
"""

from dataclasses import dataclass

import asyncpg
import msgspec

from fakturo.cli.history.books import SoldItem
from fakturo.consumers.usage.accounts import CountingMeter
from fakturo.engine.meters import meter_of
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, MeterDefinition, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated

_ITEMS = """
SELECT i.subscription_item, i.currency, i.meter_id, i.content::text AS content, i.removed
  FROM usage.subscription_item i WHERE i.account_id = $1 ORDER BY 1
"""
_STATED = """
SELECT DISTINCT ON (f.subscription_item, f.period_start_at) f.subscription_item, f.period_start_at, f.period_end_at,
       f.revision, s.content::text AS content
  FROM usage.final_statement f
  LEFT JOIN invoicing.final_statement s USING (subscription_item, period_start_at, revision)
 WHERE f.subscription_item = ANY($1::text[]) AND f.period_start_at < $3 AND f.period_end_at > $2
 ORDER BY f.subscription_item, f.period_start_at, f.revision DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredItem:
    """A metered item of the account, with the meter that counts for it."""

    sold: SoldItem
    meter_id: int
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The newest final statement of an item and period; `statement` is None until invoicing has it."""

    item: MeteredItem
    period: Period
    revision: int
    statement: UsageRated | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as the usage agent knows it."""

    account_id: str
    versions: tuple[AccountVersion, ...]
    meters: tuple[CountingMeter, ...]
    items: tuple[MeteredItem, ...]


async def account_of(connection: asyncpg.Connection, account_id: str) -> Account | None:
    """Return the account, or None where the usage agent does not know it."""
    row = await connection.fetchrow(
        "SELECT content::text AS content, meter_ids FROM usage.account WHERE account_id = $1", account_id
    )
    if row is None or row["content"] is None:
        return None
    versions = msgspec.json.decode(row["content"], type=AccountChanged).versions
    return Account(
        account_id=account_id,
        versions=versions,
        meters=await _meters(connection, row["meter_ids"]),
        items=tuple([_item(one, account_id, versions) for one in await connection.fetch(_ITEMS, account_id)]),
    )


async def stated_periods(connection: asyncpg.Connection, account: Account, within: Period) -> list[Stated]:
    """Return what was stated last of each period of the account's items that touches `within`, by item and period."""
    by_id = {one.sold.item.subscription_item: one for one in account.items}
    rows = await connection.fetch(_STATED, sorted(by_id), within.start_at, within.end_at)
    return [
        Stated(
            item=by_id[row["subscription_item"]],
            period=Period(start_at=row["period_start_at"], end_at=row["period_end_at"]),
            revision=row["revision"],
            statement=None if row["content"] is None else msgspec.json.decode(row["content"], type=UsageRated),
        )
        for row in rows
    ]


async def waiting(connection: asyncpg.Connection, account: Account, within: Period) -> int:
    """Return how many periods of the account in `within` wait to be rated again at the next tick."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM usage.revision_due WHERE subscription_item = ANY($1::text[]) "
        "AND period_start_at < $3 AND period_end_at > $2",
        [one.sold.item.subscription_item for one in account.items],
        within.start_at,
        within.end_at,
    )
    return count


async def _meters(connection: asyncpg.Connection, meter_ids: list[int]) -> tuple[CountingMeter, ...]:
    rows = await connection.fetch(
        "SELECT meter_id, definition::text AS definition FROM usage.meter WHERE meter_id = ANY($1::int[]) ORDER BY 1",
        meter_ids,
    )
    return tuple(
        [
            CountingMeter(row["meter_id"], meter_of(msgspec.json.decode(row["definition"], type=MeterDefinition)))
            for row in rows
        ]
    )


def _item(row: asyncpg.Record, account_id: str, versions: tuple[AccountVersion, ...]) -> MeteredItem:
    item = msgspec.json.decode(row["content"], type=SubscriptionItem)
    sold = SoldItem(account=account_id, currency=row["currency"], versions=versions, item=item)
    return MeteredItem(sold=sold, meter_id=row["meter_id"], removed=row["removed"])
