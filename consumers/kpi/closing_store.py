"""The SQL of closing a day: whose turn it is, facts into tiles and totals, who is an active customer.

Place     closing -> [this] -> Postgres schema `kpi`. Only one transaction closes at a time: the progress row is locked.
Portfolio every tile and total is written twice, for the customer and for `portfolio`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import asyncpg

from fakturo.consumers.kpi.values import AccountSums
from fakturo.engine.kpi import WINDOW_DAYS

_ADDED = (
    "invoices",
    "net_minor",
    "gross_minor",
    "receivable_minor",
    "fees_minor",
    "bad_debt_minor",
    "settled_minor",
    "delay_minor_days",
    "age_minor_days",
    "on_time_minor",
    "recurring_minor",
    "usage_minor",
    "won",
    "cycle_days",
)
_FOLDED = (
    *("invoices", "net_minor", "gross_minor", "receivable_minor", "fees_minor", "bad_debt_minor"),
    *("recurring_minor", "won", "cycle_days"),
)
_FOLDED_LIST = ", ".join((*_FOLDED, "usage_minor"))
_FOLDED_SUMS = ", ".join(f"sum({name})" for name in _FOLDED) + (
    ", coalesce(sum(line_minor) FILTER (WHERE m.subscription_item IS NOT NULL), 0)"
)
_SET = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in _ADDED)
_EACH_AND_ALL = "CROSS JOIN LATERAL (VALUES (f.account), ('portfolio')) who(account)"

_CHANGES = (
    "SELECT min(booked_on) AS day FROM kpi.fact",
    "SELECT min(due_on) FROM kpi.restated_due",
    *(f"SELECT min(day) + {days} FROM kpi.day WHERE day > $1::date - {days}" for days in WINDOW_DAYS.values()),  # noqa: S608
)
_NEXT_CHANGE = f"SELECT min(day) FROM ({' UNION ALL '.join(_CHANGES)}) change"  # noqa: S608 - constants
_FALLING_OUT = ", ".join(f"$1::date - {days}" for days in WINDOW_DAYS.values())

_ACCOUNTS = f"""
SELECT account FROM (
    SELECT account FROM kpi.fact WHERE booked_on <= $1::date AND account > $2
    UNION SELECT account FROM kpi.day WHERE day IN ({_FALLING_OUT}) AND account > $2
    UNION SELECT account FROM kpi.restated_due WHERE due_on <= $1::date AND account > $2
) touched WHERE account <> 'portfolio' ORDER BY account LIMIT $3
"""  # noqa: S608 - constants

_FOLD = f"""
WITH f AS (DELETE FROM kpi.fact WHERE account = ANY($1::text[]) AND booked_on <= $2 RETURNING *),
counted AS (
    UPDATE kpi.invoice SET counted = true FROM f WHERE invoice.invoice_id = f.invoice_id AND f.invoices > 0
),
settled AS (
    INSERT INTO kpi.settlement (account, currency, invoice_id, payment_id, paid_on, amount_minor)
    SELECT account, currency, invoice_id, payment_id, effective_on, settled_minor
      FROM f WHERE settled_minor <> 0 ORDER BY fact_id
),
moves AS (
    INSERT INTO kpi.move AS t (account, currency, corrected_on, effective_on, booked_on, net_minor, gross_minor,
                               invoices)
    SELECT who.account, f.currency, i.issued_on, f.effective_on, $2, sum(f.moved_net_minor), sum(f.moved_gross_minor),
           sum(f.moved_invoices)
      FROM f JOIN kpi.invoice i ON i.invoice_id = f.corrects_invoice AND i.issued_on IS NOT NULL {_EACH_AND_ALL}
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (account, currency, corrected_on, effective_on, booked_on) DO UPDATE SET
        net_minor = t.net_minor + excluded.net_minor, gross_minor = t.gross_minor + excluded.gross_minor,
        invoices = t.invoices + excluded.invoices
    RETURNING account, corrected_on, effective_on
),
due AS (
    INSERT INTO kpi.restated_due AS t (account, as_of, due_on)
    SELECT DISTINCT account, month_end, greatest(month_end, $2::date)
      FROM moves CROSS JOIN LATERAL (
           SELECT (month + interval '1 month' - interval '1 day')::date AS month_end FROM generate_series(
               date_trunc('month', corrected_on::timestamp),
               date_trunc('month', effective_on::timestamp + interval '365 days'), '1 month') AS months(month)) ends
     ORDER BY 1, 2
    ON CONFLICT (account, as_of) DO UPDATE SET due_on = least(t.due_on, excluded.due_on)
),
tiles AS (
    INSERT INTO kpi.day AS t (account, currency, day, {_FOLDED_LIST})
    SELECT who.account, currency, effective_on, {_FOLDED_SUMS}
      FROM f LEFT JOIN kpi.metered_item m USING (subscription_item) {_EACH_AND_ALL} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (account, currency, day) DO UPDATE SET {_SET}
)
INSERT INTO kpi.total AS t (account, currency, facts, {_FOLDED_LIST})
SELECT who.account, currency, count(*), {_FOLDED_SUMS}
  FROM f LEFT JOIN kpi.metered_item m USING (subscription_item) {_EACH_AND_ALL} GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (account, currency) DO UPDATE SET facts = t.facts + excluded.facts, {_SET}
