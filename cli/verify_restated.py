"""Recomputes what later documents moved between days, and every value of a closed month that they restate.

Place     documents and their lines -> [this] -> compared with kpi.move; that and kpi.value_history -> compared with
          kpi.restated. None of engine/kpi is used.
Rule      a document that corrects another, or a line that does, counts on the day of what it corrects; a void takes its
          invoice off its own day. In a window: what belongs there less what was reported there.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import asyncpg

from fakturo.cli.verify_result import Verification, minor_digits
from fakturo.cli.verify_sums import ratio, rounded

WINDOW_DAYS = {"30d": 30, "90d": 90, "365d": 365}
RESTATED = ("revenue", "average_invoice", "lifetime_value", "open_receivables", "dso")

_DOCUMENTS = """
WITH parts AS (
    SELECT d.invoice_id, d.status, d.account, d.currency, d.issue_on, c.issue_on AS corrected_on,
           (d.kind = 'invoice')::int AS invoices, d.subtotal_minor, d.total_minor, d.content ->> 'corrects' AS corrects,
           sum(l.amount_minor) AS net_minor, sum(l.amount_minor + l.tax_minor) AS gross_minor
      FROM invoicing.invoice d JOIN invoicing.invoice_line l USING (invoice_id)
      JOIN invoicing.invoice c ON c.invoice_id = l.corrects_invoice
     GROUP BY d.invoice_id, c.invoice_id
)
SELECT account, currency, corrected_on, issue_on, CASE WHEN corrects IS NULL THEN net_minor ELSE subtotal_minor END,
       CASE WHEN corrects IS NULL THEN gross_minor ELSE total_minor END,
       CASE WHEN corrects IS NULL THEN 0 ELSE invoices END
  FROM parts WHERE status <> 'void'
UNION ALL
SELECT account, currency, issue_on, issue_on,
       coalesce((SELECT sum(net_minor) FROM parts p WHERE p.invoice_id = d.invoice_id), 0) - subtotal_minor,
       coalesce((SELECT sum(gross_minor) FROM parts p WHERE p.invoice_id = d.invoice_id), 0) - total_minor, -1
  FROM invoicing.invoice d WHERE status = 'void' AND content ->> 'corrects' IS NULL
"""
_MOVED = """
SELECT account, currency, corrected_on, effective_on, net_minor, gross_minor, invoices
  FROM kpi.move WHERE account <> 'portfolio'
UNION ALL
SELECT f.account, f.currency, i.issued_on, f.effective_on, moved_net_minor, moved_gross_minor, moved_invoices
  FROM kpi.fact f JOIN kpi.invoice i ON i.invoice_id = f.corrects_invoice
