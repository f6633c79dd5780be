"""Checks what an invoice lives through: its number, its status against the ledger, what was credited of it.

Place     documents, invoicing.series, ledger.invoice -> [this] -> differences.
Numbers   of a seller and series they run from 1 without a gap, each on one document.
Status    a small table of its own: what the ledger must say of an invoice in each.
Credited  the credit notes that were asked for, by invoice and by line; never more than it was worth.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import asyncpg

from fakturo.cli.verify_documents import Document
from fakturo.cli.verify_result import Verification

_LEGAL: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "open": (("open",), ("open", "written off")),
        "paid": ((),),
        "uncollectible": (("written off",),),
        "void": (("void",),),
    }
)
"""Status -> what may be so in the ledger: something open, something written off, void."""


async def verify_life(connection: asyncpg.Connection, documents: Sequence[Document], result: Verification) -> None:
    """Compare numbers, statuses and what was credited."""
    await _verify_numbers(connection, documents, result)
    _verify_credited(documents, result)
    known = {row["invoice_id"]: row for row in await connection.fetch("SELECT * FROM ledger.invoice")}
    for document in documents:
        if document.row["kind"] == "credit_note":
            result.compare("invoices", f"status of {document.name}", "open", document.row["status"])
        elif ledger := known.get(document.content.invoice_id):
            _verify_status(document, ledger, result)


async def _verify_numbers(connection: asyncpg.Connection, documents: Sequence[Document], result: Verification) -> None:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for document in documents:
        series, _, number = document.row["number"].rpartition("-")
        found[document.seller, series].append(int(number))
    last = {
        (row["seller_code"], row["series"]): row["last_number"]
        for row in await connection.fetch("SELECT * FROM invoicing.series")
    }
    for key in sorted(found.keys() | last.keys()):
        name = f"series {key[1]} of {key[0] or 'the seller'}"
        numbers = found[key]
        result.compare("invoices", f"last number of {name}", len(numbers), last.get(key))
        missing = sorted(set(range(1, len(numbers) + 1)) - set(numbers))
        result.compare("invoices", f"numbers missing in {name}", [], missing)


def _verify_status(document: Document, ledger: asyncpg.Record, result: Verification) -> None:
    row, name = document.row, document.name
    said = {
        "open": ledger["open_minor"] > 0,
        "written off": ledger["written_off_minor"] > 0,
        "void": ledger["is_void"],
    }
    holds = tuple(what for what, is_so in said.items() if is_so)
    status = next((one for one, legal in _LEGAL.items() if holds in legal), f"none for {holds}")
    result.compare("invoices", f"status of {name}", status, row["status"])
    result.compare("invoices", f"open of {name}", ledger["open_minor"], row["due_minor"] + row["moved_minor"])
    result.compare("invoices", f"written off of {name}", ledger["written_off_minor"], row["written_off_minor"])
    result.compare("invoices", f"day of voiding of {name}", document.is_void, row["voided_on"] is not None)


def _verify_credited(documents: Sequence[Document], result: Verification) -> None:
    by_invoice: Counter[str] = Counter()
    by_line: Counter[str] = Counter()
    for document in documents:
        if document.asked:
            by_invoice[document.content.corrects or ""] -= document.content.total_minor
            for line in document.content.lines:
                by_line[line.corrects or ""] -= line.amount_minor
    for document in documents:
        credited, total = document.row["credited_minor"], document.content.total_minor
        result.compare("invoices", f"credited of {document.name}", by_invoice[document.content.invoice_id], credited)
        if credited:
            result.compare("invoices", f"credited beyond {document.name}", 0, max(credited - total, 0))
            for kept in document.lines.values():
                name = f"credited of line {kept['line_id']}"
                result.compare("invoices", name, by_line[kept["line_id"]], kept["credited_minor"])
                result.compare(
                    "invoices", f"{name} beyond it", 0, max(kept["credited_minor"] - kept["amount_minor"], 0)
                )
