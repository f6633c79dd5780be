"""SQL of credit grants and low balances; a CHECK refuses to use more of a grant than is left.

Place     discounts, wallets, credit_requests, credit_expiry -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fakturo.engine.wallets import Draw, Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A grant as the book has it."""

    grant_id: str
    account_id: str
    currency: str
    kind: str
    description: str
    priority: int
    expires_on: date | None
    amount_minor: int
    used_minor: int = 0
    expired_minor: int = 0

    @property
    def grant(self) -> Grant:
        """Return what the rules ask of it."""
        return Grant(
            grant_id=self.grant_id,
            left_minor=self.amount_minor - self.used_minor - self.expired_minor,
            priority=self.priority,
            expires_on=self.expires_on,
            description=self.description,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """Below which balance an account wants to be told, and whether it is."""

    threshold_minor: int
    is_low: bool
    fall_count: int


async def insert_grant(
    driver: asyncpg.Connection, row: GrantRow, known_watermark_at: datetime | None, digest: bytes
) -> bytes | None:
    """Insert a grant; return None, or the digest of the one that has its id."""
    inserted = await driver.fetchval(
        "INSERT INTO invoicing.credit_grant (grant_id, account_id, currency, kind, description, priority, expires_on, "
        "amount_minor, known_watermark_at, payload_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
        "ON CONFLICT DO NOTHING RETURNING true",
        row.grant_id,
        row.account_id,
        row.currency,
        row.kind,
        row.description,
        row.priority,
        row.expires_on,
        row.amount_minor,
        known_watermark_at,
        digest,
    )
    if inserted:
        return None
    found: bytes = await driver.fetchval(
        "SELECT payload_sha256 FROM invoicing.credit_grant WHERE grant_id = $1", row.grant_id
    )
    return found


async def lock_grants(
    driver: asyncpg.Connection, account_id: str, currency: str, kind: str, before: datetime
) -> list[Grant]:
    """Lock and return the grants of an account that have something left and were known before the tick `before`."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.credit_grant WHERE account_id = $1 AND currency = $2 AND kind = $3 "  # noqa: S608
        "AND used_minor + expired_minor < amount_minor AND (known_watermark_at IS NULL OR known_watermark_at < $4) "
        "ORDER BY grant_id FOR UPDATE",
        account_id,
        currency,
        kind,
        before,
    )
    return [GrantRow(**dict(row)).grant for row in rows]


async def save_draws(driver: asyncpg.Connection, invoice_id: str, draws: Iterable[Draw]) -> None:
    """Book what an invoice uses of grants.

    Raises:
        asyncpg.CheckViolationError: more than is left of one.
    """
    for draw in sorted(draws, key=lambda draw: draw.grant.grant_id):
        await driver.execute(
            "INSERT INTO invoicing.credit_use (invoice_id, grant_id, amount_minor) VALUES ($1, $2, $3)",
            invoice_id,
            draw.grant.grant_id,
            draw.amount_minor,
        )
        await driver.execute(
            "UPDATE invoicing.credit_grant SET used_minor = used_minor + $2 WHERE grant_id = $1",
            draw.grant.grant_id,
            draw.amount_minor,
        )


async def release_draws(driver: asyncpg.Connection, invoice_id: str, kind: str) -> None:
    """Give back what an invoice used of grants of a kind; a second time gives back nothing."""
    rows = await driver.fetch(
        "DELETE FROM invoicing.credit_use u USING invoicing.credit_grant g WHERE u.invoice_id = $1 "
        "AND g.grant_id = u.grant_id AND g.kind = $2 RETURNING u.grant_id, u.amount_minor",
        invoice_id,
        kind,
    )
    for row in sorted(rows, key=lambda row: row["grant_id"]):
        await driver.execute(
            "UPDATE invoicing.credit_grant SET used_minor = used_minor - $2 WHERE grant_id = $1",
            row["grant_id"],
            row["amount_minor"],
        )


async def balance_minor(driver: asyncpg.Connection, account_id: str, currency: str, kind: str) -> int:
    """Return what is left of all grants of an account, currency and kind."""
    value: int = await driver.fetchval(
        "SELECT coalesce(sum(amount_minor - used_minor - expired_minor), 0)::bigint FROM invoicing.credit_grant "
        "WHERE account_id = $1 AND currency = $2 AND kind = $3",
        account_id,
        currency,
        kind,
    )
    return value


async def lock_expired(driver: asyncpg.Connection, on: date, limit: int, passed: Iterable[str]) -> list[GrantRow]:
    """Lock and return grants that have something left and whose last day was before `on`, the earliest first."""
    rows = await driver.fetch(
        f"SELECT {_COLUMNS} FROM invoicing.credit_grant WHERE expires_on <= $1 "  # noqa: S608 - constants
        "AND used_minor + expired_minor < amount_minor AND NOT grant_id = ANY($3::text[]) "
        "ORDER BY expires_on, grant_id LIMIT $2 FOR UPDATE",
        on,
        limit,
        sorted(passed),
    )
    return [GrantRow(**dict(row)) for row in rows]


async def expire(driver: asyncpg.Connection, grant_id: str, amount_minor: int) -> None:
    """Book that this much of a grant expired."""
    await driver.execute(
        "UPDATE invoicing.credit_grant SET expired_minor = expired_minor + $2 WHERE grant_id = $1",
        grant_id,
        amount_minor,
    )


async def keep_alert(driver: asyncpg.Connection, account_id: str, currency: str, threshold_minor: int) -> None:
    """Keep below which prepaid balance an account wants to be told; the newest grant that says so counts."""
    await driver.execute(
        "INSERT INTO invoicing.credit_alert (account_id, currency, threshold_minor) VALUES ($1, $2, $3) "
        "ON CONFLICT (account_id, currency) DO UPDATE SET threshold_minor = excluded.threshold_minor",
        account_id,
        currency,
        threshold_minor,
    )


async def lock_alert(driver: asyncpg.Connection, account_id: str, currency: str) -> AlertRow | None:
    """Lock and return an account's alert, None where it asked for none."""
    row = await driver.fetchrow(
        "SELECT threshold_minor, is_low, fall_count FROM invoicing.credit_alert "
        "WHERE account_id = $1 AND currency = $2 FOR UPDATE",
        account_id,
        currency,
    )
    return AlertRow(**dict(row)) if row else None


async def set_low(driver: asyncpg.Connection, account_id: str, currency: str, *, is_low: bool, fall_count: int) -> None:
    """Keep whether the balance is low, and how often it fell."""
    await driver.execute(
        "UPDATE invoicing.credit_alert SET is_low = $3, fall_count = $4 WHERE account_id = $1 AND currency = $2",
        account_id,
        currency,
        is_low,
        fall_count,
    )


_COLUMNS = (
    "grant_id, account_id, currency, kind, description, priority, expires_on, amount_minor, used_minor, expired_minor"
)
