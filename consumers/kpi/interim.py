"""Interim values: what the KPIs will say, as far as it is known, within a second of an invoice.

Place     handler's `flush` -> [this] -> `billing.kpis`.
Basis     closed tiles plus the facts that still wait, as of the later of the first open day and the account's newest
          fact. Kept in `kpi.live` alone: tiles, totals, values and history never depend on when a flush ran, and the
          close of a day takes interim values back, publishing its own where they differ.
Not exact until the close: a customer that leaves a window counts on in the portfolio's purchase frequency, and what
          was given back is not yet taken off the payment delay. Recurring revenue and renewals move with
          the close alone.
"""

from datetime import date, timedelta

import asyncpg

from fakturo.consumers.kpi import closing_store, value_store
from fakturo.consumers.kpi.values import Value, computed, update_event
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.topics import KPIS

ACCOUNTS_A_FLUSH = 500

_TAKE_UNSHOWN = """
WITH picked AS (
    SELECT DISTINCT account FROM (SELECT account FROM kpi.fact WHERE NOT shown ORDER BY fact_id LIMIT $1) f
),
shown AS (UPDATE kpi.fact f SET shown = true FROM picked WHERE f.account = picked.account AND NOT f.shown)
SELECT account, (SELECT max(booked_on) FROM kpi.fact f WHERE f.account = picked.account AND NOT scheduled) AS newest_on
  FROM picked
UNION ALL
SELECT 'portfolio', (SELECT max(booked_on) FROM kpi.fact WHERE NOT scheduled) WHERE EXISTS (SELECT FROM picked)
"""

_NEWLY_ACTIVE = """
SELECT f.currency, w."window", count(DISTINCT f.account) AS customers
  FROM kpi.fact f CROSS JOIN unnest($1::text[]) AS w("window")
 WHERE f.invoices > 0 AND NOT EXISTS (SELECT FROM kpi.activity a WHERE a.account = f.account
       AND a.currency = f.currency AND a."window" = w."window")
 GROUP BY 1, 2
"""


async def show(tx: Transaction) -> None:
    """Publish the values that the facts which came since the last flush have moved."""
    driver = tx.driver
    progress = await closing_store.lock_progress(driver)
    rows = await driver.fetch(_TAKE_UNSHOWN, ACCOUNTS_A_FLUSH)
    if not rows:
        return
    first_open = progress.closed_on + timedelta(days=1) if progress.closed_on else date.min
    as_of = {row["account"]: max(first_open, row["newest_on"]) for row in rows}
    sums = await value_store.sums_of(driver, as_of, with_waiting=True)
    values = computed(sums, await _active(driver, [*sums[0].windows]))
    accounts = list(as_of)
    said = await value_store.reported(driver, accounts) | await value_store.interim(driver, accounts)
    changed: list[Value] = [value for value in values if said.get(value.key) != value.figures]
    await value_store.write_interim(driver, changed, [as_of[value.account] for value in changed])
    for value in sorted(changed, key=lambda value: value.key):
        event = update_event(value, as_of[value.account], interim=str(progress.closed_on or "start"))
        tx.emit(KPIS, event, account=value.account, key=value.record_key)


async def _active(driver: asyncpg.Connection, windows: list[str]) -> dict[tuple[str, str], int]:
    active = await value_store.active_customers(driver)
    for row in await driver.fetch(_NEWLY_ACTIVE, windows):
        key = (row["currency"], row["window"])
        active[key] = active.get(key, 0) + row["customers"]
    return active