"""  # noqa: S608 - constants

_FOLD_SETTLEMENTS = f"""
WITH f AS (
    SELECT s.settlement_id, s.account, s.currency, coalesce(o.paid_on, s.paid_on) AS day, s.amount_minor,
           s.amount_minor * (coalesce(o.paid_on, s.paid_on) - i.due_on) AS delay_minor_days,
           s.amount_minor * (coalesce(o.paid_on, s.paid_on) - coalesce(i.issued_on, i.due_on)) AS age_minor_days,
           CASE WHEN coalesce(o.paid_on, s.paid_on) <= i.due_on THEN s.amount_minor ELSE 0 END AS on_time_minor
      FROM kpi.settlement s
      JOIN kpi.invoice i ON i.invoice_id = s.invoice_id AND i.counted
      LEFT JOIN kpi.settlement o ON s.amount_minor < 0 AND o.amount_minor > 0
           AND o.payment_id = s.payment_id AND o.invoice_id = s.invoice_id
     WHERE NOT s.tiled AND s.account = ANY($1::text[]) AND (s.amount_minor > 0 OR o.settlement_id IS NOT NULL)
),
done AS (UPDATE kpi.settlement s SET tiled = true FROM f WHERE s.settlement_id = f.settlement_id),
tiles AS (
    INSERT INTO kpi.day AS t (account, currency, day, settled_minor, delay_minor_days, age_minor_days, on_time_minor)
    SELECT who.account, currency, day, sum(amount_minor), sum(delay_minor_days), sum(age_minor_days), sum(on_time_minor)
      FROM f {_EACH_AND_ALL} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (account, currency, day) DO UPDATE SET {_SET}
)
INSERT INTO kpi.total AS t (account, currency, settled_minor, delay_minor_days, age_minor_days, on_time_minor)
SELECT who.account, currency, sum(amount_minor), sum(delay_minor_days), sum(age_minor_days), sum(on_time_minor)
  FROM f {_EACH_AND_ALL} GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (account, currency) DO UPDATE SET {_SET}
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last day closed; while a day is being closed, that day and the last account done of it."""

    closed_on: date | None
    closing_on: date | None
    closing_after: str

    def done_to(self, day: date, account: str) -> "Progress":
        """Return the progress after `account`'s turn on `day`."""
        return replace(self, closing_on=day, closing_after=account)

    def closed(self, day: date) -> "Progress":
        """Return the progress after the whole of `day`."""
        return Progress(closed_on=day, closing_on=None, closing_after="")

    def closed_up_to(self, day: date) -> "Progress":
        """Return the progress where nothing happens any more up to `day`."""
        return self if self.closed_on and self.closed_on >= day else replace(self, closed_on=day)


