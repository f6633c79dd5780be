"""`fakturo rerate ACCOUNT --period 2026-08 [--apply]`: compares an account's month with its events; asks for a mend.

Place     the command line -> [this] -> comparing; with `--apply` -> billing.usage -> the usage agent.
Month     the calendar month in the account's own zone.
Once      `--request-id` is the request's identity: the same again is a repeat. Asking anew is harmless, too.
"""

import asyncio
import re
import uuid
from datetime import UTC, date, datetime, time
from pathlib import Path

import asyncpg

from fakturo.cli.asking import publish, request_event
from fakturo.cli.connect import read_books, settings_of
from fakturo.cli.output import console, errors, print_json, print_rows
from fakturo.cli.rerate.comparing import Comparison, compare, rows_of
from fakturo.cli.rerate.wanted import account_of
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period, month_period
from fakturo.engine.schedule import zone_at
from fakturo.schemas.events.usage import RERATE_REQUESTED, PeriodBounds, RerateRequested
from fakturo.schemas.topics import USAGE

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
ROWS_SHOWN = 40
"""Of many differences so many are printed; `--json` has all."""


def run_rerate(home: Path, account_id: str, month: str, *, apply: bool, request_id: str | None, as_json: bool) -> int:
    """Print what differs; return 1 where anything does and nothing was asked for, 2 for a month that is none."""
    if not _MONTH.fullmatch(month) or month < "1970":
        errors.print(f"fakturo rerate: --period {month}: say a month, such as 2026-08")
        return 2
    try:
        found = read_books(home, lambda connection: _compared(connection, account_id, month))
    except PriceError as error:
        errors.print(f"fakturo rerate: {error.message} ({error.code})", markup=False, highlight=False)
        return 1
    if found is None:
        errors.print(f"fakturo rerate: the usage agent knows no account {account_id}", highlight=False)
        return 1
    period, comparison = found
    if not as_json:
        _print(account_id, month, comparison)
    asked = None
    if apply:
        asked = request_id or str(uuid.uuid4())
        data = RerateRequested(account=account_id, period=PeriodBounds(start=period.start_at, end=period.end_at))
        value = request_event(RERATE_REQUESTED, asked, account_id, data)
        asyncio.run(publish(settings_of(home), USAGE, account_id, value))
    if as_json:
        print_json(_json(account_id, period, comparison, asked))
    elif asked:
        console.print(f"Asked for {asked}; the next tick works it off. `fakturo dlq list` shows it if it was refused.")
    return 1 if comparison.differences and not apply else 0


async def _compared(connection: asyncpg.Connection, account_id: str, month: str) -> tuple[Period, Comparison] | None:
    account = await account_of(connection, account_id)
    if account is None:
        return None
    first_on = date.fromisoformat(f"{month}-01")
    zone = zone_at(account.versions, datetime.combine(first_on, time(), UTC))
    period = month_period(first_on, zone)
    return period, await compare(connection, account, period)


def _json(account_id: str, period: Period, comparison: Comparison, asked: str | None) -> dict[str, object]:
    return {
        "account": account_id,
        "period": {"start": period.start_at, "end": period.end_at},
        "checked": comparison.checked,
        "differences": comparison.differences,
        "waiting": comparison.waiting,
        "request_id": asked,
    }


def _print(account_id: str, month: str, comparison: Comparison) -> None:
    rows = rows_of(comparison.differences)
    if rows:
        print_rows(f"What {account_id} differs in", rows[:ROWS_SHOWN], empty="", as_json=False)
    if comparison.waiting:
        console.print(f"{comparison.waiting} periods wait to be rated again at the next tick.", highlight=False)
    console.print(
        f"{comparison.checked:,} figures of {account_id} in {month} computed again from the raw events, "
        f"{len(rows):,} differ.",
        highlight=False,
    )
