"""SQL of points: lots, an account's balance, redemptions and what they claimed; CHECKs refuse more than there is.

Place     discounts, credit_requests, credit_expiry -> [this] -> Postgres schema `invoicing`.
Locks     balance, then lots, then claims, each sorted by its key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fakturo.engine.loyalty import Lot, Redeemed, shared_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Points of a lot that a redemption claimed and that have not come off an invoice."""

    redemption_id: str
    lot: Lot
    points: int


async def earn(driver: asyncpg.Connection, account_id: str, lot: Lot) -> None:
    """Book the points that an invoice earned."""
    await driver.execute(
        "INSERT INTO invoicing.point_balance AS b (account_id, points) VALUES ($1, $2) "
        "ON CONFLICT (account_id) DO UPDATE SET points = b.points + excluded.points",
        account_id,
        lot.points,
    )
    await driver.execute(
        "INSERT INTO invoicing.point_lot (lot_id, account_id, programme, currency, points, point_amount, "
        "redemption_percent, deferred_minor, earned_on, expires_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        lot.lot_id,
        account_id,
        lot.programme,
        lot.currency,
        lot.points,
        lot.point_amount,
        lot.redemption_percent,
        lot.deferred_minor,
        lot.earned_on,
        lot.expires_on,
    )


async def insert_redemption(
    driver: asyncpg.Connection,
    redemption_id: str,
    account_id: str,
    points: int,
    known_watermark_at: datetime | None,
    digest: bytes,
) -> bytes | None:
    """Insert a redemption; return None, or the digest of the one that has its id."""
    inserted = await driver.fetchval(
        "INSERT INTO invoicing.point_redemption (redemption_id, account_id, points, known_watermark_at, "
        "payload_sha256) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true",
        redemption_id,
        account_id,
        points,
        known_watermark_at,
        digest,
    )
    if inserted:
        return None
    found: bytes = await driver.fetchval(
        "SELECT payload_sha256 FROM invoicing.point_redemption WHERE redemption_id = $1", redemption_id
    )
    return found


async def take_points(driver: asyncpg.Connection, account_id: str, points: int) -> None:
    """Take points out of an account's balance.

    Raises:
        asyncpg.CheckViolationError: there are not as many.
    """
    await driver.execute(
        "INSERT INTO invoicing.point_balance (account_id) VALUES ($1) ON CONFLICT DO NOTHING", account_id
    )
    await driver.execute(
        "UPDATE invoicing.point_balance SET points = points - $2 WHERE account_id = $1", account_id, points
    )


async def lock_free_lots(driver: asyncpg.Connection, account_id: str) -> list[Lot]:
    """Lock and return the lots of an account that have points which can be claimed."""
    rows = await driver.fetch(
        f"SELECT {_LOT} FROM invoicing.point_lot WHERE account_id = $1 AND claimed + expired < points "  # noqa: S608
        "ORDER BY lot_id FOR UPDATE",
        account_id,
    )
    return [_lot_of(row) for row in rows]


async def save_claims(
    driver: asyncpg.Connection, redemption_id: str, account_id: str, claims: Iterable[tuple[Lot, int]]
) -> None:
    """Book which points of which lot a redemption claims.

    Raises:
        asyncpg.CheckViolationError: a lot has not as many.
    """
    for lot, points in sorted(claims, key=lambda claim: claim[0].lot_id):
        await driver.execute(
            "UPDATE invoicing.point_lot SET claimed = claimed + $2 WHERE lot_id = $1", lot.lot_id, points
        )
        await driver.execute(
            "INSERT INTO invoicing.point_claim (redemption_id, lot_id, account_id, points) VALUES ($1, $2, $3, $4)",
            redemption_id,
            lot.lot_id,
            account_id,
            points,
        )


