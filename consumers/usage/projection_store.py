"""SQL of the projection: accounts, meters and metered items as the contracts say.

Place     projection -> [this] -> Postgres schema `usage`. The caller holds the contracts alone (account_store.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import asyncpg
import msgspec

from fakturo.consumers.usage.account_store import find_meters as meters
from fakturo.consumers.usage.segments import StoredEvent
from fakturo.engine.schedule import Cadence
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import AccountChanged, MeterDefinition, SubscriptionItem

__all__ = ["meters"]


@dataclass(frozen=True, slots=True)
class ProjectedAccount:
    """An account in the book; `content` is None while only a subscription of it has arrived.

    `totalled_from` says of each meter that it ever had from when on all stored events are in the totals.
    """

    content: AccountChanged | None
    meter_ids: tuple[int, ...]
    raw_types: tuple[str, ...] = ()
    totalled_from: Mapping[int, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountMetersRow:
    """An account's meters, its event types that are rated themselves, and when its first service began."""

    account_id: str
    meter_ids: list[int]
    raw_types: list[str]
    service_start_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """A metered item in the book."""

    subscription_item: str
    subscription_id: str
    account_id: str
    currency: str
    meter_id: int
    item: SubscriptionItem
    recorded_at: datetime
    known_watermark_at: datetime | None = None
    finalized_until_at: datetime | None = None
    removed: bool = False


async def next_version(driver: asyncpg.Connection) -> int:
    """Count one more change of the contracts and return the count."""
    return int(await driver.fetchval("UPDATE usage.contracts_version SET version = version + 1 RETURNING version"))


async def save_accounts(driver: asyncpg.Connection, accounts: Sequence[AccountChanged], version: int) -> set[str]:
    """Save accounts; return the Salesforce ids that name another account than before.

    Of accounts that name one id, it is that of the one whose word was recorded last, and of equals of the one whose id
    sorts last: what they say now decides, whatever came in one batch. Who gives an id up leaves it to who names it too.
    """
    if not accounts:
        return set()
    rows = sorted(accounts, key=lambda account: account.account)
    ids = [row.account for row in rows]
    before = await driver.fetch(
        "SELECT content->>'salesforce_id' AS named FROM usage.account "
        "WHERE account_id = ANY($1::text[]) AND content IS NOT NULL",
        ids,
    )
    await driver.execute(
        "INSERT INTO usage.account (account_id, content, version) SELECT account_id, content::jsonb, $3 "
        "FROM unnest($1::text[], $2::text[]) AS new(account_id, content) "
        "ON CONFLICT (account_id) DO UPDATE SET content = excluded.content, version = excluded.version",
        ids,
        [encode(row).decode() for row in rows],
        version,
    )
    return await _share_out(driver, {row.salesforce_id for row in rows} | {row["named"] for row in before}, version)


async def _share_out(driver: asyncpg.Connection, salesforce_ids: Iterable[str], version: int) -> set[str]:
    """Give each Salesforce id to one of the accounts that name it; return those that went to another."""
    moved = await driver.fetch(
        "WITH named AS (SELECT account_id, content->>'salesforce_id' AS salesforce_id, "
        "row_number() OVER (PARTITION BY content->>'salesforce_id' "
        "ORDER BY (content->>'recorded_at')::timestamptz DESC, account_id DESC) AS place "
        "FROM usage.account WHERE content->>'salesforce_id' = ANY($1::text[])) "
        "UPDATE usage.account a SET salesforce_id = n.owned, version = $2 FROM "
        "(SELECT account_id, CASE WHEN place = 1 THEN salesforce_id END AS owned FROM named) n "
        "WHERE a.account_id = n.account_id AND a.salesforce_id IS DISTINCT FROM n.owned RETURNING a.salesforce_id",
        sorted(salesforce_ids),
        version,
    )
    return {row["salesforce_id"] for row in moved} - {None}


