"""SQL of the contracts: accounts, subscriptions, and items with the period that is billed next; rows in sorted order.

Place     changes, due -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from fakturo.consumers.invoicing.groups import ItemRow
from fakturo.engine.periods import Period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountChanged, Subscription, SubscriptionItem

_account = msgspec.json.Decoder(AccountChanged)
_subscription = msgspec.json.Decoder(Subscription)
_item = msgspec.json.Decoder(SubscriptionItem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an item's pointer goes: billed until, and the period that is billed next, when and to whom; or why not."""

    item: str
    billed_until_at: datetime | None
    period: Period | None
    due_at: datetime | None = None
    payer_id: str | None = None
    problem: str | None = None


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


async def find_subscriptions(driver: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Subscription]:
    """Return the subscriptions, without their items."""
    rows = await driver.fetch(
        "SELECT subscription_id, content::text AS content FROM invoicing.subscription "
        "WHERE subscription_id = ANY($1::text[])",
        sorted(set(ids)),
    )
    return {row["subscription_id"]: _subscription.decode(row["content"]) for row in rows}


async def save_subscription(driver: asyncpg.Connection, subscription: Subscription, known_at: datetime) -> None:
    """Keep a subscription and its items; an item that it no longer has is marked as removed and billed no more."""
    ordered = sorted(subscription.items, key=lambda item: item.subscription_item)
    seller_code = subscription.seller.code if subscription.seller is not None else ""
    await driver.execute(
        "INSERT INTO invoicing.subscription (subscription_id, account_id, currency, seller_code, content, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5::jsonb, $6) ON CONFLICT (subscription_id) DO UPDATE SET "
        "account_id = excluded.account_id, currency = excluded.currency, seller_code = excluded.seller_code, "
        "content = excluded.content, recorded_at = excluded.recorded_at",
        subscription.subscription_id,
        subscription.account,
        subscription.currency,
        seller_code,
        encode(msgspec.structs.replace(subscription, items=())).decode(),
        subscription.recorded_at,
    )
    await driver.execute(
        "INSERT INTO invoicing.subscription_item (subscription_item, subscription_id, account_id, currency, "
        "seller_code, content, metered, recorded_at, known_watermark_at) "
        "SELECT i.id, $1, $2, $3, $9, i.content::jsonb, i.metered, $7, $8 "
        "FROM unnest($4::text[], $5::text[], $6::boolean[]) AS i(id, content, metered) "
        "ON CONFLICT (subscription_item) DO UPDATE SET subscription_id = excluded.subscription_id, "
        "account_id = excluded.account_id, currency = excluded.currency, seller_code = excluded.seller_code, "
        "content = excluded.content, metered = excluded.metered, removed = false, recorded_at = excluded.recorded_at",
        subscription.subscription_id,
        subscription.account,
        subscription.currency,
        [item.subscription_item for item in ordered],
        [encode(item).decode() for item in ordered],
        [item.meter is not None for item in ordered],
        subscription.recorded_at,
        known_at,
        seller_code,
    )
    await driver.execute(
        "UPDATE invoicing.subscription_item SET removed = true, next_period_end_at = NULL, period_start_at = NULL, "
        "due_at = NULL WHERE subscription_id = $1 AND NOT subscription_item = ANY($2::text[])",
        subscription.subscription_id,
        [item.subscription_item for item in ordered],
    )


async def find_items(driver: asyncpg.Connection, ids: Iterable[str]) -> dict[str, ItemRow]:
    """Return the known ones of the items, by id."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item WHERE subscription_item = ANY($1::text[]) "  # noqa: S608
        "ORDER BY subscription_item",
        sorted(set(ids)),
    )
    return {row["subscription_item"]: item_row(row) for row in rows}


async def lock_items_of(driver: asyncpg.Connection, account_ids: Iterable[str]) -> list[ItemRow]:
    """Lock and return the items of the accounts that are still on a subscription."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item WHERE account_id = ANY($1::text[]) AND NOT removed "  # noqa: S608
        "ORDER BY subscription_item FOR UPDATE",
        sorted(set(account_ids)),
    )
    return [item_row(row) for row in rows]


