"""Compares what was billed of each slice with what it should be: the sum over all documents, corrections included.

Place     verify_rating + invoicing.invoice_line -> [this] -> differences and notes.
Sum       lines that count, over all documents: charges, corrections and reversals of a slice add up to one bill. Lines
          of a void invoice that is billed again, credit notes that were asked for and true-ups bill no slice.
Waits     a slice that differs because something of it waits (a correction, a draft, news of a contract, a statement)
          is no difference but a note with a count.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from fakturo.cli.verify_contracts import ExpectedSlice, Key, expected_slices, reached_by
from fakturo.cli.verify_periods import Bounds
from fakturo.cli.verify_published import Contracts
from fakturo.cli.verify_rating import WIDE, RatedLine, rated_lines
from fakturo.cli.verify_result import Verification
from fakturo.cli.verify_usage import usage_of_slices

_WAITS = {
    "correction": "waits for the next invoice of its payer",
    "draft": "is on a draft that is still in review",
    "news": "has a contract or statement that holds from the next tick on",
    "credited": "was credited by request, which a correction does not give back again",
    "void": "is settled by a void invoice that was not issued again",
    "revision": "waits for its usage to be rated again",
    "pending": "cannot be billed yet (`fakturo status` says why)",
}
_PENDING = """
SELECT 'correction' AS why, subscription_item, period_start_at FROM invoicing.correction
UNION ALL SELECT 'draft', subscription_item, period_start_at FROM invoicing.draft_item
UNION ALL SELECT 'pending', subscription_item, period_start_at FROM invoicing.pending
UNION ALL SELECT 'revision', subscription_item, period_start_at FROM usage.revision_due
UNION ALL SELECT 'void', subscription_item, item_period_start_at FROM invoicing.invoice_line
  JOIN invoicing.invoice USING (invoice_id) WHERE counts GROUP BY 2, 3 HAVING bool_and(status = 'void')
UNION ALL SELECT 'credited', subscription_item, item_period_start_at FROM invoicing.invoice_line
  WHERE counts AND credited_minor > 0
