"""The commands that read the books: ledger, kpi (statement and invoices are files of their own).

Place     Postgres, one read-only snapshot -> [this] -> a table for a person or JSON for a program.
"""

from datetime import date
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.connect import read_books
from fakturo.cli.output import amount_text, console, print_rows


def show_ledger(home: Path, account: str | None, *, as_json: bool) -> None:
    """Print the trial balance, or the journals of an account."""
    if account is None:
        _show_balances(home, as_json=as_json)
    else:
        _show_journals(home, account, as_json=as_json)


def _show_balances(home: Path, *, as_json: bool) -> None:
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            "SELECT b.account_code, a.name, b.party, b.currency, b.amount_minor FROM ledger.balance b "
            "JOIN ledger.account a ON a.code = b.account_code ORDER BY b.currency, b.account_code, b.party"
        ),
    )
    shown = [_leg(row, grouped=not as_json) for row in rows]
    print_rows("Trial balance", shown, empty="Nothing has been posted.", as_json=as_json)
    if not as_json and rows:
        for currency in sorted({row["currency"] for row in rows}):
            total = sum(row["amount_minor"] for row in rows if row["currency"] == currency)
            console.print(f"Sum of all balances: {amount_text(total, currency)} {currency}", highlight=False)


def _show_journals(home: Path, account: str, *, as_json: bool) -> None:
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            "SELECT j.effective_on, j.kind, j.source_id, l.account_code, a.name, l.party, l.currency, l.amount_minor "
            "FROM ledger.journal j JOIN ledger.line l USING (journal_id) JOIN ledger.account a ON a.code = "
            "l.account_code WHERE j.account = $1 ORDER BY j.effective_on, j.journal_id, l.line_no",
            account,
        ),
    )
    shown = [
        {"on": row["effective_on"], "kind": row["kind"], **_leg(row, grouped=not as_json), "source": row["source_id"]}
        for row in rows
    ]
    print_rows(f"Journals of {account}", shown, empty=f"Nothing has been posted for {account}.", as_json=as_json)


def _leg(row: asyncpg.Record, *, grouped: bool) -> dict[str, Any]:
    amount = row["amount_minor"]
    return {
        "account_code": row["account_code"],
        "account_name": row["name"],
        "party": row["party"],
        "currency": row["currency"],
        "debit": amount_text(amount, row["currency"], grouped=grouped) if amount >= 0 else "",
        "credit": amount_text(-amount, row["currency"], grouped=grouped) if amount < 0 else "",
    }


def show_kpis(home: Path, account: str, on: date | None, *, as_json: bool) -> None:
    """Print the KPIs of an account or of the portfolio, as of a day (default: the newest).

    Beside each value that later documents restate stands the restated one: of the day where it ends a month, else of
    the last month before it that was restated.
    """
    rows = read_books(home, lambda connection: connection.fetch(_KPIS, account, on))
    order = {"now": 0, "30d": 1, "90d": 2, "365d": 3, "lifetime": 4}
    shown = [
        {
            "kpi": row["kpi"],
            "window": row["window"],
            "value": _plain(row["value"]),
            "currency": row["currency"],
            "numerator": _plain(row["numerator"]),
            "denominator": _plain(row["denominator"]),
            "since": row["as_of"],
            "month": row["month"],
            "reported": _plain(row["reported"]),
            "restated": _plain(row["restated"]),
            "restated_on": row["known_on"],
        }
        for row in sorted(rows, key=lambda row: (row["currency"], row["kpi"], order.get(row["window"], 9)))
    ]
    print_rows(f"KPIs of {account}", shown, empty=f"There are no KPIs of {account} yet.", as_json=as_json)


_KPIS = """
SELECT DISTINCT ON (v.currency, v.kpi, v."window") v.kpi, v."window", v.currency, v.value, v.numerator, v.denominator,
       v.as_of, r.as_of AS month, r.reported, r.value AS restated, r.known_on
  FROM kpi.value_history v LEFT JOIN LATERAL (
       SELECT as_of, known_on, value, (SELECT h.value FROM kpi.value_history h WHERE h.account = r.account
              AND h.currency = r.currency AND h.kpi = r.kpi AND h."window" = r."window" AND h.as_of <= r.as_of
              ORDER BY h.as_of DESC LIMIT 1) AS reported
         FROM kpi.restated r WHERE r.account = v.account AND r.currency = v.currency AND r.kpi = v.kpi
          AND r."window" = v."window" AND ($2::date IS NULL OR r.as_of <= $2)
        ORDER BY as_of DESC, known_on DESC LIMIT 1) r ON true
 WHERE v.account = $1 AND ($2::date IS NULL OR v.as_of <= $2)
 ORDER BY v.currency, v.kpi, v."window", v.as_of DESC
"""


def _amount(amount_minor: int | None, currency: str, *, grouped: bool) -> str | None:
    return None if amount_minor is None else amount_text(amount_minor, currency, grouped=grouped)


def _plain(value: Any) -> str | None:
    return None if value is None else f"{value.normalize():f}"
