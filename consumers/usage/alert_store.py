"""SQL of the alerts: which thresholds were reached and told of, once each.

Place     alerts -> [this] -> Postgres `usage.threshold_alert`. Its key refuses a second row, its CHECK one that was not
          reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import asyncpg

from fakturo.schemas.events.usage import UsageRated

QUANTITY, AMOUNT = "quantity", "amount"

_SAVE = """
INSERT INTO usage.threshold_alert (subscription_item, period_start_at, kind, threshold, period_end_at, account_id,
    subscription_id, product_code, meter, currency, quantity, amount_minor, as_of, final)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::numeric[], $5::timestamptz[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::numeric[], $12::bigint[], $13::timestamptz[], $14::bool[])
ON CONFLICT DO NOTHING RETURNING subscription_item, period_start_at, kind, threshold
"""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A statement that reached a threshold; one of an amount is in minor units."""

    kind: str
    threshold: Decimal
    start_on: date
    statement: UsageRated


async def save_new(driver: asyncpg.Connection, crossings: Sequence[Crossing]) -> list[Crossing]:
    """Keep the crossings that are the first of their item, period and threshold; return these, sorted by key."""
    rows = {
        (one.statement.subscription_item, one.statement.period.start, one.kind, one.threshold): one for one in crossings
    }
    keys = sorted(rows)
    data = [rows[key].statement for key in keys]
    saved = await driver.fetch(
        _SAVE,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
        [key[3] for key in keys],
        [one.period.end for one in data],
        [one.account for one in data],
        [one.subscription_id for one in data],
        [one.product_code for one in data],
        [one.meter for one in data],
        [one.currency for one in data],
        [one.quantity for one in data],
        [one.amount_minor for one in data],
        [one.as_of for one in data],
        [one.final for one in data],
    )
    return [rows[key] for key in sorted((row[0], row[1], row[2], row[3]) for row in saved)]