"""

Key = tuple[str, str]
"""Account and currency."""


@dataclass(frozen=True, slots=True)
class _Move:
    """What belongs to `corrected_on`, and was reported on `effective_on` since `booked_on`."""

    corrected_on: date
    effective_on: date
    booked_on: date
    net_minor: int
    gross_minor: int
    invoices: int


_Reported = dict[tuple[str, str, str, str], list[tuple[date, Decimal | None, Decimal, Decimal | None]]]
"""(account, currency, kpi, window) -> what was reported, oldest first: since when, value, numerator, denominator."""


async def verify_restated(connection: asyncpg.Connection, as_of: date, result: Verification) -> None:
    """Compare what was moved with the documents, and restated values with both."""
    await _verify_moves(connection, result)
    moves: dict[Key, list[_Move]] = defaultdict(list)
    for row in await connection.fetch("SELECT * FROM kpi.move"):
        fields = [row[name] for name in _Move.__dataclass_fields__]
        moves[row["account"], row["currency"]].append(_Move(*fields))
    accounts = sorted({account for account, _ in moves})
    reported: _Reported = defaultdict(list)
    for row in await connection.fetch(
        'SELECT account, currency, kpi, "window", as_of, value, numerator, denominator FROM kpi.value_history '
        "WHERE account = ANY($1::text[]) AND kpi = ANY($2::text[]) ORDER BY as_of",
        accounts,
        list(RESTATED),
    ):
        reported[tuple(row.values())[:4]].append(tuple(row.values())[4:])
    said = {
        (*(row[name] for name in ("account", "currency", "kpi", "window")), row["as_of"]): row["value"]
        for row in await connection.fetch(
            'SELECT DISTINCT ON (account, currency, kpi, "window", as_of) * FROM kpi.restated '
            'ORDER BY account, currency, kpi, "window", as_of, known_on DESC'
        )
    }
    for key, history in sorted(reported.items()):
        own = moves.get(key[:2], [])
        for month_end in _month_ends(own, as_of):
            known = [one for one in history if one[0] <= month_end]
            if known:
                expected = _restated(key, known[-1], own, month_end)
                found = said.pop((*key, month_end), known[-1][1])
                result.compare("kpi", f"restated {' '.join(key)} {month_end}", _plain(expected), _plain(found))
    for name, value in sorted(said.items()):
        result.compare("kpi", f"restated {' '.join(map(str, name))}", None, _plain(value))


async def _verify_moves(connection: asyncpg.Connection, result: Verification) -> None:
    expected = _summed(await connection.fetch(_DOCUMENTS))
    found = _summed(await connection.fetch(_MOVED))
    for key in sorted(expected.keys() | found.keys()):
        account, currency, corrected_on, effective_on = key
        name = f"moved from {effective_on} to {corrected_on}, {account} {currency}"
        result.compare("kpi", name, expected.get(key, (0, 0, 0)), found.get(key, (0, 0, 0)))


def _summed(rows: Sequence[asyncpg.Record]) -> dict[tuple[str, str, date, date], tuple[int, int, int]]:
    sums: dict[tuple[str, str, date, date], tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for row in rows:
        account, currency, corrected_on, effective_on, *amounts = row.values()
        key = account, currency, corrected_on, effective_on
        net, gross, invoices = (one + int(other) for one, other in zip(sums[key], amounts, strict=True))
        sums[key] = net, gross, invoices
    return {key: amounts for key, amounts in sums.items() if any(amounts)}


def _month_ends(moves: Sequence[_Move], as_of: date) -> Iterator[date]:
    """Yield the closed months' last days in a window of which a move may show."""
    if not moves:
        return
    day = min(move.corrected_on for move in moves).replace(day=1)
    last = min(as_of, max(move.effective_on for move in moves) + timedelta(days=396))
    while True:
        following = (day + timedelta(days=31)).replace(day=1)
        if following - timedelta(days=1) > last:
            return
        yield following - timedelta(days=1)
        day = following


def _restated(
    key: tuple[str, str, str, str],
    reported: tuple[date, Decimal | None, Decimal, Decimal | None],
    moves: Sequence[_Move],
    as_of: date,
) -> Decimal | None:
    _, currency, kpi, window = key
    days, digits = WINDOW_DAYS.get(window), minor_digits(currency)
    after = date.min if days is None else as_of - timedelta(days=days)
    belong = [one for one in moves if after < one.corrected_on <= as_of]
    shown = [one for one in moves if after < one.effective_on <= as_of and one.booked_on <= as_of]
    _, _, numerator, denominator = reported
    above, below, unit = Fraction(numerator), Fraction(denominator or 0), 10**digits
    owed = Fraction(sum(one.gross_minor for one in moves if one.corrected_on <= as_of < one.booked_on), unit)
    if kpi == "open_receivables":
        return rounded(above + owed, digits)
    if kpi == "dso":
        gross = Fraction(_sum(belong, "gross_minor") - _sum(shown, "gross_minor"), unit)
        return ratio(above + owed * (days or 0), below + gross, 4)
    net = Fraction(_sum(belong, "net_minor") - _sum(shown, "net_minor"), unit)
    if kpi == "average_invoice":
        return ratio(above + net, below + _sum(belong, "invoices") - _sum(shown, "invoices"), digits)
    return rounded(above + net, digits)


def _sum(moves: Sequence[_Move], name: str) -> int:
    return sum(getattr(one, name) for one in moves)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}" if value else "0"