UNION ALL SELECT 'news', content ->> 'subscription_item', (content #>> '{period,start}')::timestamptz
  FROM invoicing.news WHERE kind IN ('statement', 'running')
UNION ALL SELECT 'news', i.subscription_item, NULL FROM invoicing.news n JOIN invoicing.subscription_item i
  ON n.kind = 'account' AND i.account_id = n.content ->> 'account'
  OR n.kind = 'subscription' AND i.subscription_id = n.content ->> 'subscription_id'
UNION ALL SELECT 'news', item ->> 'subscription_item', NULL FROM invoicing.news,
  jsonb_array_elements(content -> 'items') item WHERE kind = 'subscription'
"""
_REVISED = "SELECT DISTINCT subscription_item, period_start_at FROM usage.final_statement WHERE revision > 1"


@dataclass(frozen=True, slots=True)
class _Billed:
    """What the lines of a slice add up to, and the billing period that it is a part of."""

    line: RatedLine
    period: Bounds


async def verify_invoices(connection: asyncpg.Connection, contracts: Contracts, result: Verification) -> None:
    """Compare what was billed of every slice."""
    reached = await reached_by(connection, contracts)
    slices = expected_slices(contracts, reached)
    expected = rated_lines(slices, await usage_of_slices(connection, slices))
    found = await _found(connection)
    waits = await _waits(connection)
    revised = {(row[0], row[1]) for row in await connection.fetch(_REVISED)}
    known = {item.subscription_item for _, item in contracts.items()}
    noted: Counter[str] = Counter()
    arrears = {item.subscription_item for _, item in contracts.items() if item.billing == "arrears"}
    early = {key for key in _early(found, expected, reached.end_at) if key[0] in arrears}
    gone = {key for key in found if key[0] not in known}
    retired = await _retired(connection, expected)
    for key in sorted((set(expected) | (found.keys() - gone - early)) - retired):
        part, line = expected.get(key, (None, None))
        billed = found.get(key)
        period = part.period if part else billed.period if billed else Bounds(key[1], key[2])
        if _is_same(line, billed):
            exact = part is not None and _is_strict(part, revised)
            _compare(result, key, line, billed.line if billed else None, exact=exact)
        elif why := _why(waits.get(key[0], {}), period):
            noted[why] += 1
        else:
            _compare(result, key, line, billed.line if billed else None, exact=True)
    for why, count in sorted(noted.items()):
        result.note(count, f"{'slice' if count == 1 else 'slices'} of an item whose period {_WAITS[why]}")
    if retired:
        result.note(len(retired), "slices of which the usage is no longer kept (retention) are not rated again")
    if early:
        result.note(len(early), "lines were billed at a threshold, of periods that are not over")
    if gone:
        result.note(len(gone), "lines of items that left their subscription keep what was billed, not recomputed")


async def _retired(connection: asyncpg.Connection, expected: Mapping[Key, tuple[ExpectedSlice, RatedLine]]) -> set[Key]:
    """Return the metered slices that begin, or whose allowance does, in a month that has retired."""
    before_at = await connection.fetchval("SELECT retained_from_at FROM usage.retention")
    if before_at is None:
        return set()
    metered = {key: part for key, (part, _) in expected.items() if part.quantity is None}
    return {key for key, part in metered.items() if part.counted.start_at < before_at}


def _early(found: Mapping[Key, _Billed], expected: Collection[Key], reached_at: datetime) -> set[Key]:
    """Return what was billed before its period was over: it is what was used by then, and nothing keeps that."""
    return {key for key, one in found.items() if key not in expected and one.period.end_at > reached_at}


def _is_same(expected: RatedLine | None, billed: _Billed | None) -> bool:
    if expected is None:
        return billed is None or billed.line.amount_minor == 0  # reversed
    return billed is not None and billed.line.amount_minor == expected.amount_minor


def _is_strict(part: ExpectedSlice, revised: set[tuple[str, datetime]]) -> bool:
    """Return whether quantity and exact amount have to be the same too.

    A statement that was revised, or a contract that changed, without changing the rounded amount has no line.
    """
    if part.item.meter is None:
        return part.price.licensed
    return (part.item.subscription_item, part.period.start_at) not in revised


def _compare(
    result: Verification, key: Key, expected: RatedLine | None, found: RatedLine | None, *, exact: bool
) -> None:
    name = f"line of {key[0]} from {key[1]:%Y-%m-%d %H:%MZ}"
    if expected is None or found is None:
        amounts = [one.amount_minor if one else None for one in (expected, found)]
        if amounts != [None, 0]:
            result.compare("invoices", name, *amounts)
        return
    if exact:
        result.compare("invoices", f"{name}: quantity", _kept(expected.quantity), _kept(found.quantity))
        result.compare("invoices", f"{name}: exact amount", expected.exact, found.exact)
    result.compare("invoices", f"{name}: amount", expected.amount_minor, found.amount_minor)


def _kept(quantity: Decimal) -> Decimal:
    return WIDE.quantize(quantity, Decimal(1).scaleb(-24)).normalize(WIDE)


async def _found(connection: asyncpg.Connection) -> dict[Key, _Billed]:
    """Return what the lines of each slice add up to: a correction completes what was billed before."""
    found: dict[Key, _Billed] = {}
    for row in await connection.fetch(
        "SELECT subscription_item, period_start_at, period_end_at, coalesce(price_hash, '') AS price_hash, "
        "item_period_start_at, item_period_end_at, quantity, amount_exact, rated_minor FROM invoicing.invoice_line "
        "WHERE counts AND kind <> 'true_up' ORDER BY subscription_item, period_start_at, sequence"
    ):
        key = (row["subscription_item"], row["period_start_at"], row["period_end_at"], row["price_hash"])
        before = found[key].line if key in found else RatedLine(Decimal(0), Decimal(0), 0)
        line = RatedLine(
            WIDE.add(before.quantity, row["quantity"]),
            WIDE.add(before.exact, row["amount_exact"]),
            before.amount_minor + row["rated_minor"],
        )
        found[key] = _Billed(line, Bounds(row["item_period_start_at"], row["item_period_end_at"]))
    return found


async def _waits(connection: asyncpg.Connection) -> Mapping[str, Mapping[datetime | None, str]]:
    """Return, by item and the start of its period (None: all of them), why something of it is not billed yet."""
    rows: Iterable[asyncpg.Record] = await connection.fetch(_PENDING)
    waits: dict[str, dict[datetime | None, str]] = {}
    for row in rows:
        waits.setdefault(row["subscription_item"], {})[row["period_start_at"]] = row["why"]
    return waits


def _why(waits: Mapping[datetime | None, str], period: Bounds) -> str | None:
    """Return what a period waits for; the book knows it by the start that it was billed from, which may be later."""
    starts = sorted(at for at in waits if at is not None and period.start_at <= at < period.end_at)
    return waits[starts[0]] if starts else waits.get(None)
