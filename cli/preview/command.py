"""The command: looks at the books in a transaction that is rolled back, and prints both invoices side by side.

Place     `fakturo preview ACCOUNT` -> [this] -> outlook.
"""

import asyncio
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.table import Table

from fakturo.cli.connect import settings_of
from fakturo.cli.output import amount_text, console, errors, print_json
from fakturo.cli.preview.outlook import Outlook, known, outlooks
from fakturo.consumers.invoicing.handler import seller_of
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.errors import PriceError
from fakturo.schemas.events.invoices import Invoice, InvoiceLine

AGENT = "invoicing"


def run_preview(home: Path, account: str, *, as_json: bool) -> int:
    """Print the coming invoices of an account; return 1 where it is not known or cannot be rated."""
    try:
        found = asyncio.run(_look(settings_of(home), account))
    except PriceError as error:
        errors.print(f"fakturo preview: {error.message} ({error.code})", markup=False, highlight=False)
        return 1
    if found is None:
        errors.print(f"fakturo preview: account {account} is not known")
        return 1
    if as_json:
        print_json([{"due_at": o.due_at, "as_of": o.as_of, "now": o.now, "forecast": o.forecast} for o in found])
    elif not found:
        console.print(f"Nothing is under way for {account}: no billing period comes next.", highlight=False)
    else:
        for outlook in found:
            _print(outlook)
    return 0


async def _look(settings: Settings, account: str) -> list[Outlook] | None:
    """Return the outlooks of an account that is known; what the look locked is let go with it."""
    database = Database(settings.database_url, pool_size=1)
    try:
        async with database.transaction() as (sql, driver):
            if not await known(driver, account):
                return None
            tx = Transaction(AGENT, sql, driver, settings.partitions)
            found = await outlooks(tx, account, seller_of(settings))
            await sql.rollback()
            return found
    finally:
        await database.close()


def _print(outlook: Outlook) -> None:
    now, forecast = outlook.now, outlook.forecast
    console.print(
        f"[bold]{now.customer.name}[/bold] ({now.account}), the invoice of {now.issue_date}: as of "
        f"{outlook.as_of:%Y-%m-%d %H:%MZ}, and at this pace",
        highlight=False,
    )
    table = Table(header_style="bold")
    for column in ("what", "how it came about so far", f"now {now.currency}", f"at the end {now.currency}"):
        table.add_column(column, justify="right" if column.endswith(now.currency) else "left")
    later = {_key(line): line for line in forecast.lines}
    for line in now.lines:
        end = later.pop(_key(line), None)
        table.add_row(
            line.description, line.explanation, *_amounts(now, line.amount_minor, end.amount_minor if end else None)
        )
    for line in later.values():
        table.add_row(line.description, line.explanation, *_amounts(now, None, line.amount_minor))
    table.add_section()
    for row in _sums(now, forecast):
        table.add_row(*row)
    console.print(table)


def _key(line: InvoiceLine) -> tuple[Any, ...]:
    return line.subscription_item, line.period.start, line.kind


def _sums(now: Invoice, forecast: Invoice) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one, other in zip_longest(now.discounts, forecast.discounts):
        amounts = [None if shown is None else shown.amount_minor for shown in (one, other)]
        rows.append(((one or other).description, "", *_amounts(now, *amounts)))
    for name in ("subtotal", "tax", "total", "amount_due"):
        label = name.replace("_", " ").capitalize()
        rows.append((label, "", *_amounts(now, getattr(now, f"{name}_minor"), getattr(forecast, f"{name}_minor"))))
    return rows


def _amounts(invoice: Invoice, *amounts_minor: int | None) -> tuple[str, ...]:
    return tuple("" if one is None else amount_text(one, invoice.currency, grouped=True) for one in amounts_minor)
