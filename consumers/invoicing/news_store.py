"""SQL of what has come and is not in force yet; each piece holds from the first tick after it.

Place     handler -> [this] -> changes, in `advance`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.codec import encode

ACCOUNT, SUBSCRIPTION, STATEMENT, RUNNING = "account", "subscription", "statement", "running"


@dataclass(frozen=True, slots=True)
class News:
    """One record's worth: what it is, its JSON, when it was recorded, and what time had reached before it."""

    kind: str
    content: str
    recorded_at: datetime
    known_at: datetime


async def save(
    driver: asyncpg.Connection, news: Sequence[tuple[Record, str, object, datetime]], beginning: datetime
) -> None:
    """Keep (record, kind, content, recorded at); the same record again changes nothing."""
    await driver.executemany(
        'INSERT INTO invoicing.news (known_watermark_at, topic, partition, "offset", kind, content, recorded_at) '
        "VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7) ON CONFLICT DO NOTHING",
        [
            (
                record.watermark_at or beginning,
                record.topic,
                record.partition,
                record.offset,
                kind,
                encode(content).decode(),
                recorded_at,
            )
            for record, kind, content, recorded_at in news
        ],
    )


async def oldest_known_at(driver: asyncpg.Connection, to: datetime) -> datetime | None:
    """Return what time had reached when the oldest news before the tick `to` came."""
    found: datetime | None = await driver.fetchval(
        "SELECT min(known_watermark_at) FROM invoicing.news WHERE known_watermark_at < $1", to
    )
    return found


async def take(driver: asyncpg.Connection, known_at: datetime, limit: int) -> list[News]:
    """Take out and return the oldest `limit` news that came when time had reached `known_at`, in order."""
    rows = await driver.fetch(
        'WITH taken AS (DELETE FROM invoicing.news WHERE (known_watermark_at, topic, partition, "offset") IN ('
        '  SELECT known_watermark_at, topic, partition, "offset" FROM invoicing.news WHERE known_watermark_at = $1 '
        '  ORDER BY topic, partition, "offset" LIMIT $2) RETURNING *) '
        'SELECT kind, content::text AS content, recorded_at FROM taken ORDER BY topic, partition, "offset"',
        known_at,
        limit,
    )
    return [News(row["kind"], row["content"], row["recorded_at"], known_at) for row in rows]
