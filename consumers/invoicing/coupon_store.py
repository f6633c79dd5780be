"""SQL of coupons and spend caps; rows are locked in sorted order, and a CHECK bounds what they hold.

Place     discounts, credit_requests -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from fakturo.engine.discounts import Offer, Used, uses_max
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import Coupon, Subscription

_coupon = msgspec.json.Decoder(Coupon)


async def subscriptions_of(driver: asyncpg.Connection, items: Iterable[str]) -> dict[str, str]:
    """Return the subscription of each item."""
    rows = await driver.fetch(
        "SELECT subscription_item, subscription_id FROM invoicing.subscription_item "
        "WHERE subscription_item = ANY($1::text[])",
        sorted(set(items)),
    )
    return {row["subscription_item"]: row["subscription_id"] for row in rows}


async def keep_holder(
    driver: asyncpg.Connection,
    holder_id: str,
    account_id: str,
    coupon: Coupon,
    *,
    subscription_id: str | None = None,
    known_watermark_at: datetime | None = None,
    digest: bytes | None = None,
) -> bool:
    """Keep that an account has a coupon; return whether it is new. A budget is never set below what was spent.

    A coupon that came with a subscription follows it: what it says now counts, as does how often it was used.
    """
    new = await driver.fetchval(
        "INSERT INTO invoicing.coupon_holder AS h (holder_id, account_id, subscription_id, code, content, uses_max, "
        "known_watermark_at, payload_sha256) VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8) "
        "ON CONFLICT (holder_id) DO UPDATE SET account_id = excluded.account_id, content = excluded.content, "
        "uses_max = CASE WHEN excluded.uses_max IS NOT NULL THEN greatest(excluded.uses_max, h.used_count) END "
        "WHERE h.subscription_id IS NOT NULL "
        "RETURNING xmax = 0",
        holder_id,
        account_id,
        subscription_id,
        coupon.code,
        encode(coupon).decode(),
        uses_max(coupon),
        known_watermark_at,
        digest,
    )
    if coupon.budget_minor is not None and new is not None:
        await driver.execute(
            "INSERT INTO invoicing.coupon_budget AS b (code, currency, budget_minor) VALUES ($1, $2, $3) "
            "ON CONFLICT (code) DO UPDATE SET budget_minor = greatest(excluded.budget_minor, b.spent_minor)",
            coupon.code,
            coupon.currency,
            coupon.budget_minor,
        )
    return bool(new)


async def digest_of(driver: asyncpg.Connection, holder_id: str) -> bytes | None:
    """Return the digest of the grant that a holder came by."""
    value: bytes | None = await driver.fetchval(
        "SELECT payload_sha256 FROM invoicing.coupon_holder WHERE holder_id = $1", holder_id
    )
    return value


async def lock_offers(
    driver: asyncpg.Connection, accounts: Iterable[str], subscriptions: Mapping[str, Subscription], before: datetime
) -> list[Offer]:
    """Lock and return the coupons of the accounts that have uses left and were known before the tick `before`."""
    rows = await driver.fetch(
        "SELECT holder_id, account_id, subscription_id, content::text AS content, used_count "
        "FROM invoicing.coupon_holder WHERE account_id = ANY($1::text[]) AND used_count < coalesce(uses_max, "
        "2147483647) AND (known_watermark_at IS NULL OR known_watermark_at < $2) ORDER BY holder_id FOR UPDATE",
        sorted(set(accounts)),
        before,
    )
    return [
        Offer(
            holder_id=row["holder_id"],
            coupon=_coupon.decode(row["content"]),
            used_count=row["used_count"],
            subscription_id=row["subscription_id"],
            account=row["account_id"],
        )
        for row in rows
        if row["subscription_id"] is None or _still_has(subscriptions.get(row["subscription_id"]), row["holder_id"])
    ]


def holder_of(subscription_id: str, code: str) -> str:
    """Return the id under which a subscription holds a coupon."""
    return f"subscription/{subscription_id}/{code}"


def _still_has(subscription: Subscription | None, holder_id: str) -> bool:
    return subscription is not None and any(
        holder_of(subscription.subscription_id, coupon.code) == holder_id for coupon in subscription.coupons
    )


async def lock_budgets(driver: asyncpg.Connection, codes: Iterable[str], currency: str) -> dict[str, int]:
    """Lock the budgets of these codes and return what is left of each; 0 where it is one of another currency."""
    rows = await driver.fetch(
        "SELECT code, currency, budget_minor - spent_minor AS left_minor FROM invoicing.coupon_budget "
        "WHERE code = ANY($1::text[]) ORDER BY code FOR UPDATE",
        sorted(set(codes)),
    )
    return {row["code"]: row["left_minor"] if row["currency"] in (None, currency) else 0 for row in rows}


async def save_uses(driver: asyncpg.Connection, invoice_id: str, currency: str, used: Sequence[Used]) -> None:
    """Book what an invoice used of coupons: the use, one more use of its holder, and the budget.

    Raises:
        asyncpg.CheckViolationError: more than is left of a budget, or of a coupon's uses.
    """
    for use in sorted(used, key=lambda use: use.offer.holder_id):
        await driver.execute(
            "INSERT INTO invoicing.coupon_use (invoice_id, holder_id, code, amount_minor) VALUES ($1, $2, $3, $4)",
            invoice_id,
            use.offer.holder_id,
            use.offer.coupon.code,
            -use.amount_minor,
        )
        await driver.execute(
            "UPDATE invoicing.coupon_holder SET used_count = used_count + 1 WHERE holder_id = $1", use.offer.holder_id
        )
    for use in sorted(used, key=lambda use: use.offer.coupon.code):
        await driver.execute(
            "UPDATE invoicing.coupon_budget SET spent_minor = spent_minor + $2, currency = coalesce(currency, $3) "
            "WHERE code = $1",
            use.offer.coupon.code,
            -use.amount_minor,
            currency,
        )


async def release_uses(driver: asyncpg.Connection, invoice_id: str) -> None:
    """Give back the uses and the budget that an invoice took; a second time gives back nothing."""
    rows = await driver.fetch(
        "DELETE FROM invoicing.coupon_use WHERE invoice_id = $1 RETURNING holder_id, code, amount_minor", invoice_id
    )
    for holder_id in sorted(row["holder_id"] for row in rows):
        await driver.execute(
            "UPDATE invoicing.coupon_holder SET used_count = used_count - 1 WHERE holder_id = $1", holder_id
        )
    for row in sorted(rows, key=lambda row: row["code"]):
        await driver.execute(
            "UPDATE invoicing.coupon_budget SET spent_minor = spent_minor - $2 WHERE code = $1",
            row["code"],
            row["amount_minor"],
        )


async def capped_before(driver: asyncpg.Connection, subscription_id: str, period_start_at: datetime) -> tuple[int, int]:
    """Return what earlier documents of a billing period billed before its cap, and what the cap took off."""
    rows = await driver.fetch(
        "SELECT coalesce(sum(billed_minor), 0)::bigint AS billed, coalesce(sum(capped_minor), 0)::bigint AS capped "
        "FROM invoicing.cap_use WHERE subscription_id = $1 AND period_start_at = $2",
        subscription_id,
        period_start_at,
    )
    return rows[0]["billed"], rows[0]["capped"]


async def save_cap(
    driver: asyncpg.Connection,
    subscription_id: str,
    period_start_at: datetime,
    invoice_id: str,
    billed_minor: int,
    capped_minor: int,
) -> None:
    """Book what a document billed of a capped period, and what the cap took off it."""
    await driver.execute(
        "INSERT INTO invoicing.cap_use (subscription_id, period_start_at, invoice_id, billed_minor, capped_minor) "
        "VALUES ($1, $2, $3, $4, $5)",
        subscription_id,
        period_start_at,
        invoice_id,
        billed_minor,
        capped_minor,
    )


async def release_caps(driver: asyncpg.Connection, invoice_id: str) -> None:
    """Forget what a void invoice billed of capped periods."""
    await driver.execute("DELETE FROM invoicing.cap_use WHERE invoice_id = $1", invoice_id)
