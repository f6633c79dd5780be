"""`fakturo catalog diff FILE`: what a price list changes of the one that holds, and what of that lies in the past."""

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from fakturo.cli.catalog.check import print_faults
from fakturo.cli.catalog.holding import Holding, Past, past_rows, read_holding, read_past
from fakturo.cli.catalog.reading import read_catalog
from fakturo.cli.connect import read_books
from fakturo.cli.output import console, print_json, table_of
from fakturo.engine.catalog import Catalog, Change, changes_between

HASH_DIGITS = 12


def run_diff(home: Path, path: Path, *, as_json: bool) -> int:
    """Print the changes; return the exit status: 1 where the file is faulty."""
    read = read_catalog(path)
    if read.faults or read.catalog is None:
        print_faults(path, read.faults, as_json=as_json)
        return 1
    catalog = read.catalog
    holding, past = read_books(home, lambda connection: _compare(connection, catalog))
    changes = changes_between(holding.catalog, catalog)
    if as_json:
        print_json(
            {
                "file": str(path),
                "hash": catalog.hash,
                "replaces": holding.book.hash if holding.book else None,
                "changes": [_row(change) for change in changes],
                "back_dated": past_rows(past),
            }
        )
        return 0
    print_changes(changes)
    print_past(past, holding)
    return 0


async def _compare(connection: asyncpg.Connection, catalog: Catalog) -> tuple[Holding, Past]:
    holding = await read_holding(connection)
    return holding, await read_past(connection, holding, catalog)


def print_changes(changes: Sequence[Change]) -> None:
    """Print a table of the changes, or that there are none."""
    if not changes:
        console.print("The price list says what holds already.")
        return
    rows = [_row(change) for change in changes]
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    console.print(table_of("Changes", columns, rows))


def print_past(past: Past, holding: Holding) -> None:
    """Print what is back-dated and whom it would touch; nothing where nothing is."""
    if past.touched:
        title = f"Back-dated: was in force before {holding.on}"
        console.print(table_of(title, ["product", "from", "before", "customer"], past_rows(past)))


def _row(change: Change) -> dict[str, object]:
    is_price = change.subject == "price"
    return {
        "change": change.kind,
        "what": change.subject,
        "code": change.code,
        "currency": change.currency or None,
        "from": change.effective_from,
        "field": change.field,
        "before": change.before[:HASH_DIGITS] if is_price and change.before else change.before,
        "after": change.after[:HASH_DIGITS] if is_price and change.after else change.after,
    }
