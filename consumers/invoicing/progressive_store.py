"""SQL of progressive billing: what of the running statements of a subscription is not billed yet.

Place     assignment -> [this] -> Postgres schema `invoicing`.
"""

from collections.abc import Iterable

import asyncpg

from fakturo.engine.periods import Period


async def reached(driver: asyncpg.Connection, items: Iterable[str]) -> set[str]:
    """Return those of the items whose subscription's unbilled amount has reached its threshold.

    Unbilled is the sum over the subscription's items of the running statement less what was billed of its period.
    """
    rows = await driver.fetch(
        "WITH watched AS (SELECT DISTINCT subscription_id FROM invoicing.subscription_item "
        "  WHERE subscription_item = ANY($1::text[])), "
        "unbilled AS (SELECT r.subscription_id, sum(r.amount_minor - coalesce(b.billed_minor, 0)) AS amount_minor "
        "  FROM invoicing.running_statement r JOIN watched USING (subscription_id) "
        "  JOIN invoicing.subscription_item i ON i.subscription_item = r.subscription_item "
        "    AND i.period_start_at = r.period_start_at "
        "  LEFT JOIN LATERAL (SELECT sum(l.rated_minor) AS billed_minor FROM invoicing.invoice_line l "
        "    WHERE l.subscription_item = r.subscription_item AND l.item_period_start_at = r.period_start_at "
        "    AND l.counts) b ON true GROUP BY r.subscription_id) "
        "SELECT i.subscription_item FROM unbilled u JOIN invoicing.subscription s USING (subscription_id) "
        "JOIN invoicing.subscription_item i USING (subscription_id) WHERE i.subscription_item = ANY($1::text[]) "
        "AND u.amount_minor >= (s.content ->> 'billing_threshold_minor')::bigint",
        sorted(set(items)),
    )
    return {row["subscription_item"] for row in rows}


async def others(driver: asyncpg.Connection, items: Iterable[str]) -> list[tuple[str, Period]]:
    """Return the other items of the same subscriptions that have a running statement of their next period."""
    rows = await driver.fetch(
        "SELECT r.subscription_item, r.period_start_at, r.period_end_at FROM invoicing.running_statement r "
        "JOIN invoicing.subscription_item i ON i.subscription_item = r.subscription_item "
        "  AND i.period_start_at = r.period_start_at "
        "LEFT JOIN invoicing.correction c ON c.subscription_item = r.subscription_item "
        "  AND c.period_start_at = r.period_start_at "
        "WHERE c.subscription_item IS NULL AND NOT r.subscription_item = ANY($1::text[]) AND r.subscription_id IN ("
        "SELECT subscription_id FROM invoicing.subscription_item WHERE subscription_item = ANY($1::text[]))",
        sorted(set(items)),
    )
    return [
        (row["subscription_item"], Period(start_at=row["period_start_at"], end_at=row["period_end_at"])) for row in rows
    ]
