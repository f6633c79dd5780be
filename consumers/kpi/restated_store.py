"""The SQL of restated values: what is due, what later documents moved, what was said before.

Place     restating -> [this] -> Postgres schema `kpi`. The progress row is locked (closing_store).
Cost      moves of an account in the last 365 days of what is due, and one look-up a value: none grows with the history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import asyncpg

from fakturo.consumers.kpi.values import Figures, Value
from fakturo.engine.kpi import RESTATED, KpiValue

Due = Sequence[tuple[str, date]]
"""(account, last day of a month)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What counts on `effective_on`, reported from `booked_on` on, and belongs to the invoice of `corrected_on`."""

    corrected_on: date
    effective_on: date
    booked_on: date
    net_minor: int
    gross_minor: int
    invoices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedKpi:
    """A value as it was reported for `as_of`, and the figures that were last said of it, restated or not."""

    value: Value
    as_of: date
    last_said: Figures


_REPORTED = """
SELECT d.account, d.as_of, k.currency, k.kpi, k."window", v.value, v.numerator, v.denominator, r.known_on,
       r.value AS said_value, r.numerator AS said_numerator, r.denominator AS said_denominator
  FROM unnest($1::text[], $2::date[]) AS d(account, as_of)
  JOIN kpi.value k ON k.account = d.account AND k.kpi = ANY($3::text[])
 CROSS JOIN LATERAL (SELECT value, numerator, denominator FROM kpi.value_history h WHERE h.account = d.account
       AND h.currency = k.currency AND h.kpi = k.kpi AND h."window" = k."window" AND h.as_of <= d.as_of
       ORDER BY h.as_of DESC LIMIT 1) v
  LEFT JOIN LATERAL (SELECT known_on, value, numerator, denominator FROM kpi.restated r WHERE r.account = d.account
       AND r.currency = k.currency AND r.kpi = k.kpi AND r."window" = k."window" AND r.as_of = d.as_of
       ORDER BY r.known_on DESC LIMIT 1) r ON true
"""


async def take_due(driver: asyncpg.Connection, accounts: Sequence[str], day: date) -> Due:
    """Take and return what is due of the accounts at the close of `day`, sorted."""
    rows = await driver.fetch(
        "DELETE FROM kpi.restated_due WHERE account = ANY($1::text[]) AND due_on <= $2 RETURNING account, as_of",
        list(accounts),
        day,
    )
    return sorted((row["account"], row["as_of"]) for row in rows)


async def moves_of(driver: asyncpg.Connection, due: Due) -> dict[tuple[str, str], list[Move]]:
    """Return, by account and currency, the moves that can show in a window of what is due."""
    rows = await driver.fetch(
        "SELECT * FROM kpi.move WHERE account = ANY($1::text[]) AND booked_on > $2::date - 365",
        sorted({account for account, _ in due}),
        min(as_of for _, as_of in due),
    )
    found: dict[tuple[str, str], list[Move]] = {}
    for row in rows:
        fields = {name: row[name] for name in Move.__dataclass_fields__}
        found.setdefault((row["account"], row["currency"]), []).append(Move(**fields))
    return found


async def reported_of(driver: asyncpg.Connection, due: Due) -> list[ReportedKpi]:
    """Return every value that can be restated of what is due, as it was reported and as it was last said."""
    accounts, days = [account for account, _ in due], [as_of for _, as_of in due]
    return [
        ReportedKpi(
            value=Value(account=row["account"], currency=row["currency"], kpi=_kpi(row), facts=0),
            as_of=row["as_of"],
            last_said=_figures(row, "" if row["known_on"] is None else "said_"),
        )
        for row in await driver.fetch(_REPORTED, accounts, days, sorted(RESTATED))
    ]


def _kpi(row: asyncpg.Record) -> KpiValue:
    value, numerator, denominator = _figures(row, "")
    return KpiValue(
        kpi=row["kpi"],
        window=row["window"],
        unit="",  # the restated one has it
        value=value,
        numerator=numerator,
        denominator=denominator,
    )


def _figures(row: asyncpg.Record, prefix: str) -> Figures:
    return row[f"{prefix}value"], row[f"{prefix}numerator"], row[f"{prefix}denominator"]


async def write(driver: asyncpg.Connection, changed: Sequence[tuple[Value, date]], day: date) -> None:
    """Write what is restated at the close of `day`; the key refuses a value that is there already."""
    if not changed:
        return
    await driver.execute(
        'INSERT INTO kpi.restated (kpi, "window", account, currency, as_of, known_on, value, numerator, denominator) '
        "SELECT kpi, win, account, currency, as_of, $9::date, value, numerator, denominator FROM "
        "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::numeric[], $7::numeric[], "
        "$8::numeric[]) AS c(kpi, win, account, currency, as_of, value, numerator, denominator)",
        [value.kpi.kpi for value, _ in changed],
        [value.kpi.window for value, _ in changed],
        [value.account for value, _ in changed],
        [value.currency for value, _ in changed],
        [as_of for _, as_of in changed],
        [value.kpi.value for value, _ in changed],
        [value.kpi.numerator for value, _ in changed],
        [value.kpi.denominator for value, _ in changed],
        day,
    )