async def save_meters(
    driver: asyncpg.Connection, definitions: Mapping[str, tuple[MeterDefinition, Cadence]]
) -> dict[str, int]:
    """Save meter definitions, each with the cadence of its items, by their hash; return the number of each."""
    hashes = sorted(definitions)
    if not hashes:
        return {}
    await driver.execute(
        "INSERT INTO usage.meter (definition_hash, code, definition, billing_months, anchor_on) SELECT hash, code, "
        "definition::jsonb, months, anchor_on FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::date[]) "
        "AS new(hash, code, definition, months, anchor_on) "
        "WHERE NOT EXISTS (SELECT FROM usage.meter m WHERE m.definition_hash = new.hash) ORDER BY hash",
        hashes,
        [definitions[one][0].code for one in hashes],
        [encode(definitions[one][0]).decode() for one in hashes],
        [definitions[one][1].billing_months for one in hashes],
        [definitions[one][1].anchor_on for one in hashes],
    )
    rows = await driver.fetch(
        "SELECT definition_hash, meter_id FROM usage.meter WHERE definition_hash = ANY($1::text[])", hashes
    )
    return {row["definition_hash"]: row["meter_id"] for row in rows}


async def save_items(driver: asyncpg.Connection, rows: Sequence[ItemRow]) -> None:
    """Save metered items, sorted by id; pointers follow, and a problem of the earlier contract is forgotten."""
    if not rows:
        return
    await driver.execute(
        "INSERT INTO usage.account (account_id) SELECT DISTINCT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING",
        [row.account_id for row in rows],
    )
    await driver.execute(
        "INSERT INTO usage.subscription_item (subscription_item, subscription_id, account_id, currency, meter_id, "
        "content, recorded_at, known_watermark_at) SELECT item, subscription, account, currency, meter_id, "
        "content::jsonb, recorded_at, coalesce(known_at, '-infinity') FROM unnest($1::text[], $2::text[], $3::text[], "
        "$4::text[], $5::int[], $6::text[], $7::timestamptz[], $8::timestamptz[]) AS new(item, subscription, account, "
        "currency, meter_id, content, recorded_at, known_at) ON CONFLICT (subscription_item) DO UPDATE SET "
        "subscription_id = excluded.subscription_id, account_id = excluded.account_id, currency = excluded.currency, "
        "meter_id = excluded.meter_id, content = excluded.content, recorded_at = excluded.recorded_at, "
        "removed = false, problem = NULL",
        [row.subscription_item for row in rows],
        [row.subscription_id for row in rows],
        [row.account_id for row in rows],
        [row.currency for row in rows],
        [row.meter_id for row in rows],
        [encode(row.item).decode() for row in rows],
        [row.recorded_at for row in rows],
        [row.known_watermark_at for row in rows],
    )


async def remove_items(driver: asyncpg.Connection, subscription_ids: Sequence[str], kept: Sequence[str]) -> None:
    """Mark the items of the subscriptions that are not among `kept`: their contract no longer names them."""
    if subscription_ids:
        await driver.execute(
            "UPDATE usage.subscription_item SET removed = true WHERE subscription_id = ANY($1::text[]) "
            "AND NOT removed AND subscription_item <> ALL($2::text[])",
            list(subscription_ids),
            list(kept),
        )


async def load_accounts(driver: asyncpg.Connection, account_ids: Sequence[str]) -> dict[str, ProjectedAccount]:
    """Return the accounts that are in the book."""
    rows = await driver.fetch(
        "SELECT account_id, content, meter_ids, raw_types FROM usage.account WHERE account_id = ANY($1::text[])",
        list(account_ids),
    )
    totalled: dict[str, dict[int, datetime]] = {}
    for row in await driver.fetch(
        "SELECT account_id, meter_id, totalled_from_at FROM usage.account_meter WHERE account_id = ANY($1::text[])",
        list(account_ids),
    ):
        from_at = row["totalled_from_at"].replace(tzinfo=UTC)  # the driver gives -infinity without a zone
        totalled.setdefault(row["account_id"], {})[row["meter_id"]] = from_at
    return {
        row["account_id"]: ProjectedAccount(
            msgspec.json.decode(row["content"], type=AccountChanged) if row["content"] else None,
            tuple(row["meter_ids"]),
            tuple(row["raw_types"]),
            totalled.get(row["account_id"], {}),
        )
        for row in rows
    }


