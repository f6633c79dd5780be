"""`fakturo statement ACCOUNT`: what each metered item has used and owes so far, what comes next, where it leads.

Place     usage.statement, usage.threshold_alert in one snapshot -> [this] -> sentences for a person, or JSON.
Money     in the major unit with the currency's digits; unit amounts as the price list says them. Days are local to the
          account.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from rich.table import Table

from fakturo.cli.connect import read_books
from fakturo.cli.output import amount_text, console, errors, print_json
from fakturo.engine.periods import local_date
from fakturo.engine.schedule import zone_at
from fakturo.schemas.events.contracts import AccountChanged
from fakturo.schemas.events.usage import NextTier, NextUnits, Outlook, TierReached, UsageRated

_STATEMENTS = """
SELECT s.*, a.content AS account
  FROM usage.statement s
  JOIN usage.account a USING (account_id)
 WHERE s.account_id = $1
 ORDER BY s.product_code, s.subscription_item
"""
_ALERTS = """
SELECT t.subscription_item, t.kind, t.threshold, t.as_of
  FROM usage.threshold_alert t
  JOIN usage.statement s USING (subscription_item, period_start_at)
 WHERE s.account_id = $1
 ORDER BY t.kind DESC, t.threshold
"""


def show_statement(home: Path, account: str, *, as_json: bool) -> int:
    """Print the newest statement of each metered item of an account; return the exit status."""
    rows, alerts = read_books(home, lambda connection: _read(connection, account))
    if not rows:
        errors.print(f"fakturo statement: account {account} has no metered items")
        return 1
    by_item: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for alert in alerts:
        by_item[alert["subscription_item"]].append(alert)
    if as_json:
        print_json([_as_data(row, by_item[row["subscription_item"]]) for row in rows])
        return 0
    console.print(f"[bold]Usage of {account}[/bold]", highlight=False)
    for row in rows:
        console.print()
        _print(row, by_item[row["subscription_item"]])
    return 0


async def _read(connection: asyncpg.Connection, account: str) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
    return await connection.fetch(_STATEMENTS, account), await connection.fetch(_ALERTS, account)


def _as_data(row: asyncpg.Record, alerts: list[asyncpg.Record]) -> dict[str, Any]:
    content = msgspec.json.decode(row["content"], type=UsageRated)
    outlook = content.outlook or Outlook(tier=None, next_units=None, forecast=None)
    currency = row["currency"]
    return {
        "product": row["product_name"],
        "period_start": row["period_start_at"],
        "period_end": row["period_end_at"],
        "quantity": _plain(row["quantity"]),
        "unit": row["unit"],
        "amount": amount_text(row["amount_minor"], currency),
        "currency": currency,
        "tier": _tier_data(outlook.tier),
        "next_units": _next_data(outlook.next_units),
        "then": _then_data(content.next_tier),
        "forecast": outlook.forecast
        and {
            "at": outlook.forecast.at,
            "quantity": _plain(outlook.forecast.quantity),
            "amount": amount_text(outlook.forecast.amount_minor, currency),
        },
        "alerts": [
            {"kind": one["kind"], "threshold": _threshold(one, currency), "reached_as_of": one["as_of"]}
            for one in alerts
        ],
        "as_of": row["as_of"],
        "final": "yes" if row["final"] else "no",
        "revision": row["revision"],
        "how_it_came_about": _how(content),
    }


def _tier_data(tier: TierReached | None) -> dict[str, Any] | None:
    if tier is None:
        return None
    return {
        "number": tier.number,
        "of": tier.count,
        "above": _plain(tier.after),
        "up_to": None if tier.up_to is None else _plain(tier.up_to),
        "unit_amount": _plain(tier.unit_amount),
    }


def _next_data(units: NextUnits | None) -> dict[str, Any] | None:
    if units is None:
        return None
    remaining = None if units.remaining is None else _plain(units.remaining)
    return {"amount": _plain(units.amount), "per_units": _plain(units.per_units), "remaining": remaining}


def _then_data(tier: NextTier | None) -> dict[str, Any] | None:
    return None if tier is None else {"after": _plain(tier.remaining), "unit_amount": _plain(tier.unit_amount)}


def _print(row: asyncpg.Record, alerts: list[asyncpg.Record]) -> None:
    content = msgspec.json.decode(row["content"], type=UsageRated)
    zone = zone_at(msgspec.json.decode(row["account"], type=AccountChanged).versions, row["period_start_at"])
    first_on = local_date(row["period_start_at"], zone)
    last_on = local_date(row["period_end_at"] - timedelta(microseconds=1), zone)
    state = "final" if row["final"] else f"so far, up to {_instant(row['as_of'])}"
    if row["revision"] > 1:
        state += f", revision {row['revision']}"
    console.print(f"[bold]{row['product_name']}[/bold], {first_on} to {last_on}, {state}", highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    for name, text in _sentences(row, content, alerts):
        table.add_row(name, text)
    console.print(table, highlight=False)


def _sentences(row: asyncpg.Record, content: UsageRated, alerts: list[asyncpg.Record]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a statement, each with what it is about."""
    unit, currency = row["unit"] or "units", row["currency"]
    yield "Used", f"{_number(row['quantity'])} {unit}"
    yield "Amount", f"{amount_text(row['amount_minor'], currency, grouped=True)} {currency}"
    yield "How it came about", _how(content)
    if content.outlook:
        if content.outlook.tier is not None:
            yield "Tier reached", _tier_sentence(content.outlook.tier, unit, currency)
        if content.outlook.next_units is not None:
            yield "Next", _next_sentence(content.outlook.next_units, content.next_tier, unit, currency)
        if content.outlook.forecast is not None:
            amount = amount_text(content.outlook.forecast.amount_minor, currency, grouped=True)
            used = _number(content.outlook.forecast.quantity)
            yield "At this pace", f"{used} {unit} and {amount} {currency} at the end of the period"
    for alert in alerts:
        what = unit if alert["kind"] == "quantity" else currency
        yield "Alert", f"{_threshold(alert, currency, grouped=True)} {what} reached, as of {_instant(alert['as_of'])}"


