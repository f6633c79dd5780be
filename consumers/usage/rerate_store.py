"""SQL of re-ratings: what was asked for, how far it is, and the totals that are taken anew.

Place     rerate -> [this] -> Postgres `usage.rerate_request`, `usage.rollup`, `usage.revision_due`.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

Quarter = tuple[str, int, datetime]
"""Account, meter, start of a quarter of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerateRequest:
    """A request to total an account's usage of [start_at, end_at) again; done up to `totalled_until_at`."""

    source: str
    id: str
    payload_hash: bytes
    account_id: str
    start_at: datetime
    end_at: datetime
    known_watermark_at: datetime
    recorded_at: datetime
    totalled_until_at: datetime


async def save(driver: asyncpg.Connection, request: RerateRequest) -> bytes | None:
    """Keep a request; return the payload's fingerprint of the one that has its identity already, else None."""
    inserted = await driver.fetchval(
        "INSERT INTO usage.rerate_request (source, id, payload_hash, account_id, start_at, end_at, known_watermark_at, "
        "recorded_at, totalled_until_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING "
        "RETURNING true",
        request.source,
        request.id,
        request.payload_hash,
        request.account_id,
        request.start_at,
        request.end_at,
        request.known_watermark_at,
        request.recorded_at,
        request.totalled_until_at,
    )
    if inserted:
        return None
    known: bytes = await driver.fetchval(
        "SELECT payload_hash FROM usage.rerate_request WHERE source = $1 AND id = $2", request.source, request.id
    )
    return known


async def next_due(driver: asyncpg.Connection, to: datetime) -> RerateRequest | None:
    """Return the request that comes next of those that were known before `to` and are not done."""
    row = await driver.fetchrow(
        "SELECT source, id, payload_hash, account_id, start_at, end_at, known_watermark_at, recorded_at, "
        "totalled_until_at FROM usage.rerate_request WHERE NOT done AND known_watermark_at < $1 "
        "ORDER BY known_watermark_at, source, id LIMIT 1",
        to,
    )
    return None if row is None else RerateRequest(**row)


async def move(driver: asyncpg.Connection, request: RerateRequest, until_at: datetime) -> None:
    """Note that the request is done up to `until_at`."""
    await driver.execute(
        "UPDATE usage.rerate_request SET totalled_until_at = $3, done = $3 >= end_at WHERE source = $1 AND id = $2",
        request.source,
        request.id,
        until_at,
    )


async def is_known(driver: asyncpg.Connection, account_id: str) -> bool:
    """Return whether the account's contract has come."""
    return bool(
        await driver.fetchval(
            "SELECT EXISTS (SELECT FROM usage.account WHERE account_id = $1 AND content IS NOT NULL)", account_id
        )
    )


async def forget_totals(
    driver: asyncpg.Connection, account_id: str, from_at: datetime, until_at: datetime
) -> list[Quarter]:
    """Delete the account's totals of [from_at, until_at), those that wait for a tick too; return which there were."""
    found: set[Quarter] = set()
    for table in ("rollup", "late_rollup", "retotal_due"):
        rows = await driver.fetch(
            f"DELETE FROM usage.{table} WHERE account_id = $1 AND bucket_start_at >= $2 "  # noqa: S608 - constants
            "AND bucket_start_at < $3 RETURNING meter_id, bucket_start_at",
            account_id,
            from_at,
            until_at,
        )
        found |= {(account_id, row["meter_id"], row["bucket_start_at"]) for row in rows}
    return sorted(found)


async def queue_stated(driver: asyncpg.Connection, account_id: str, from_at: datetime, until_at: datetime) -> None:
    """Have every stated period of the account that touches [from_at, until_at) rated again."""
    await driver.execute(
        "INSERT INTO usage.revision_due AS old (subscription_item, period_start_at, period_end_at, known_watermark_at, "
        "for_usage) SELECT f.subscription_item, f.period_start_at, f.period_end_at, '-infinity', true "
        "FROM usage.final_statement f JOIN usage.subscription_item i USING (subscription_item) "
        "WHERE i.account_id = $1 AND f.revision = 1 AND f.period_start_at < $3 AND f.period_end_at > $2 ORDER BY 1, 2 "
        "ON CONFLICT (subscription_item, period_start_at) DO UPDATE "
        "SET known_watermark_at = least(old.known_watermark_at, excluded.known_watermark_at), for_usage = true",
        account_id,
        from_at,
        until_at,
    )