async def find_due_items(driver: asyncpg.Connection, closed_at: datetime, at: datetime, limit: int) -> list[ItemRow]:
    """Lock and return the due items of the payers of the `limit` oldest ones which this step has not tried.

    An item is due when its next period falls due by `closed_at`. Items are counted, not payers, so that the index
    gives them in order and a call costs the same however many are due.
    """
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item i WHERE payer_id IN ("  # noqa: S608 - constants
        "  SELECT payer_id FROM invoicing.subscription_item WHERE due_at <= $1 "
        "  AND (tried_at IS NULL OR tried_at < $2) ORDER BY due_at, payer_id LIMIT $3"
        ") AND due_at <= $1 ORDER BY subscription_item FOR UPDATE",
        closed_at,
        at,
        limit,
    )
    return [item_row(row) for row in rows]


async def find_coming_items(driver: asyncpg.Connection, payer_id: str) -> list[ItemRow]:
    """Return the items that a payer's next documents are about, by id."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.subscription_item WHERE payer_id = $1 AND due_at IS NOT NULL "  # noqa: S608
        "ORDER BY subscription_item",
        payer_id,
    )
    return [item_row(row) for row in rows]


async def next_due(driver: asyncpg.Connection, payer_ids: Iterable[str]) -> dict[tuple[str, str, str, str], datetime]:
    """Return (payer, currency, seller, cost centre) -> when its next invoice falls due, as the pointers stand."""
    rows = await driver.fetch(
        "SELECT payer_id, currency, seller_code, coalesce(content ->> 'cost_centre', '') AS cost_centre, "
        "min(due_at) AS due_at FROM invoicing.subscription_item "
        "WHERE payer_id = ANY($1::text[]) AND due_at IS NOT NULL GROUP BY 1, 2, 3, 4",
        sorted(set(payer_ids)),
    )
    return {(row["payer_id"], row["currency"], row["seller_code"], row["cost_centre"]): row["due_at"] for row in rows}


async def move_pointers(driver: asyncpg.Connection, moves: Sequence[Move]) -> None:
    """Set what each item is billed for next."""
    ordered = sorted(moves, key=lambda move: move.item)
    await driver.execute(
        "UPDATE invoicing.subscription_item i SET billed_until_at = m.billed_until_at, period_start_at = m.start_at, "
        "next_period_end_at = m.end_at, due_at = m.due_at, payer_id = m.payer_id, problem = m.problem, tried_at = NULL "
        "FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], "
        "$6::text[], $7::text[]) AS m(id, billed_until_at, start_at, end_at, due_at, payer_id, problem) "
        "WHERE i.subscription_item = m.id",
        [move.item for move in ordered],
        [move.billed_until_at for move in ordered],
        [move.period.start_at if move.period else None for move in ordered],
        [move.period.end_at if move.period else None for move in ordered],
        [move.due_at if move.period else None for move in ordered],
        [move.payer_id for move in ordered],
        [move.problem for move in ordered],
    )


async def mark_tried(driver: asyncpg.Connection, items: Iterable[str], to: datetime, problem: str | None) -> None:
    """Note that this tick found the items waiting, and why where it is not for a statement."""
    await driver.execute(
        "UPDATE invoicing.subscription_item SET tried_at = $2, problem = $3 WHERE subscription_item = ANY($1::text[])",
        sorted(items),
        to,
        problem,
    )


_COLUMNS = (
    "subscription_item, content::text AS content, subscription_id, account_id, currency, seller_code, recorded_at, "
    "billed_until_at, period_start_at, next_period_end_at, payer_id, due_at, removed"
)


def item_row(row: asyncpg.Record) -> ItemRow:
    """Return the item of a row of the table."""
    start_at, end_at = row["period_start_at"], row["next_period_end_at"]
    return ItemRow(
        item=_item.decode(row["content"]),
        subscription_id=row["subscription_id"],
        account_id=row["account_id"],
        currency=row["currency"],
        seller_code=row["seller_code"],
        recorded_at=row["recorded_at"],
        billed_until_at=row["billed_until_at"],
        period=Period(start_at=start_at, end_at=end_at) if end_at is not None else None,
        payer_id=row["payer_id"],
        due_at=row["due_at"],
        removed=row["removed"],
    )