async def lock_progress(driver: asyncpg.Connection) -> Progress:
    """Lock and return the progress; whoever closes or shows interim values holds it."""
    row = await driver.fetchrow("SELECT closed_on, closing_on, closing_after FROM kpi.progress FOR UPDATE")
    if row is None:
        raise LookupError("kpi.progress has lost its only row")
    return Progress(closed_on=row["closed_on"], closing_on=row["closing_on"], closing_after=row["closing_after"] or "")


async def save_progress(driver: asyncpg.Connection, progress: Progress) -> None:
    """Write the progress."""
    await driver.execute(
        "UPDATE kpi.progress SET closed_on = $1, closing_on = $2, closing_after = $3",
        progress.closed_on,
        progress.closing_on,
        progress.closing_after,
    )


async def next_change_on(driver: asyncpg.Connection, closed_on: date | None) -> date | None:
    """Return the first day after `closed_on` on which a fact is booked or a tile falls out of a window."""
    if closed_on is None:
        found = await driver.fetchval("SELECT min(booked_on) FROM kpi.fact")
        return found if isinstance(found, date) else None
    found = await driver.fetchval(
        f"SELECT CASE WHEN day <= $1::date THEN $1::date + 1 ELSE day END FROM ({_NEXT_CHANGE}) AS next(day)",  # noqa: S608
        closed_on,
    )
    return found if isinstance(found, date) else None


async def accounts_of(driver: asyncpg.Connection, day: date, after: str, limit: int) -> list[str]:
    """Return the next accounts, by id, that have something booked on `day` or falling out of a window."""
    rows = await driver.fetch(_ACCOUNTS, day, after, limit)
    return [row["account"] for row in rows]


async def fold(driver: asyncpg.Connection, accounts: Sequence[str], day: date) -> None:
    """Turn the facts of `accounts` that are booked up to `day` into tiles and totals."""
    await driver.execute(_FOLD, list(accounts), day)


async def fold_settlements(driver: asyncpg.Connection, accounts: Sequence[str]) -> None:
    """Turn what was settled of invoices that are counted into payment delay, on the day it was paid.

    What was given back is taken off the day of its payment, so that no window keeps one without the other.
    """
    await driver.execute(_FOLD_SETTLEMENTS, list(accounts))


async def count_active(driver: asyncpg.Connection, sums: Sequence[AccountSums]) -> None:
    """Keep count of the customers that have an invoice in each window."""
    rows = [
        (account.account, account.currency, window, figures.invoices > 0)
        for account in sums
        for window, figures in account.windows.items()
    ]
    await driver.execute(
        "WITH now AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) "
        'AS now(account, currency, "window", active)), '
        "gone AS (DELETE FROM kpi.activity a USING now WHERE NOT now.active AND a.account = now.account "
        'AND a.currency = now.currency AND a."window" = now."window" RETURNING a.currency, a."window", -1 AS step), '
        'come AS (INSERT INTO kpi.activity SELECT account, currency, "window" FROM now WHERE active '
        'ON CONFLICT DO NOTHING RETURNING currency, "window", 1 AS step) '
        'INSERT INTO kpi.active AS t SELECT currency, "window", sum(step) '
        "FROM (SELECT * FROM gone UNION ALL SELECT * FROM come) steps GROUP BY 1, 2 ORDER BY 1, 2 "
        'ON CONFLICT (currency, "window") DO UPDATE SET customers = t.customers + excluded.customers',
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )


async def show_again(driver: asyncpg.Connection) -> None:
    """Let facts that still wait be shown by the next flush: a closed value has just been published over theirs."""
    await driver.execute("UPDATE kpi.fact SET shown = false WHERE shown AND NOT scheduled")