async def lock_claims(driver: asyncpg.Connection, account_id: str, currency: str, before: datetime) -> list[Claim]:
    """Lock an account's lots and return what was claimed of them before the tick `before`, in the order of asking."""
    lots = {
        row["lot_id"]: _lot_of(row)
        for row in await driver.fetch(
            f"SELECT {_LOT} FROM invoicing.point_lot WHERE account_id = $1 AND currency = $2 "  # noqa: S608
            "AND redeemed < claimed ORDER BY lot_id FOR UPDATE",
            account_id,
            currency,
        )
    }
    if not lots:
        return []
    rows = await driver.fetch(
        "SELECT c.redemption_id, c.lot_id, c.points - c.redeemed AS points FROM invoicing.point_claim c "
        "JOIN invoicing.point_redemption r USING (redemption_id) JOIN invoicing.point_lot l USING (lot_id) "
        "WHERE c.account_id = $1 AND c.redeemed < c.points AND c.lot_id = ANY($2::text[]) "
        "AND (r.known_watermark_at IS NULL OR r.known_watermark_at < $3) "
        "ORDER BY r.redeemed_no, l.earned_on, l.lot_id",
        account_id,
        sorted(lots),
        before,
    )
    return [Claim(redemption_id=row["redemption_id"], lot=lots[row["lot_id"]], points=row["points"]) for row in rows]


async def save_redeemed(
    driver: asyncpg.Connection, invoice_id: str, redeemed: Sequence[tuple[Claim, Redeemed]]
) -> None:
    """Book the points that come off an invoice.

    Raises:
        asyncpg.CheckViolationError: more than were claimed.
    """
    for claim, part in sorted(redeemed, key=lambda pair: (pair[0].lot.lot_id, pair[0].redemption_id)):
        await driver.execute(
            "UPDATE invoicing.point_lot SET redeemed = redeemed + $2, released_minor = released_minor + $3 "
            "WHERE lot_id = $1",
            claim.lot.lot_id,
            part.points,
            part.released_minor,
        )
        await driver.execute(
            "UPDATE invoicing.point_claim SET redeemed = redeemed + $3 WHERE redemption_id = $1 AND lot_id = $2",
            claim.redemption_id,
            claim.lot.lot_id,
            part.points,
        )
        await driver.execute(
            "INSERT INTO invoicing.point_use (invoice_id, redemption_id, lot_id, points, released_minor) "
            "VALUES ($1, $2, $3, $4, $5)",
            invoice_id,
            claim.redemption_id,
            claim.lot.lot_id,
            part.points,
            part.released_minor,
        )


async def release_redeemed(driver: asyncpg.Connection, invoice_id: str) -> tuple[int, int]:
    """Give the points that came off an invoice back to what claimed them; return them and the revenue that waits again.

    Points of an invoice that is void itself are gone.
    """
    rows = await driver.fetch(
        "DELETE FROM invoicing.point_use WHERE invoice_id = $1 RETURNING redemption_id, lot_id, points, released_minor",
        invoice_id,
    )
    points = released = 0
    for row in sorted(rows, key=lambda row: (row["lot_id"], row["redemption_id"])):
        is_void = await driver.fetchval(
            "UPDATE invoicing.point_lot SET redeemed = redeemed - $2, "
            "released_minor = released_minor - CASE WHEN is_void THEN 0 ELSE $3 END, "
            "claimed = claimed - CASE WHEN is_void THEN $2 ELSE 0 END, "
            "points = points - CASE WHEN is_void THEN $2 ELSE 0 END WHERE lot_id = $1 RETURNING is_void",
            row["lot_id"],
            row["points"],
            row["released_minor"],
        )
        await driver.execute(
            "UPDATE invoicing.point_claim SET redeemed = redeemed - $3, points = points - CASE WHEN $4 THEN $3 ELSE 0 "
            "END WHERE redemption_id = $1 AND lot_id = $2",
            row["redemption_id"],
            row["lot_id"],
            row["points"],
            is_void,
        )
        points += row["points"]
        released += 0 if is_void else row["released_minor"]
    return points, released


