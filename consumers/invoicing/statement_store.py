"""SQL of the statements of usage: final ones by revision, and the newest running one where a threshold is watched.

Place     handler, changes, due -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg
import msgspec

from fakturo.consumers.invoicing.groups import Entry
from fakturo.schemas.codec import encode
from fakturo.schemas.events.usage import UsageRated

Statements = dict[tuple[str, datetime], tuple[UsageRated, datetime]]
"""(item, period start) -> statement and when it was recorded."""

_statement = msgspec.json.Decoder(UsageRated)


async def save_statements(driver: asyncpg.Connection, statements: Sequence[tuple[UsageRated, datetime]]) -> None:
    """Keep final statements; the same one again changes nothing."""
    ordered = sorted(statements, key=lambda found: (found[0].subscription_item, found[0].period.start))
    await driver.execute(
        "INSERT INTO invoicing.final_statement (subscription_item, period_start_at, content, recorded_at, revision) "
        "SELECT id, start_at, content::jsonb, recorded_at, revision "
        "FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::int[]) "
        "AS s(id, start_at, content, recorded_at, revision) ON CONFLICT DO NOTHING",
        [statement.subscription_item for statement, _ in ordered],
        [statement.period.start for statement, _ in ordered],
        [encode(statement).decode() for statement, _ in ordered],
        [recorded_at for _, recorded_at in ordered],
        [statement.revision for statement, _ in ordered],
    )


async def find_statements(driver: asyncpg.Connection, entries: Iterable[Entry]) -> Statements:
    """Return the newest statement of each metered entry that has come: a final one, or the running one if it bills it.

    An entry that is `running` takes a final statement too, where that has come meanwhile.
    """
    wanted = [entry for entry in entries if entry.row.item.meter is not None]
    keys = [entry.row.key for entry in wanted], [entry.period.start_at for entry in wanted]
    rows = await driver.fetch(
        "SELECT DISTINCT ON (subscription_item, period_start_at) subscription_item, period_start_at, "
        "content::text AS content, recorded_at FROM invoicing.final_statement "
        "JOIN unnest($1::text[], $2::timestamptz[]) AS w(subscription_item, period_start_at) "
        "USING (subscription_item, period_start_at) ORDER BY subscription_item, period_start_at, revision DESC",
        *keys,
    )
    found = {_key(row): _found(row) for row in rows}
    if any(entry.running and entry.key not in found for entry in wanted):
        running = await driver.fetch(
            "SELECT subscription_item, period_start_at, content::text AS content, recorded_at "
            "FROM invoicing.running_statement JOIN unnest($1::text[], $2::timestamptz[]) "
            "AS w(subscription_item, period_start_at) USING (subscription_item, period_start_at)",
            [entry.row.key for entry in wanted if entry.running],
            [entry.period.start_at for entry in wanted if entry.running],
        )
        found = {_key(row): _found(row) for row in running} | found
    return found


async def save_running(driver: asyncpg.Connection, statement: UsageRated, recorded_at: datetime) -> None:
    """Keep the newest running statement of an item."""
    await driver.execute(
        "INSERT INTO invoicing.running_statement (subscription_item, subscription_id, period_start_at, period_end_at, "
        "amount_minor, content, recorded_at) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7) "
        "ON CONFLICT (subscription_item) DO UPDATE SET subscription_id = excluded.subscription_id, "
        "period_start_at = excluded.period_start_at, period_end_at = excluded.period_end_at, "
        "amount_minor = excluded.amount_minor, content = excluded.content, recorded_at = excluded.recorded_at",
        statement.subscription_item,
        statement.subscription_id,
        statement.period.start,
        statement.period.end,
        statement.amount_minor,
        encode(statement).decode(),
        recorded_at,
    )


async def watched_items(driver: asyncpg.Connection, items: Iterable[str]) -> set[str]:
    """Return those of the items whose subscription is billed at a threshold, as it is known or about to be."""
    rows = await driver.fetch(
        "SELECT i.subscription_item FROM invoicing.subscription_item i JOIN invoicing.subscription s "
        "USING (subscription_id) WHERE i.subscription_item = ANY($1::text[]) "
        "AND s.content ->> 'billing_threshold_minor' IS NOT NULL",
        sorted(set(items)),
    )
    pending = await driver.fetch(
        "SELECT i ->> 'subscription_item' AS subscription_item FROM invoicing.news n, "
        "jsonb_array_elements(n.content -> 'items') i WHERE n.kind = 'subscription' "
        "AND n.content ->> 'billing_threshold_minor' IS NOT NULL AND i ->> 'subscription_item' = ANY($1::text[])",
        sorted(set(items)),
    )
    return {row["subscription_item"] for row in (*rows, *pending)}


def _key(row: asyncpg.Record) -> tuple[str, datetime]:
    return row["subscription_item"], row["period_start_at"]


def _found(row: asyncpg.Record) -> tuple[UsageRated, datetime]:
    return _statement.decode(row["content"]), row["recorded_at"]
