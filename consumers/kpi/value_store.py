"""The SQL of values: sums over windows, what was reported, what is shown meanwhile.

Place     closing and interim -> [this] -> Postgres schema `kpi`.
Cost      the sums of an account are a range of at most 365 tiles and one total, whatever the length of the history.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import asyncpg

from fakturo.consumers.kpi.values import AccountSums, Figures, Key, Value
from fakturo.engine.kpi import LIFETIME, WINDOW_DAYS, Sums

_COLUMNS = (
    "invoices",
    "net_minor",
    "gross_minor",
    "fees_minor",
    "bad_debt_minor",
    "settled_minor",
    "delay_minor_days",
    "age_minor_days",
    "on_time_minor",
    "won",
    "cycle_days",
)
_LIST = ", ".join(_COLUMNS)
_LIFETIME = ", ".join(f"sum({name})::bigint AS {name}_{LIFETIME}" for name in _COLUMNS)
_WINDOWS = ", ".join(
    f"coalesce(sum({name}) FILTER (WHERE day > as_of - {days}), 0)::bigint AS {name}_{window}"
    for window, days in WINDOW_DAYS.items()
    for name in _COLUMNS
)

_SUMS = f"""
WITH asked AS (SELECT * FROM unnest($1::text[], $2::date[]) AS asked(account, as_of)),
waiting AS (
    SELECT who.account, f.currency, f.effective_on AS day, f.receivable_minor,
           f.invoices, f.net_minor, f.gross_minor, f.fees_minor, f.bad_debt_minor,
           CASE WHEN f.settled_minor > 0 AND i.due_on IS NOT NULL THEN f.settled_minor ELSE 0 END AS settled_minor,
           CASE WHEN f.settled_minor > 0 AND i.due_on IS NOT NULL
                THEN f.settled_minor * (f.effective_on - i.due_on) ELSE 0 END AS delay_minor_days,
           CASE WHEN f.settled_minor > 0 AND i.due_on IS NOT NULL
                THEN f.settled_minor * (f.effective_on - coalesce(i.issued_on, i.due_on)) ELSE 0 END AS age_minor_days,
           CASE WHEN f.settled_minor > 0 AND f.effective_on <= i.due_on
                THEN f.settled_minor ELSE 0 END AS on_time_minor,
           f.won, f.cycle_days,
           CASE WHEN m.subscription_item IS NULL THEN 0 ELSE f.line_minor END AS usage_minor
      FROM (SELECT account AS of, fact.* FROM kpi.fact WHERE $3 AND NOT scheduled AND account = ANY($1)
            UNION ALL
            SELECT 'portfolio' AS of, fact.* FROM kpi.fact WHERE $3 AND NOT scheduled AND 'portfolio' = ANY($1)) f
      JOIN LATERAL (SELECT f.of AS account) who ON true
      LEFT JOIN kpi.invoice i ON i.invoice_id = f.invoice_id
      LEFT JOIN kpi.metered_item m USING (subscription_item)
),
ever AS (
    SELECT account, currency, sum(receivable_minor)::bigint AS receivable_minor, sum(facts)::bigint AS facts,
           sum(recurring_minor)::bigint AS recurring_minor, {_LIFETIME}
      FROM (SELECT account, currency, receivable_minor, facts, recurring_minor, {_LIST} FROM kpi.total
             WHERE account = ANY($1)
            UNION ALL SELECT account, currency, receivable_minor, 1, 0, {_LIST} FROM waiting) every
     GROUP BY account, currency
),
lately AS (
    SELECT account, currency, {_WINDOWS}
      FROM (SELECT d.account, d.currency, d.day, asked.as_of, {", ".join("d." + name for name in _COLUMNS)}
              FROM asked JOIN kpi.day d ON d.account = asked.account AND d.day > asked.as_of - 365
            UNION ALL
            SELECT w.account, w.currency, w.day, asked.as_of, {", ".join("w." + name for name in _COLUMNS)}
              FROM asked JOIN waiting w USING (account)) every
     GROUP BY account, currency
),
used AS (
    SELECT account, currency, day, usage_minor FROM waiting WHERE usage_minor <> 0
    UNION ALL
    SELECT account, currency, day, usage_minor FROM kpi.day WHERE account = ANY($1) AND usage_minor <> 0
),
newest AS (SELECT account, currency, date_trunc('month', max(day))::date AS month FROM (
    SELECT account, currency, max(day) AS day FROM waiting WHERE usage_minor <> 0 GROUP BY 1, 2
    UNION ALL
    SELECT account, currency, max(day) FROM kpi.day WHERE account = ANY($1) AND usage_minor <> 0 GROUP BY 1, 2
) each GROUP BY 1, 2),
trend AS (
    SELECT account, currency,
           coalesce(sum(usage_minor) FILTER (WHERE day >= month), 0)::bigint AS month_usage_minor,
           coalesce(sum(usage_minor) FILTER (WHERE day < month), 0)::bigint AS before_usage_minor
      FROM newest JOIN used USING (account, currency)
     WHERE day >= (month - interval '1 month')::date GROUP BY account, currency
)
SELECT * FROM ever LEFT JOIN lately USING (account, currency) LEFT JOIN trend USING (account, currency)
 ORDER BY account, currency
