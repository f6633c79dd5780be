"""The end of a demo: the report as JSON (issue 2's form), and the table of the airlines.

Place     the books in Postgres -> [this] -> `--report FILE` and the screen. Amounts are decimal strings.
"""

import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.table import Table

from fakturo.cli.demo_org import Held
from fakturo.cli.output import amount_text, console
from fakturo.cli.verify import Verification

_LINES = """
SELECT i.invoice_id, i.account, (i.period_start_at AT TIME ZONE 'America/New_York')::date AS period_start, i.currency,
       i.subtotal_minor, i.tax_minor, i.total_minor, l.product_code, sum(l.amount_minor)::bigint AS amount_minor
  FROM invoicing.invoice i JOIN invoicing.invoice_line l USING (invoice_id)
 GROUP BY i.invoice_id, l.product_code ORDER BY i.account, i.period_start_at, l.product_code
"""
_LEDGER = """
SELECT (SELECT count(*) FROM ledger.journal) AS journals,
       coalesce((SELECT sum(abs(amount)) FROM (SELECT sum(amount_minor) AS amount FROM ledger.line
                 GROUP BY journal_id, currency) j), 0)::bigint AS imbalance_minor
"""
_PAYING = """
SELECT account, sum(open_minor)::bigint AS open_minor FROM ledger.invoice GROUP BY account
"""


@dataclass(frozen=True, slots=True)
class Report:
    """`document` is the JSON report; `open_minor` by account and `names` are for the table alone."""

    document: dict[str, Any]
    open_minor: dict[str, int]
    names: dict[str, str]


async def build_report(
    connection: asyncpg.Connection, verification: Verification, seconds: float, usage_seconds: float, held: Held
) -> Report:
    """Return the report of the books as they stand."""
    ledger = await connection.fetchrow(_LEDGER)
    document = {
        "seconds": round(seconds, 1),
        "usage_events": await connection.fetchval("SELECT coalesce(sum(event_count), 0)::bigint FROM usage.segment"),
        "usage_seconds": round(usage_seconds, 1),
        "invoices": _invoices(await connection.fetch(_LINES)),
        "ledger": dict(ledger or {}),
        "verify": {"checked": verification.checked, "differences": len(verification.differences)},
        "dead_letters": await connection.fetchval("SELECT count(*) FROM runtime.dead_letter"),
        "salesforce": {
            "invoices": held.invoices,
            "lines": held.lines,
            "accounts": held.accounts,
            "total": amount_text(held.total_minor, "USD"),
        },
    }
    open_minor = {row["account"]: row["open_minor"] for row in await connection.fetch(_PAYING)}
    names = await connection.fetch("SELECT account_id, name FROM invoicing.account")
    return Report(document, open_minor, {row["account_id"]: row["name"] for row in names})


def _invoices(rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    invoices: dict[str, dict[str, Any]] = {}
    for row in rows:
        currency = row["currency"]
        invoice = invoices.setdefault(
            row["invoice_id"],
            {
                "account": row["account"],
                "period_start": row["period_start"].isoformat(),
                "currency": currency,
                "lines": {},
                "subtotal": amount_text(row["subtotal_minor"], currency),
                "tax": amount_text(row["tax_minor"], currency),
                "total": amount_text(row["total_minor"], currency),
            },
        )
        invoice["lines"][row["product_code"]] = amount_text(row["amount_minor"], currency)
    return list(invoices.values())


def print_report(report: Report, home: Path) -> None:
    """Print the airlines with what they were billed and still owe, and what to look at next."""
    document = report.document
    billed: dict[str, int] = defaultdict(int)
    count: dict[str, int] = defaultdict(int)
    for invoice in document["invoices"]:
        billed[invoice["account"]] += int(invoice["total"].replace(".", ""))
        count[invoice["account"]] += 1
    table = Table(title="The flights of 2013, billed", title_justify="left", header_style="bold")
    table.add_column("account")
    table.add_column("airline")
    for column in ("invoices", "billed USD", "open USD"):
        table.add_column(column, justify="right")
    for account in sorted(billed):
        open_text = amount_text(report.open_minor.get(account, 0), "USD", grouped=True)
        billed_text = amount_text(billed[account], "USD", grouped=True)
        table.add_row(account, report.names.get(account, ""), str(count[account]), billed_text, open_text)
    console.print(table)
    verify, ledger = document["verify"], document["ledger"]
    console.print(
        f"{document['usage_events']:,} flights in {document['usage_seconds']} s, {len(document['invoices'])} invoices, "
        f"{ledger['journals']:,} journals (imbalance {ledger['imbalance_minor']}) in {document['seconds']} s. "
        f"Verified {verify['checked']:,} figures by other means: {verify['differences']} differences. "
        f"Dead letters: {document['dead_letters']}.",
        highlight=False,
    )
    org = document["salesforce"]
    console.print(
        f"Contracts came from a Salesforce org by change events, and it has back {org['invoices']} invoices over "
        f"{org['total']} USD with {org['lines']:,} lines, and the KPIs of {org['accounts']} accounts.",
        highlight=False,
    )
    command = _command()
    console.print(f"The books stay in {home}. Next: `{command} up`, then", highlight=False)
    for line in ("invoices list --account UA", "statement UA", "kpi UA", "ledger", "verify", "status"):
        console.print(f"  {command} {line}", highlight=False)


def _command() -> str:
    """Return `fakturo` as this person calls it: by its path, where it is not the one on PATH."""
    called = sys.argv[0]
    on_path = shutil.which("fakturo")
    if Path(called).name != "fakturo" or (on_path is not None and Path(on_path).samefile(called)):
        return "fakturo"
    return called
