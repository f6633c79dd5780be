"""Recomputes the books that bound what invoices use: coupons, credit, spend caps and commitments.

Place     documents -> [this] -> compared with invoicing.coupon_budget, credit_grant, cap_use, commitment_term. Points:
          verify_points.
Rule      what a book says was used is what the documents that are not void show, and never more than there is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import asyncpg

from fakturo.cli.verify_documents import Document
from fakturo.cli.verify_periods import day_of, zone_of
from fakturo.cli.verify_published import Contracts
from fakturo.cli.verify_result import Verification
from fakturo.schemas.events.contracts import Commitment, Subscription

_WAITS = """
SELECT DISTINCT subscription_id FROM invoicing.subscription_item JOIN (
    SELECT subscription_item FROM invoicing.correction UNION ALL SELECT subscription_item FROM invoicing.draft_item
) waiting USING (subscription_item)
UNION SELECT true_up_of FROM invoicing.draft WHERE true_up_of IS NOT NULL
"""
"""Subscriptions of which something is not billed yet: so their true-up waits, too."""


async def verify_credits(
    connection: asyncpg.Connection, documents: Sequence[Document], contracts: Contracts, result: Verification
) -> None:
    """Compare what was used of coupons, credit and caps, and what was trued up."""
    using = [document for document in documents if not document.is_void and not document.asked]
    await _verify_coupons(connection, using, result)
    await _verify_grants(connection, using, result)
    await _verify_caps(connection, using, contracts, result)
    await _verify_commitments(connection, documents, contracts, result)


def discounts_of(documents: Iterable[Document], kind: str) -> Counter[tuple[str, str]]:
    """Return what discounts of a kind took off, above 0, by document and code."""
    found: Counter[tuple[str, str]] = Counter()
    for document in documents:
        for one in document.content.discounts:
            if one.kind == kind:
                found[document.content.invoice_id, one.code or ""] -= one.amount_minor
    return found


async def _verify_coupons(connection: asyncpg.Connection, using: Sequence[Document], result: Verification) -> None:
    taken = discounts_of(using, "coupon")
    kept: Counter[tuple[str, str]] = Counter()
    uses: Counter[str] = Counter()
    for row in await connection.fetch("SELECT * FROM invoicing.coupon_use"):
        kept[row["invoice_id"], row["code"]] += row["amount_minor"]
        uses[row["holder_id"]] += 1
    for key in sorted(taken.keys() | kept.keys()):
        result.compare("credits", f"coupon {key[1]} on {key[0]}", taken[key], kept[key])
    spent: Counter[str] = Counter()
    for (_, code), amount in taken.items():
        spent[code] += amount
    for row in await connection.fetch("SELECT * FROM invoicing.coupon_budget ORDER BY code"):
        name = f"budget of coupon {row['code']}"
        result.compare("credits", f"{name}: spent", spent[row["code"]], row["spent_minor"])
        result.compare("credits", f"{name}: beyond it", 0, max(spent[row["code"]] - row["budget_minor"], 0))
    for row in await connection.fetch("SELECT * FROM invoicing.coupon_holder ORDER BY holder_id"):
        used, most = uses[row["holder_id"]], row["uses_max"]
        result.compare("credits", f"uses of coupon {row['holder_id']}", used, row["used_count"])
        result.compare("credits", f"uses beyond {row['holder_id']}", 0, 0 if most is None else max(used - most, 0))


async def _verify_grants(connection: asyncpg.Connection, using: Sequence[Document], result: Verification) -> None:
    used: Counter[str] = Counter()
    for document in using:
        for credit in document.content.credits:
            used[credit.grant_id] += credit.amount_minor
    for (_, grant_id), amount in discounts_of(using, "promotional_credit").items():
        used[grant_id] += amount
    rows = await connection.fetch("SELECT * FROM invoicing.credit_grant ORDER BY grant_id")
    for row in rows:
        name, expired = f"credit {row['grant_id']}", row["expired_minor"]
        result.compare("credits", f"{name}: used", used[row["grant_id"]], row["used_minor"])
        beyond = max(used[row["grant_id"]] + expired - row["amount_minor"], 0)
        result.compare("credits", f"{name}: used and expired beyond it", 0, beyond)
        if row["expires_on"] is None:
            result.compare("credits", f"{name}: expired, though it never does", 0, expired)
    unknown = sorted(used.keys() - {row["grant_id"] for row in rows})
    result.compare("credits", "credit on documents that nobody granted", [], unknown)


async def _verify_caps(
    connection: asyncpg.Connection, using: Sequence[Document], contracts: Contracts, result: Verification
) -> None:
    """Compare what caps took off each document, and that what is left of a period is no more than its cap."""
    taken = discounts_of(using, "spend_cap")
    caps = {one.subscription_id: one.spend_cap_minor for one in contracts.subscriptions}
    kept: Counter[tuple[str, str]] = Counter()
    billed: Counter[tuple[str, object]] = Counter()
    left: Counter[tuple[str, object]] = Counter()
    for row in await connection.fetch("SELECT * FROM invoicing.cap_use"):
        period = row["subscription_id"], row["period_start_at"]
        kept[row["invoice_id"], row["subscription_id"]] += row["capped_minor"]
        billed[period] += row["billed_minor"]
        left[period] += row["billed_minor"] - row["capped_minor"]
    for key in sorted(taken.keys() | kept.keys()):
        result.compare("credits", f"spend cap of {key[1]} on {key[0]}", taken[key], kept[key])
    for period in sorted(billed, key=str):
        cap = caps.get(period[0])
        if cap is not None:
            name = f"net of {period[0]} in the period from {period[1]:%Y-%m-%d}"
            result.compare("credits", name, min(billed[period], cap), left[period])


async def _verify_commitments(
    connection: asyncpg.Connection, documents: Sequence[Document], contracts: Contracts, result: Verification
) -> None:
    """Compare each term that is over: trued up once, by what was short when it was."""
    terms = {
        (row["subscription_id"], row["start_on"]): row
        for row in await connection.fetch("SELECT * FROM invoicing.commitment_term")
    }
    shown = _true_ups(document for document in documents if not document.is_void and not document.asked)
    void = {item for _, item in _true_ups(document for document in documents if document.is_void)}
    waits = {row["subscription_id"] for row in await connection.fetch(_WAITS)}
    gone = {document.content.invoice_id for document in documents if document.is_void}
    for row in terms.values():
        name, item = f"true-up of {row['subscription_id']} from {row['start_on']}", _item_of(row["subscription_id"])
        short = 0 if row["invoice_id"] in gone else row["short_minor"]  # void and not billed again: done all the same
        result.compare("credits", f"{name}: line", short, shown.pop((row["invoice_id"], item), 0))
    for invoice_id, item in shown:
        result.compare("credits", f"true-up of {item} on {invoice_id}", None, shown[invoice_id, item])
    by_id = {document.content.invoice_id: document for document in documents}
    by_item: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        for item in {line.subscription_item for line in document.content.lines}:
            by_item[item].append(document)
    for subscription in contracts.subscriptions:
        commitment, name = subscription.commitment, f"true-up of {subscription.subscription_id}"
        if commitment is None:
            continue
        trued_up = terms.get((subscription.subscription_id, commitment.start_on))
        if trued_up is None:
            late = [one for one in _documents_of(subscription, by_item) if one.content.issue_date > commitment.end_on]
            if _item_of(subscription.subscription_id) not in void and subscription.subscription_id not in waits:
                result.compare("credits", f"{name}: invoices after its term without it", 0, len(late))
        elif (at := by_id.get(trued_up["invoice_id"])) and not at.is_void:
            billed = _billed(subscription, commitment, at, by_item, contracts)
            result.compare("credits", f"{name}: billed in its term", billed, trued_up["billed_minor"])
            short = max(commitment.amount_minor - billed, 0)
            result.compare("credits", f"{name}: short", short, trued_up["short_minor"])
        else:
            result.compare("credits", f"{name}: short without a document", 0, trued_up["short_minor"])


def _item_of(subscription_id: str) -> str:
    return f"{subscription_id}/commitment"


def _true_ups(documents: Iterable[Document]) -> dict[tuple[str, str], int]:
    return {
        (document.content.invoice_id, line.subscription_item): line.amount_minor
        for document in documents
        for line in document.content.lines
        if line.kind == "true_up"
    }


def _documents_of(subscription: Subscription, by_item: Mapping[str, Sequence[Document]]) -> list[Document]:
    """Return the documents that bill something of a subscription and stand, each once."""
    found = {
        document.content.invoice_id: document
        for item in subscription.items
        for document in by_item.get(item.subscription_item, ())
    }
    return [document for document in found.values() if not document.is_void and not document.asked]


def _billed(
    subscription: Subscription,
    commitment: Commitment,
    at: Document,
    by_item: Mapping[str, Sequence[Document]],
    contracts: Contracts,
) -> int:
    """Return the net amount of the lines that begin in the term, on documents up to the one that trued it up.

    One that was void only later was counted then, and a term is trued up once.
    """
    zone = zone_of(contracts.accounts[at.content.account].versions, at.content.period.end)
    return sum(
        line.amount_minor
        for item in subscription.items
        for document in by_item.get(item.subscription_item, ())
        if _is_counted(document, at)
        for line in document.content.lines
        if line.subscription_item == item.subscription_item
        and commitment.start_on <= day_of(line.period.start, zone) < commitment.end_on
    )


def _is_counted(document: Document, at: Document) -> bool:
    """Return whether a document was there, and not void, when `at` was made: by its number, else by its day."""
    issued_on = at.content.issue_date
    if document.is_void and document.row["voided_on"] <= issued_on:
        return False
    number, own = (one.row["number"].rpartition("-") for one in (document, at))
    if (document.seller, number[0]) == (at.seller, own[0]):
        return int(number[2]) <= int(own[2])
    return bool(document.content.issue_date <= issued_on)
