"""SQL of the contracts: accounts, and items with the period that is billed next; rows are taken in sorted order.

Place     handler, due -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from fakturo.engine.periods import Period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountChanged, SubscriptionItem

_account = msgspec.json.Decoder(AccountChanged)
_item = msgspec.json.Decoder(SubscriptionItem)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """An item as the book has it; `period` is the one that is billed next."""

    item: SubscriptionItem
    account_id: str
    currency: str
    recorded_at: datetime
    billed_until_at: datetime | None
    period: Period | None

    @property
    def key(self) -> str:
        """Return the item's id."""
        return self.item.subscription_item


async def save_account(driver: asyncpg.Connection, account: AccountChanged) -> None:
    """Keep the newest version of an account."""
    await driver.execute(
        "INSERT INTO invoicing.account (account_id, name, content) VALUES ($1, $2, $3::jsonb) "
        "ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, content = excluded.content",
        account.account,
        account.versions[-1].name,
        encode(account).decode(),
    )


async def find_accounts(driver: asyncpg.Connection, account_ids: Iterable[str]) -> dict[str, AccountChanged]:
    """Return the known ones of `account_ids`."""
    rows = await driver.fetch(
        "SELECT account_id, content::text AS content FROM invoicing.account WHERE account_id = ANY($1::text[])",
        sorted(set(account_ids)),
    )
    return {row["account_id"]: _account.decode(row["content"]) for row in rows}


async def save_items(
    driver: asyncpg.Connection,
    subscription_id: str,
    account_id: str,
    currency: str,
    items: Sequence[SubscriptionItem],
    recorded_at: datetime,
    known_watermark_at: datetime,
) -> None:
    """Keep a subscription's items; one that it no longer has is marked as removed and billed no more."""
    ordered = sorted(items, key=lambda item: item.subscription_item)
    await driver.execute(
        "INSERT INTO invoicing.subscription_item (subscription_item, subscription_id, account_id, currency, content, "
        "metered, recorded_at, known_watermark_at) "
        "SELECT i.id, $1, $2, $3, i.content::jsonb, i.metered, $7, $8 "
        "FROM unnest($4::text[], $5::text[], $6::boolean[]) AS i(id, content, metered) "
        "ON CONFLICT (subscription_item) DO UPDATE SET subscription_id = excluded.subscription_id, "
        "account_id = excluded.account_id, currency = excluded.currency, content = excluded.content, "
        "metered = excluded.metered, removed = false, recorded_at = excluded.recorded_at, "
        "known_watermark_at = least(subscription_item.known_watermark_at, excluded.known_watermark_at)",
        subscription_id,
        account_id,
        currency,
        [item.subscription_item for item in ordered],
        [encode(item).decode() for item in ordered],
        [item.meter is not None for item in ordered],
        recorded_at,
        known_watermark_at,
    )
    await driver.execute(
        "UPDATE invoicing.subscription_item SET removed = true, next_period_end_at = NULL, period_start_at = NULL "
        "WHERE subscription_id = $1 AND NOT subscription_item = ANY($2::text[])",
        subscription_id,
        [item.subscription_item for item in ordered],
    )


async def lock_items_of(driver: asyncpg.Connection, account_ids: Iterable[str]) -> list[ItemRow]:
    """Lock and return the items of the accounts that are still on a subscription."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item WHERE account_id = ANY($1::text[]) AND NOT removed "  # noqa: S608
        "ORDER BY subscription_item FOR UPDATE",
        sorted(set(account_ids)),
    )
    return [_item_row(row) for row in rows]


async def find_due_items(driver: asyncpg.Connection, closed_at: datetime, to: datetime, limit: int) -> list[ItemRow]:
    """Lock and return the due items of the accounts that own the `limit` oldest ones which this tick has not tried.

    An item is due when its period ended by `closed_at`, and it was known before the tick `to`. Items are counted, not
    accounts, so that the index gives them in order and a call costs the same however many are due.
    """
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item i WHERE account_id IN ("  # noqa: S608 - constants
        "  SELECT account_id FROM invoicing.subscription_item WHERE next_period_end_at <= $1 "
        "  AND known_watermark_at < $2 AND (tried_at IS NULL OR tried_at < $2) "
        "  ORDER BY next_period_end_at, account_id LIMIT $3"
        ") AND next_period_end_at <= $1 AND known_watermark_at < $2 ORDER BY subscription_item FOR UPDATE",
        closed_at,
        to,
        limit,
    )
    return [_item_row(row) for row in rows]


async def move_pointers(
    driver: asyncpg.Connection, moves: Sequence[tuple[str, datetime | None, Period | None]]
) -> None:
    """Set (item, billed until, period that is billed next) of each item."""
    ordered = sorted(moves, key=lambda move: move[0])
    await driver.execute(
        "UPDATE invoicing.subscription_item i SET billed_until_at = m.billed_until_at, "
        "period_start_at = m.start_at, next_period_end_at = m.end_at, tried_at = NULL "
        "FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[]) "
        "AS m(id, billed_until_at, start_at, end_at) WHERE i.subscription_item = m.id",
        [move[0] for move in ordered],
        [move[1] for move in ordered],
        [move[2].start_at if move[2] else None for move in ordered],
        [move[2].end_at if move[2] else None for move in ordered],
    )


async def mark_tried(driver: asyncpg.Connection, items: Iterable[str], to: datetime) -> None:
    """Note that this tick found the items waiting."""
    await driver.execute(
        "UPDATE invoicing.subscription_item SET tried_at = $2 WHERE subscription_item = ANY($1::text[])",
        sorted(items),
        to,
    )


_COLUMNS = (
    "content::text AS content, account_id, currency, recorded_at, billed_until_at, period_start_at, next_period_end_at"
)


def _item_row(row: asyncpg.Record) -> ItemRow:
    start_at, end_at = row["period_start_at"], row["next_period_end_at"]
    return ItemRow(
        item=_item.decode(row["content"]),
        account_id=row["account_id"],
        currency=row["currency"],
        recorded_at=row["recorded_at"],
        billed_until_at=row["billed_until_at"],
        period=Period(start_at=start_at, end_at=end_at) if end_at is not None else None,
    )
