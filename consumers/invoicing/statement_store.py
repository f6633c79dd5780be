"""SQL of the final statements of usage; rows are taken in sorted order.

Place     handler, due -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from fakturo.consumers.invoicing.contracts_store import ItemRow
from fakturo.schemas.codec import encode
from fakturo.schemas.events.usage import UsageRated

Statements = dict[tuple[str, datetime], tuple[UsageRated, datetime]]
"""(item, period start) -> final statement and when it was recorded."""

_statement = msgspec.json.Decoder(UsageRated)


async def save_statements(driver: asyncpg.Connection, statements: Sequence[tuple[UsageRated, datetime]]) -> None:
    """Keep final statements; the same one again changes nothing."""
    ordered = sorted(statements, key=lambda found: (found[0].subscription_item, found[0].period.start))
    await driver.execute(
        "INSERT INTO invoicing.final_statement (subscription_item, period_start_at, content, recorded_at) "
        "SELECT id, start_at, content::jsonb, recorded_at "
        "FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[]) "
        "AS s(id, start_at, content, recorded_at) ON CONFLICT DO NOTHING",
        [statement.subscription_item for statement, _ in ordered],
        [statement.period.start for statement, _ in ordered],
        [encode(statement).decode() for statement, _ in ordered],
        [recorded_at for _, recorded_at in ordered],
    )


async def find_statements(
    driver: asyncpg.Connection, items: Sequence[ItemRow]
) -> dict[tuple[str, datetime], tuple[UsageRated, datetime]]:
    """Return (item, period start) -> final statement and when it was recorded, of those that have come."""
    wanted = [item for item in items if item.period is not None and item.item.meter is not None]
    rows = await driver.fetch(
        "SELECT subscription_item, period_start_at, content::text AS content, recorded_at "
        "FROM invoicing.final_statement JOIN unnest($1::text[], $2::timestamptz[]) AS w(subscription_item, "
        "period_start_at) USING (subscription_item, period_start_at)",
        [item.key for item in wanted],
        [item.period.start_at for item in wanted if item.period],
    )
    return {
        (row["subscription_item"], row["period_start_at"]): (_statement.decode(row["content"]), row["recorded_at"])
        for row in rows
    }