"""  # noqa: S608 - column names are constants


async def sums_of(
    driver: asyncpg.Connection, as_of: Mapping[str, date], *, with_waiting: bool = False
) -> list[AccountSums]:
    """Return the sums of each account as of its day; `with_waiting` adds the facts that wait for theirs."""
    rows = await driver.fetch(_SUMS, list(as_of), list(as_of.values()), with_waiting)
    return [
        AccountSums(
            account=row["account"],
            currency=row["currency"],
            receivable_minor=row["receivable_minor"],
            facts=row["facts"],
            recurring_minor=row["recurring_minor"],
            usage_minor=(row["month_usage_minor"] or 0, row["before_usage_minor"] or 0),
            windows={window: _sums(row, window) for window in (*WINDOW_DAYS, LIFETIME)},
        )
        for row in rows
    ]


def _sums(row: asyncpg.Record, window: str) -> Sums:
    return Sums(**{name: row[f"{name}_{window}"] or 0 for name in _COLUMNS})


async def active_customers(driver: asyncpg.Connection) -> dict[tuple[str, str], int]:
    """Return how many customers have an invoice, by currency and window, as of the last account closed."""
    rows = await driver.fetch('SELECT currency, "window", customers FROM kpi.active')
    return {(row["currency"], row["window"]): row["customers"] for row in rows}


async def reported(driver: asyncpg.Connection, accounts: Sequence[str]) -> dict[Key, Figures]:
    """Return the values of closed days as last reported."""
    return _figures(await driver.fetch("SELECT * FROM kpi.value WHERE account = ANY($1::text[])", list(accounts)))


async def interim(driver: asyncpg.Connection, accounts: Sequence[str]) -> dict[Key, Figures]:
    """Return the interim values that were published and not taken back."""
    return _figures(await driver.fetch("SELECT * FROM kpi.live WHERE account = ANY($1::text[])", list(accounts)))


async def take_back_interim(driver: asyncpg.Connection, accounts: Sequence[str]) -> dict[Key, Figures]:
    """Delete and return the interim values of `accounts`: a closed day says better."""
    return _figures(
        await driver.fetch("DELETE FROM kpi.live WHERE account = ANY($1::text[]) RETURNING *", list(accounts))
    )


def _figures(rows: Iterable[asyncpg.Record]) -> dict[Key, Figures]:
    return {
        (row["account"], row["currency"], row["kpi"], row["window"]): (
            row["value"],
            row["numerator"],
            row["denominator"],
        )
        for row in rows
    }


async def write(driver: asyncpg.Connection, values: Sequence[Value], as_of: date) -> None:
    """Write the values that a closed day changed, and their history."""
    if values:
        arrays = _arrays(values, [as_of] * len(values))
        await driver.execute(_upsert("kpi.value"), *arrays)
        await driver.execute(_insert("kpi.value_history"), *arrays)


async def write_interim(driver: asyncpg.Connection, values: Sequence[Value], as_of: Sequence[date]) -> None:
    """Write the interim values that are published now."""
    if values:
        await driver.execute(_upsert("kpi.live"), *_arrays(values, as_of))


def _insert(table: str) -> str:
    return f"""
INSERT INTO {table} (kpi, "window", account, currency, as_of, value, numerator, denominator)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::numeric[], $7::numeric[],
                     $8::numeric[])
"""  # noqa: S608 - the table is a constant


def _upsert(table: str) -> str:
    return f"""{_insert(table)}
ON CONFLICT (account, currency, kpi, "window") DO UPDATE SET as_of = excluded.as_of, value = excluded.value,
    numerator = excluded.numerator, denominator = excluded.denominator
"""


def _arrays(values: Sequence[Value], as_of: Sequence[date]) -> tuple[list[object], ...]:
    return (
        [value.kpi.kpi for value in values],
        [value.kpi.window for value in values],
        [value.account for value in values],
        [value.currency for value in values],
        list(as_of),
        [value.kpi.value for value in values],
        [value.kpi.numerator for value in values],
        [value.kpi.denominator for value in values],
    )
