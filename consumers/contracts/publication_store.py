"""The SQL of publication: what is due, what was published, what is incomplete.

Place     publication -> [this] -> Postgres. All under the publication lock, so one worker at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import LOOKUP, ROLES
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import SubscriptionItem

# What a changed record makes due: itself, or the orders that it belongs to. References are cumulative, so this can
# only find too much, and what did not change in content is not published.
# A record that only lends values (a contact, a price book entry) makes due whom it lends them to, at any remove.
_EXPAND = """
WITH RECURSIVE taken AS (DELETE FROM contracts.changed WHERE watermark_at <= $1 RETURNING role, record_id),
lending AS (
    SELECT record_id FROM taken WHERE role = 'lookup'
    UNION SELECT r.record_id FROM lending l JOIN contracts.reference r
        ON r.role = 'lookup:lookup' AND r.target_id = l.record_id
), moved AS (
    SELECT role, record_id FROM taken WHERE role <> 'lookup'
    UNION SELECT split_part(r.role, ':', 2), r.record_id FROM lending l JOIN contracts.reference r
        ON r.role = ANY ($2::text[]) AND r.target_id = l.record_id
), roots AS (
    SELECT role, record_id FROM moved WHERE role IN ('account', 'subscription', 'opportunity')
    UNION SELECT role, record_id FROM moved m WHERE role = 'usage'
        AND NOT EXISTS (SELECT FROM contracts.usage_event u WHERE u.record_id = m.record_id)
    UNION SELECT 'subscription', r.record_id FROM moved t JOIN contracts.reference r
        ON t.role = 'account' AND r.role = 'account' AND r.target_id = t.record_id
    UNION SELECT 'subscription', r.target_id FROM moved t JOIN contracts.reference r
        ON t.role = 'item' AND r.role = 'subscription' AND r.record_id = t.record_id
    UNION SELECT 'subscription', o.target_id FROM moved t JOIN contracts.reference p
        ON t.role = 'product' AND p.role = 'product' AND p.target_id = t.record_id
        JOIN contracts.reference o ON o.role = 'subscription' AND o.record_id = p.record_id
    UNION SELECT 'opportunity', r.target_id FROM moved t JOIN contracts.reference r
        ON t.role = 'subscription' AND r.role = 'opportunity' AND r.record_id = t.record_id
    UNION SELECT 'opportunity', r.record_id FROM moved t JOIN contracts.reference r
        ON t.role = 'account' AND r.role = 'account_of_opportunity' AND r.target_id = t.record_id
    UNION SELECT 'usage', r.record_id FROM moved t JOIN contracts.reference r
        ON t.role = 'account' AND r.role = 'account_of_usage' AND r.target_id = t.record_id
        AND NOT EXISTS (SELECT FROM contracts.usage_event u WHERE u.record_id = r.record_id)
)
INSERT INTO contracts.due (role, record_id) SELECT role, record_id FROM roots ON CONFLICT DO NOTHING
"""

_WAKE = """
WITH children AS (
    SELECT record_id FROM contracts.reference WHERE role = 'parent' AND target_id = ANY ($1::text[])
)
INSERT INTO contracts.due (role, record_id)
SELECT 'account', record_id FROM children
UNION SELECT 'subscription', r.record_id FROM children c JOIN contracts.reference r
    ON r.role = 'account' AND r.target_id = c.record_id
UNION SELECT 'opportunity', r.record_id FROM contracts.reference r
    WHERE r.role = 'account_of_opportunity' AND r.target_id = ANY ($1::text[])
