"""Recomputes the books of loyalty points from what documents say was earned and redeemed.

Place     documents -> [this] -> compared with invoicing.point_lot, point_use and point_balance.
Lots      an invoice's points are one lot; of a void invoice what was redeemed by then stays, the rest is taken back. A
          credit note takes back its share, the last one the rest.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import asyncpg

from fakturo.cli.verify_documents import Document
from fakturo.cli.verify_result import Verification
from fakturo.schemas.events.invoices import LoyaltyMovement


async def verify_points(connection: asyncpg.Connection, documents: Sequence[Document], result: Verification) -> None:
    """Compare every lot with the invoice that earned it and the uses of it, and every balance with its lots."""
    earned = {document.content.invoice_id: document for document in documents if not document.asked}
    noted: dict[str, list[LoyaltyMovement]] = {}
    for document in documents:
        if document.asked and document.content.loyalty is not None:
            noted.setdefault(document.content.corrects or "", []).append(document.content.loyalty)
    lots = await connection.fetch("SELECT * FROM invoicing.point_lot ORDER BY lot_id")
    uses = await connection.fetch("SELECT * FROM invoicing.point_use")
    by_lot, by_invoice = _grouped(uses, "lot_id"), _grouped(uses, "invoice_id")
    claims = _grouped(await connection.fetch("SELECT lot_id, points, redeemed FROM invoicing.point_claim"), "lot_id")
    free: Counter[str] = Counter()
    for lot in lots:
        _verify_lot(lot, by_lot[lot["lot_id"]], claims[lot["lot_id"]], result)
        _verify_earned(lot, earned.get(lot["lot_id"]), noted.get(lot["lot_id"], ()), result)
        free[lot["account_id"]] += lot["points"] - lot["claimed"] - lot["expired"]
    known = {lot["lot_id"] for lot in lots}
    for document in earned.values():
        given_back = any(one.points_redeemed for one in noted.get(document.content.invoice_id, ()))
        mine = by_invoice[document.content.invoice_id]
        _verify_document(document, mine, known, result, given_back=given_back or document.is_void)
    for row in await connection.fetch("SELECT account_id, points FROM invoicing.point_balance ORDER BY account_id"):
        result.compare("points", f"free points of {row['account_id']}", free[row["account_id"]], row["points"])


def _grouped(rows: Sequence[asyncpg.Record], column: str) -> dict[str, list[asyncpg.Record]]:
    groups: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def _verify_lot(
    lot: asyncpg.Record, redeemed: Sequence[asyncpg.Record], mine: Sequence[asyncpg.Record], result: Verification
) -> None:
    """Compare a lot with what was claimed of it (`mine`), and with what of that came off invoices (`redeemed`)."""
    name = f"points of {lot['lot_id']}"
    result.compare("points", f"{name}: claimed", sum(row["points"] for row in mine), lot["claimed"])
    result.compare("points", f"{name}: redeemed of claims", sum(row["redeemed"] for row in mine), lot["redeemed"])
    result.compare("points", f"{name}: redeemed", sum(row["points"] for row in redeemed), lot["redeemed"])
    beyond = max(lot["claimed"] + lot["expired"] - lot["points"], 0)
    result.compare("points", f"{name}: claimed and expired beyond them", 0, beyond)
    if not lot["expired"] and not lot["is_void"]:
        released = sum(row["released_minor"] for row in redeemed)
        result.compare("points", f"{name}: revenue released", released, lot["released_minor"])
    elif lot["points"] == lot["redeemed"] + lot["expired"]:
        result.compare(
            "points", f"{name}: revenue that waits for none", 0, lot["deferred_minor"] - lot["released_minor"]
        )


def _verify_earned(
    lot: asyncpg.Record, document: Document | None, notes: Sequence[LoyaltyMovement], result: Verification
) -> None:
    name = f"points of {lot['lot_id']}"
    if document is None or document.content.loyalty is None:
        result.compare("points", name, None, lot["points"])
        return
    if not notes:
        result.compare("points", f"{name}: taken back", document.is_void, lot["is_void"])
    if not lot["is_void"]:
        loyalty = document.content.loyalty
        points = loyalty.points_earned + sum(note.points_earned for note in notes)
        deferred = loyalty.deferred_minor + sum(note.deferred_minor for note in notes)
        result.compare("points", f"{name}: earned", points, lot["points"])
        result.compare("points", f"{name}: revenue deferred", deferred, lot["deferred_minor"])


def _verify_document(
    document: Document, mine: Sequence[asyncpg.Record], known: set[str], result: Verification, *, given_back: bool
) -> None:
    """Compare what came off a document: points, and the revenue that they release."""
    loyalty = document.content.loyalty
    if loyalty is None:
        return
    invoice_id = document.content.invoice_id
    points, released = sum(row["points"] for row in mine), sum(row["released_minor"] for row in mine)
    expected = (0, 0) if given_back else (loyalty.points_redeemed, loyalty.released_minor)
    result.compare("points", f"points redeemed on {invoice_id}, and revenue released", expected, (points, released))
    if loyalty.points_earned:
        result.compare("points", f"points kept of {invoice_id}", True, invoice_id in known)