async def load_items(driver: asyncpg.Connection, account_ids: Sequence[str]) -> list[ItemRow]:
    """Return the metered items of the accounts, sorted by id, the removed ones too."""
    rows = await driver.fetch(
        "SELECT subscription_item, subscription_id, account_id, currency, meter_id, content, recorded_at, removed, "
        "finalized_until_at FROM usage.subscription_item WHERE account_id = ANY($1::text[]) ORDER BY subscription_item",
        list(account_ids),
    )
    return [
        ItemRow(
            subscription_item=row["subscription_item"],
            subscription_id=row["subscription_id"],
            account_id=row["account_id"],
            currency=row["currency"],
            meter_id=row["meter_id"],
            item=msgspec.json.decode(row["content"], type=SubscriptionItem),
            recorded_at=row["recorded_at"],
            finalized_until_at=row["finalized_until_at"],
            removed=row["removed"],
        )
        for row in rows
    ]


async def save_pointers(
    driver: asyncpg.Connection, pointers: Sequence[tuple[str, datetime | None, datetime | None]]
) -> None:
    """Save (item, start, end) of the period that is next."""
    if pointers:
        await driver.execute(
            "UPDATE usage.subscription_item i SET period_start_at = new.start_at, next_period_end_at = new.end_at "
            "FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS new(item, start_at, end_at) "
            "WHERE i.subscription_item = new.item AND (i.period_start_at, i.next_period_end_at) "
            "IS DISTINCT FROM (new.start_at, new.end_at)",
            [pointer[0] for pointer in pointers],
            [pointer[1] for pointer in pointers],
            [pointer[2] for pointer in pointers],
        )


async def save_meter_ids(driver: asyncpg.Connection, rows: Sequence[AccountMetersRow], version: int) -> None:
    """Save what items of accounts ask for; stamp the accounts with `version`."""
    await driver.executemany(
        "UPDATE usage.account SET meter_ids = $2, raw_types = $3, service_start_on = $4, version = $5 "
        "WHERE account_id = $1",
        [(one.account_id, one.meter_ids, one.raw_types, one.service_start_on, version) for one in rows],
    )


async def mark_raw(driver: asyncpg.Connection, events: Sequence[StoredEvent]) -> None:
    """Have stored events found by the statements that read events themselves."""
    await driver.execute(
        'INSERT INTO usage.event_rated (account_id, type, at, partition, "offset", source, id, data, watermark_at) '
        "SELECT account, type, at, partition, \"offset\", source, id, data, coalesce(watermark_at, '-infinity') "
        "FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[], $6::text[], $7::text[], "
        '$8::text[], $9::timestamptz[]) AS new(account, type, at, partition, "offset", source, id, data, watermark_at) '
        "ON CONFLICT DO NOTHING",
        [one.account_id for one in events],
        [one.type for one in events],
        [one.at for one in events],
        [one.partition for one in events],
        [one.offset for one in events],
        [one.source for one in events],
        [one.id for one in events],
        [one.data.decode() for one in events],
        [one.watermark_at for one in events],
    )


async def forget_totals(
    driver: asyncpg.Connection, account_id: str, meter_id: int, from_at: datetime, until_at: datetime
) -> None:
    """Delete a meter's totals of [from_at, until_at), those that wait for a tick too: they are taken anew."""
    for table in ("rollup", "late_rollup", "retotal_due"):
        await driver.execute(
            f"DELETE FROM usage.{table} WHERE account_id = $1 AND meter_id = $2 "  # noqa: S608 - constants
            "AND bucket_start_at >= $3 AND bucket_start_at < $4",
            account_id,
            meter_id,
            from_at,
            until_at,
        )


async def save_totalled_from(driver: asyncpg.Connection, rows: Sequence[tuple[str, int, datetime]]) -> None:
    """Note (account, meter, from when on all stored events are in its totals)."""
    await driver.executemany(
        "INSERT INTO usage.account_meter (account_id, meter_id, totalled_from_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (account_id, meter_id) DO UPDATE SET totalled_from_at = excluded.totalled_from_at",
        rows,
    )
