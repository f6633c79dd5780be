"""What a command prints: a table for a person, or JSON for a program with `--json`.

Money is shown in the major unit with the currency's digits, from integer minor units; nothing is rounded here.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from fakturo.engine.money import exponent_of

SHORT_CELL = 20
"""A column of cells up to the length of an instant is never folded."""

PIPED_WIDTH = 160
"""Columns where nobody's terminal says how many: a file or a pipe should not fold dates and addresses."""


def _console(*, stderr: bool = False) -> Console:
    made = Console(stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = PIPED_WIDTH
    return made


console = _console()
errors = _console(stderr=True)


def print_json(value: object) -> None:
    """Print `value` as indented JSON; decimals as strings, instants as RFC 3339."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    console.print(text.decode(), markup=False, highlight=False, soft_wrap=True)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], *, empty: str, as_json: bool) -> None:
    """Print rows of equal keys as a table, or as a JSON array; `empty` is the sentence for no rows."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        console.print(empty)
        return
    console.print(table_of(title, list(rows[0]), rows))


def table_of(title: str, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return a rich table; numbers stand right."""
    table = Table(title=title, title_justify="left", header_style="bold", expand=False)
    names = list(columns)
    cells = [[_cell(row[name]) for name in names] for row in rows]
    for index, name in enumerate(names):
        numeric = all(line[index] == "" or line[index][-1].isdigit() for line in cells)
        is_short = all(len(line[index]) <= SHORT_CELL for line in cells)
        table.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", overflow="fold", no_wrap=is_short
        )
    for line in cells:
        table.add_row(*line)
    return table


def amount_text(amount_minor: int, currency: str, *, grouped: bool = False) -> str:
    """Return `amount_minor` in the major unit with the currency's digits: 123456, "USD" -> "1234.56"."""
    value = Decimal(amount_minor).scaleb(-exponent_of(currency))
    return f"{value:,f}" if grouped else f"{value:f}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
