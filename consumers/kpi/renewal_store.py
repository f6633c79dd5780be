"""The SQL of renewals: when the next term of an account ends, and a fact that has that day closed.

Place     closing -> [this] -> kpi.term (written by standing.py), kpi.fact.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import asyncpg

from fakturo.engine.recurring import next_renewal_on

AccountCurrency = tuple[str, str]


async def next_renewals(driver: asyncpg.Connection, accounts: Sequence[str], day: date) -> dict[AccountCurrency, date]:
    """Return the first day after `day` on which a term ends, by account and currency; those without one miss."""
    rows = await driver.fetch(
        "SELECT account, currency, started_on, ended_on, auto_renew, term_months FROM kpi.term "
        "WHERE account = ANY($1::text[]) ORDER BY account, currency, subscription_id",
        list(accounts),
    )
    found: dict[AccountCurrency, date] = {}
    for row in rows:
        renews_on = next_renewal_on(
            row["started_on"], row["ended_on"], row["term_months"] if row["auto_renew"] else None, day
        )
        if renews_on is not None:
            place = (row["account"], row["currency"])
            found[place] = min(renews_on, found.get(place, renews_on))
    return found


async def wake(driver: asyncpg.Connection, renewals: Mapping[AccountCurrency, date]) -> None:
    """Have the day of each renewal closed: a fact that adds nothing, once."""
    await driver.execute(
        "INSERT INTO kpi.fact (account, currency, effective_on, booked_on, scheduled, shown) "
        "SELECT account, currency, renews_on, renews_on, true, true "
        "FROM unnest($1::text[], $2::text[], $3::date[]) AS r (account, currency, renews_on) "
        "WHERE NOT EXISTS (SELECT FROM kpi.fact f WHERE f.account = r.account AND f.booked_on = r.renews_on)",
        [account for account, _ in renewals],
        [currency for _, currency in renewals],
        list(renewals.values()),
    )