async def take_back_lot(driver: asyncpg.Connection, invoice_id: str) -> tuple[int, int]:
    """Take back what is left of the points that an invoice earned; return them and the revenue that waits no more.

    What was redeemed by then stays redeemed; what was claimed and has not come off an invoice goes too.
    """
    row = await driver.fetchrow(
        f"SELECT {_LOT}, account_id FROM invoicing.point_lot WHERE lot_id = $1 AND NOT is_void FOR UPDATE",  # noqa: S608
        invoice_id,
    )
    if row is None:
        return 0, 0
    lot = _lot_of(row)
    await driver.execute(
        "UPDATE invoicing.point_balance SET points = points - $2 WHERE account_id = $1", row["account_id"], lot.free
    )
    await driver.execute("UPDATE invoicing.point_claim SET points = redeemed WHERE lot_id = $1", invoice_id)
    await driver.execute(
        "UPDATE invoicing.point_lot SET points = redeemed + expired, claimed = redeemed, "
        "deferred_minor = released_minor, is_void = true WHERE lot_id = $1",
        invoice_id,
    )
    return lot.points - lot.expired - lot.redeemed, lot.deferred_minor - lot.released_minor


async def take_back_share(driver: asyncpg.Connection, invoice_id: str, weights: tuple[int, int]) -> tuple[int, int]:
    """Take back the first of two shares of the points that an invoice earned; return them and the revenue with them.

    Shared is what has not been redeemed; no more goes than is free, so what was claimed stays claimed.
    """
    row = await driver.fetchrow(
        f"SELECT {_LOT}, account_id FROM invoicing.point_lot WHERE lot_id = $1 AND NOT is_void FOR UPDATE",  # noqa: S608
        invoice_id,
    )
    if row is None:
        return 0, 0
    lot = _lot_of(row)
    points, deferred_minor = shared_back(lot, weights)
    await driver.execute(
        "UPDATE invoicing.point_balance SET points = points - $2 WHERE account_id = $1", row["account_id"], points
    )
    await driver.execute(
        "UPDATE invoicing.point_lot SET points = points - $2, deferred_minor = deferred_minor - $3 WHERE lot_id = $1",
        invoice_id,
        points,
        deferred_minor,
    )
    return points, deferred_minor


async def lock_expired(
    driver: asyncpg.Connection, on: date, limit: int, passed: Iterable[str]
) -> list[tuple[str, Lot]]:
    """Lock and return (account, lot) of lots with free points whose last day was before `on`, the earliest first."""
    rows = await driver.fetch(
        f"SELECT {_LOT}, account_id FROM invoicing.point_lot WHERE expires_on <= $1 "  # noqa: S608 - constants
        "AND claimed + expired < points AND NOT lot_id = ANY($3::text[]) ORDER BY expires_on, lot_id "
        "LIMIT $2 FOR UPDATE",
        on,
        limit,
        sorted(passed),
    )
    return [(row["account_id"], _lot_of(row)) for row in rows]


async def expire(driver: asyncpg.Connection, account_id: str, lot: Lot, released_minor: int) -> None:
    """Book that the free points of a lot expired."""
    await driver.execute(
        "UPDATE invoicing.point_balance SET points = points - $2 WHERE account_id = $1", account_id, lot.free
    )
    await driver.execute(
        "UPDATE invoicing.point_lot SET expired = expired + $2, released_minor = released_minor + $3 WHERE lot_id = $1",
        lot.lot_id,
        lot.free,
        released_minor,
    )


_LOT = (
    "lot_id, programme, currency, points, point_amount, redemption_percent, deferred_minor, claimed, redeemed, "
    "expired, released_minor, earned_on, expires_on"
)


def _lot_of(row: asyncpg.Record) -> Lot:
    return Lot(**{name: row[name] for name in _LOT.split(", ")})