UNION SELECT 'usage', r.record_id FROM contracts.reference r
    WHERE r.role = 'account_of_usage' AND r.target_id = ANY ($1::text[])
    AND NOT EXISTS (SELECT FROM contracts.usage_event u WHERE u.record_id = r.record_id)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What stands on the topic for a record: its account, the hash of the content without `recorded_at`, its version.

    `version` counts what was published of the record, from 1.
    """

    account: str
    content_hash: bytes
    version: int


PublishedRow = tuple[str, str, str, bytes, str, str, datetime, int]


def version_after(before: Published | None) -> int:
    """Return the version that is published next, after `before`."""
    return 1 if before is None else before.version + 1


async def lock_publication(driver: asyncpg.Connection) -> None:
    """Wait until no other worker publishes; held to the end of the transaction."""
    await driver.execute("SELECT pg_advisory_xact_lock(hashtextextended('contracts/publication', 0))")


async def next_cut(driver: asyncpg.Connection, before: datetime) -> datetime | None:
    """Return the watermark of the oldest changes that came before the tick `before`, or None."""
    found = await driver.fetchval("SELECT min(watermark_at) FROM contracts.changed WHERE watermark_at < $1", before)
    return found if isinstance(found, datetime) else None


async def expand_changes(driver: asyncpg.Connection, cut_at: datetime) -> None:
    """Turn the changes up to `cut_at` into the accounts and subscriptions that are due."""
    await driver.execute(_EXPAND, cut_at, [f"{LOOKUP}:{role}" for role in ROLES])


async def take_due(driver: asyncpg.Connection, limit: int) -> list[tuple[str, str]]:
    """Take out and return (role, record id) of at most `limit` that are due: accounts first, then by id."""
    rows = await driver.fetch(
        "DELETE FROM contracts.due WHERE (role, record_id) IN"
        " (SELECT role, record_id FROM contracts.due ORDER BY role, record_id LIMIT $1) RETURNING role, record_id",
        limit,
    )
    return sorted((row["role"], row["record_id"]) for row in rows)


async def wake_children(driver: asyncpg.Connection, parents: Sequence[str]) -> None:
    """Make due what may wait for these accounts, now that they are published.

    That is their children and those' orders, and their own opportunities and usage.
    """
    if parents:
        await driver.execute(_WAKE, list(parents))


async def due_cut(driver: asyncpg.Connection) -> datetime | None:
    """Return the cut whose due records are not all published yet, or None."""
    found = await driver.fetchval("SELECT cut_at FROM contracts.publication WHERE EXISTS (SELECT FROM contracts.due)")
    return found if isinstance(found, datetime) else None


async def begin_cut(driver: asyncpg.Connection, cut_at: datetime) -> None:
    """Remember the cut that is being published, for the calls that finish it."""
    await driver.execute("UPDATE contracts.publication SET cut_at = $1", cut_at)


async def catalog_changed(driver: asyncpg.Connection, fingerprint: bytes) -> bool:
    """Return whether catalog and profile differ from those last published with, and remember these."""
    found = await driver.fetchval("SELECT catalog_fingerprint FROM contracts.publication")
    if found is not None and bytes(found) == fingerprint:
        return False
    await driver.execute("UPDATE contracts.publication SET catalog_fingerprint = $1", fingerprint)
    return True


async def mark_all(driver: asyncpg.Connection, roots: Sequence[tuple[str, str]], watermark_at: datetime) -> None:
    """Mark every record of `roots`, as (role, object), as changed."""
    await driver.execute(
        "INSERT INTO contracts.changed (role, record_id, watermark_at)"
        " SELECT g.role, r.record_id, $3 FROM contracts.record r"
        " JOIN unnest($1::text[], $2::text[]) AS g (role, entity) USING (entity)",
        [role for role, _ in roots],
        [entity for _, entity in roots],
        watermark_at,
    )


async def add_references(driver: asyncpg.Connection, entity: str, field: str, roles: Sequence[str]) -> None:
    """Note what the records of `entity` point to by `field` now: a profile reads it that did not before."""
    await driver.execute(
        "INSERT INTO contracts.reference (role, record_id, target_id)"
        " SELECT role, record_id, field_values ->> $2 FROM contracts.record CROSS JOIN unnest($3::text[]) AS role"
        " WHERE entity = $1 AND field_values ->> $2 <> '' ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING",
        entity,
        field,
        list(roles),
    )


async def load_published(driver: asyncpg.Connection, role: str, ids: Sequence[str]) -> dict[str, Published]:
    """Return what was published of `ids`, by record id."""
    rows = await driver.fetch(
        "SELECT record_id, account, content_hash, version FROM contracts.published"
        " WHERE role = $1 AND record_id = ANY ($2::text[])",
        role,
        list(ids),
    )
    return {row["record_id"]: published_of(row) for row in rows}


def published_of(row: asyncpg.Record) -> Published:
    """Return what a row says of account, content_hash and version."""
    return Published(account=row["account"], content_hash=bytes(row["content_hash"]), version=row["version"])


async def holders_of(driver: asyncpg.Connection, accounts: Sequence[str]) -> dict[str, str]:
    """Return which Salesforce record stands behind each of `accounts` that was published."""
    rows = await driver.fetch(
        "SELECT account, record_id FROM contracts.published WHERE role = 'account' AND account = ANY ($1::text[])",
        list(accounts),
    )
    return {row["account"]: row["record_id"] for row in rows}


async def save_published(driver: asyncpg.Connection, rows: Sequence[PublishedRow]) -> None:
    """Write what is published.

    That is (role, record id, account, content hash, event type, content as JSON, recorded_at, version).
    """
    await driver.executemany(
        "INSERT INTO contracts.published"
        " (role, record_id, account, content_hash, event_type, content, recorded_at, version)"
        " VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8)"
        " ON CONFLICT (role, record_id) DO UPDATE SET account = excluded.account,"
        " content_hash = excluded.content_hash, event_type = excluded.event_type, content = excluded.content,"
        " recorded_at = excluded.recorded_at, version = excluded.version",
        rows,
    )


async def save_price_versions(driver: asyncpg.Connection, rows: Iterable[tuple[SubscriptionItem, datetime]]) -> None:
    """Keep every price version that was published with an item, and when it was first recorded."""
    values = [
        (item.product_code, version.effective_from, version.hash, encode(version.price).decode(), recorded_at)
        for item, recorded_at in rows
        for version in item.prices
    ]
    await driver.executemany(
        "INSERT INTO contracts.price_version (product_code, effective_from, hash, price, recorded_at)"
        " VALUES ($1, $2, $3, $4::text::jsonb, $5) ON CONFLICT DO NOTHING",
        values,
    )


async def save_problems(
    driver: asyncpg.Connection, roots: Sequence[tuple[str, str]], problems: Sequence[tuple[str, str, Problem, datetime]]
) -> None:
    """Replace the sentences of `roots` (role, record id) by `problems`: (role, root id, problem, recorded_at)."""
    await driver.execute(
        "DELETE FROM contracts.incomplete i USING unnest($1::text[], $2::text[]) AS g (role, root_id)"
        " WHERE i.role = g.role AND i.root_id = g.root_id",
        [role for role, _ in roots],
        [root_id for _, root_id in roots],
    )
    await driver.executemany(
        "INSERT INTO contracts.incomplete (role, root_id, entity, record_id, message, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        [
            (role, root_id, problem.entity, problem.record_id, problem.message, recorded_at)
            for role, root_id, problem, recorded_at in problems
        ],
    )
