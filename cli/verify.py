"""`fakturo verify`: recomputes every invoice, balance and KPI by other means and lists each difference.

Place     the raw events, contracts and payments in Postgres -> verify_* -> compared with the books, in one snapshot.
Apart     imports nothing of the engine but `engine/prices`, and nothing of the agents (an import test): months, slices,
          totals, tax, balances and KPI formulas are worked out here a second time.
Rooms     periods -> contracts -> usage -> rating -> invoices: what was billed of every slice, over all documents.
          documents, tax_positions, life: sums, tax, numbers, status. credits, points: the books that bound discounts.
          ledger, kpis: what follows from all of it. alerts: what was told of usage.
Notes     what is legitimately not billed yet is no difference; a note says how much of it there is, and why.
"""

from pathlib import Path

import asyncpg

from fakturo.cli.connect import read_books
from fakturo.cli.output import console, print_json, print_rows
from fakturo.cli.verify_alerts import verify_alerts
from fakturo.cli.verify_credits import verify_credits
from fakturo.cli.verify_documents import read_documents, roundings_of, verify_documents
from fakturo.cli.verify_events import SESSION
from fakturo.cli.verify_invoices import verify_invoices
from fakturo.cli.verify_kpis import verify_kpis
from fakturo.cli.verify_ledger import verify_ledger
from fakturo.cli.verify_life import verify_life
from fakturo.cli.verify_points import verify_points
from fakturo.cli.verify_published import read_contracts
from fakturo.cli.verify_result import Difference, Verification
from fakturo.cli.verify_tax_positions import verify_tax_positions

__all__ = ["Difference", "Verification", "run_verify", "verify_books"]


async def verify_books(connection: asyncpg.Connection) -> Verification:
    """Return what was checked and what differs."""
    result = Verification()
    row = await connection.fetchrow("SELECT min(min_at) AS first, max(max_at) AS last FROM usage.segment")
    if row is not None:
        result.covers_from_at, result.covers_to_at = row["first"], row["last"]
    contracts, documents = await read_contracts(connection), await read_documents(connection)
    roundings = roundings_of(documents, contracts)
    await verify_invoices(connection, contracts, result)
    verify_documents(documents, roundings, result)
    await verify_tax_positions(connection, documents, roundings, result)
    await verify_life(connection, documents, result)
    await verify_credits(connection, documents, contracts, result)
    await verify_points(connection, documents, result)
    await verify_ledger(connection, documents, result)
    await verify_kpis(connection, result)
    await verify_alerts(connection, result)
    return result


def run_verify(home: Path, *, as_json: bool) -> int:
    """Verify the books of `home` and print the result; return 1 where anything differs."""
    result = read_books(home, verify_books, session=SESSION)
    rows = [
        {"book": one.book, "figure": one.figure, "expected": one.expected, "found": one.found}
        for one in result.differences
    ]
    if as_json:
        covers = {"from": result.covers_from_at, "to": result.covers_to_at}
        notes = [{"count": note.count, "text": note.text} for note in result.notes]
        print_json({"checked": result.checked, "differences": rows, "notes": notes, "covers": covers})
    else:
        if rows:
            print_rows("Differences", rows, empty="", as_json=False)
        for note in result.notes:
            console.print(f"{note.count:,} {note.text}.", highlight=False)
        covered = "no usage events are kept"
        if result.covers_from_at and result.covers_to_at:
            covered = f"raw events cover {result.covers_from_at:%Y-%m-%d} to {result.covers_to_at:%Y-%m-%d}"
        console.print(f"{result.checked:,} figures checked, {len(rows)} differences; {covered}.", highlight=False)
    return 1 if rows else 0