def _tier_sentence(tier: TierReached, unit: str, currency: str) -> str:
    if tier.up_to is None:
        holds = f"above {_number(tier.after)} {unit}"
    elif tier.after:
        holds = f"above {_number(tier.after)} up to {_number(tier.up_to)} {unit}"
    else:
        holds = f"up to {_number(tier.up_to)} {unit}"
    return f"{tier.number} of {tier.count}: {holds}, at {_number(tier.unit_amount)} {currency} each"


def _next_sentence(units: NextUnits, then: NextTier | None, unit: str, currency: str) -> str:
    if not units.amount:
        cost = (
            f"more {unit} cost nothing"
            if units.remaining is None
            else f"{_number(units.remaining)} {unit} cost nothing"
        )
    elif units.per_units == 1:
        cost = f"{_number(units.amount)} {currency} each"
        cost += f" for {_number(units.remaining)} {unit}" if units.remaining is not None else ""
    else:
        cost = f"{_number(units.amount)} {currency} for each {_number(units.per_units)} {unit}"
    if then is not None and units.remaining is not None and then.remaining == units.remaining:
        cost += f", then {_number(then.unit_amount)} {currency}"
    return cost


def _how(content: UsageRated) -> str:
    return "; ".join(one.explanation for one in content.slices) or "nothing to bill"


def _threshold(alert: asyncpg.Record, currency: str, *, grouped: bool = False) -> str:
    if alert["kind"] == "amount":
        return amount_text(int(alert["threshold"]), currency, grouped=grouped)
    return _number(alert["threshold"]) if grouped else _plain(alert["threshold"])


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def _plain(value: Decimal) -> str:
    """Return a number without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _number(value: Decimal) -> str:
    """Return a number for a reader: without trailing zeros, thousands by commas."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
