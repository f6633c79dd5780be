"""Recomputes every invoice line and total: raw events totalled by SQL, totals priced with `engine/prices`.

Place     usage.event + expected slices (verify_contracts) -> [this] -> compared with invoicing.invoice and its lines.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal

import asyncpg
import msgspec

from fakturo.cli.verify_contracts import ExpectedSlice, expected_slices
from fakturo.cli.verify_result import Verification, minor_digits
from fakturo.engine.prices import Span, Usage, grouped_usage, parse_price, usage_of
from fakturo.schemas.events.contracts import MeterDefinition
from fakturo.schemas.events.invoices import Invoice

_VALUES = {
    "count": "count(*)::numeric",
    "sum": "sum((e.data #>> $6::text[])::numeric)",
    "max": "max((e.data #>> $6::text[])::numeric)",
    "min": "min((e.data #>> $6::text[])::numeric)",
    "last": '(array_agg((e.data #>> $6::text[])::numeric ORDER BY e.at DESC, e.partition DESC, e."offset" DESC))[1]',
}
Key = tuple[str, datetime]
_PLAIN = ("charge", "one_time")
_WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
"""24 digits before the point and 24 after it."""


@dataclass(frozen=True, slots=True)
class _Line:
    """What a line should be."""

    quantity: Decimal
    exact: Decimal
    amount_minor: int


async def verify_invoices(connection: asyncpg.Connection, result: Verification) -> None:
    """Compare every line, subtotal, tax and total."""
    until_at = await connection.fetchval("SELECT max(period_end_at) FROM invoicing.invoice")
    slices = await expected_slices(connection, until_at)
    usage = await _usage(connection, slices)
    expected = _lines(slices, usage)
    rows = await connection.fetch("SELECT * FROM invoicing.invoice_line ORDER BY invoice_id, line_no")
    found = _added_up(rows)
    for key in sorted(set(expected) | set(found)):
        _compare_line(result, key, expected.get(key), found.get(key))
    await _verify_totals(connection, result, rows, expected)


def _added_up(rows: Iterable[asyncpg.Record]) -> dict[Key, _Line]:
    """Return what the lines of each slice add up to: a correction completes what was billed before."""
    found: dict[Key, _Line] = {}
    for row in rows:
        if not row["counts"]:
            continue
        key = (row["subscription_item"], row["period_start_at"])
        before = found.get(key, _Line(Decimal(0), Decimal(0), 0))
        found[key] = _Line(
            _WIDE.add(before.quantity, row["quantity"]),
            _WIDE.add(before.exact, row["amount_exact"]),
            before.amount_minor + row["rated_minor"],
        )
    return found


def _compare_line(result: Verification, key: Key, expected: _Line | None, found: _Line | None) -> None:
    name = f"line of {key[0]} from {key[1]:%Y-%m-%d %H:%MZ}"
    if expected is None or found is None:
        result.compare("invoices", name, expected and expected.amount_minor, found and found.amount_minor)
        return
    result.compare("invoices", f"{name}: quantity", expected.quantity, found.quantity)
    result.compare("invoices", f"{name}: exact amount", expected.exact, found.exact)
    result.compare("invoices", f"{name}: amount", expected.amount_minor, found.amount_minor)


async def _verify_totals(
    connection: asyncpg.Connection, result: Verification, rows: Sequence[asyncpg.Record], expected: dict[Key, _Line]
) -> None:
    """Compare the sums of each document; the tax where nothing but its own lines makes it."""
    by_invoice: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        by_invoice[row["invoice_id"]].append(row)
    for invoice in await connection.fetch("SELECT *, content::text AS document FROM invoicing.invoice ORDER BY 1"):
        lines, document = by_invoice[invoice["invoice_id"]], msgspec.json.decode(invoice["document"], type=Invoice)
        subtotal = sum(_line_minor(row, expected) for row in lines) + sum(
            one.amount_minor for one in document.discounts
        )
        is_plain = not document.discounts and all(row["kind"] in _PLAIN and not row["corrects"] for row in lines)
        tax = _group_taxes(lines, expected) if is_plain else sum(one.tax_minor for one in document.taxes)
        for figure, value in (("subtotal", subtotal), ("tax", tax), ("total", subtotal + tax)):
            name = f"{figure} of {invoice['invoice_id']} ({invoice['account']})"
            result.compare("invoices", name, value, invoice[f"{figure}_minor"])


def _line_minor(row: asyncpg.Record, expected: dict[Key, _Line]) -> int:
    """Return what a line should be: of one that corrects, or is billed again, only the sum was compared."""
    line = expected.get((row["subscription_item"], row["period_start_at"]))
    is_whole = row["kind"] in _PLAIN and row["sequence"] == 1 and row["counts"] and not row["prices_include_tax"]
    found: int = row["amount_minor"]
    return line.amount_minor if line and is_whole else found


def _group_taxes(lines: Sequence[asyncpg.Record], expected: dict[Key, _Line]) -> int:
    groups: dict[tuple[str, Decimal, str | None], int] = defaultdict(int)
    for row in lines:
        if row["prices_include_tax"]:
            continue
        groups[row["tax_category"], row["tax_rate_percent"], row["tax_country"]] += _line_minor(row, expected)
    on_top = sum(_tax(amount, rate) for (_, rate, _), amount in groups.items())
    inside: int = sum(row["rated_minor"] - row["amount_minor"] for row in lines if row["prices_include_tax"])
    return on_top + inside


def _tax(amount_minor: int, rate_percent: Decimal) -> int:
    return int(
        _WIDE.quantize(_WIDE.divide(_WIDE.multiply(Decimal(amount_minor), rate_percent), Decimal(100)), Decimal(1))
    )


def _lines(slices: Iterable[ExpectedSlice], usage: dict[Key, Usage]) -> dict[Key, _Line]:
    lines: dict[Key, _Line] = {}
    earlier: dict[tuple[str, object], Decimal] = defaultdict(Decimal)
    for part in slices:
        price = parse_price(part.version.price, part.currency).overridden(
            unit_amount=part.terms.own_unit_amount, discount_percent=part.terms.discount_percent
        )
        total = usage[part.key] if part.item.meter else usage_of(part.terms.quantity)
        month = part.item.subscription_item, part.month_on
        span = _span(part)
        charge = price.charge(total, span=span, final=part.final, earlier=earlier[month])
        exact = _WIDE.quantize(charge.amount, Decimal(1).scaleb(-24))
        earlier[month] = _WIDE.add(earlier[month], _WIDE.subtract(exact, price.minimum_share(span)))
        unit = Decimal(1).scaleb(-minor_digits(part.currency))
        minor = int(_WIDE.divide(_WIDE.quantize(exact, unit), unit))
        lines[part.key] = _Line(total.quantity, exact, minor)
    return lines


def _span(part: ExpectedSlice) -> Span:
    return Span(
        active_days=(part.end_on - part.start_on).days,
        period_days=(part.month_end_on - part.month_on).days,
        active_seconds=int((part.end_at - part.start_at).total_seconds()),
        period_seconds=int((part.month_end_at - part.month_at).total_seconds()),
    )


async def _usage(connection: asyncpg.Connection, slices: Sequence[ExpectedSlice]) -> dict[Key, Usage]:
    """Return the usage of every metered slice, totalled from the raw events that came in time."""
    by_meter: dict[str, tuple[MeterDefinition, list[ExpectedSlice]]] = {}
    for part in slices:
        if part.item.meter is not None:
            by_meter.setdefault(repr(part.item.meter), (part.item.meter, []))[1].append(part)
    usage: dict[Key, Usage] = {}
    for meter, parts in by_meter.values():
        groups: dict[int, dict[tuple[str, ...], Decimal]] = defaultdict(dict)
        for row in await _totals(connection, meter, parts):
            groups[row["number"]][tuple(row["dimensions"])] = row["value"]
        for number, part in enumerate(parts):
            usage[part.key] = grouped_usage(meter.group_by, groups[number])
    return usage


async def _totals(
    connection: asyncpg.Connection, meter: MeterDefinition, parts: Sequence[ExpectedSlice]
) -> list[asyncpg.Record]:
    arguments: list[object] = [
        list(range(len(parts))),
        [part.account for part in parts],
        [part.start_at for part in parts],
        [part.end_at for part in parts],
        meter.event_type,
        _path(meter.value or ""),
    ]
    dimensions = []
    for name in meter.group_by:
        arguments.append(_path(name))
        dimensions.append(f"coalesce(e.data #>> ${len(arguments)}::text[], '')")
    conditions = ["e.type = $5", "NOT e.late", "$6::text[] IS NOT NULL"]
    for name, allowed in meter.filter.items():
        arguments += [_path(name), list(allowed)]
        conditions.append(f"e.data #>> ${len(arguments) - 1}::text[] = ANY(${len(arguments)}::text[])")
    groups = f"ARRAY[{', '.join(dimensions)}]::text[]"
    query = (
        f"SELECT s.number, {groups} AS dimensions, {_VALUES[meter.aggregation]} AS value "  # noqa: S608 - constants
        "FROM unnest($1::int[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS s(number, account, start_at, "
        "end_at) JOIN usage.event e ON e.account_id = s.account AND e.at >= s.start_at AND e.at < s.end_at "
        f"WHERE {' AND '.join(conditions)} GROUP BY s.number, {groups}"
    )
    return list(await connection.fetch(query, *arguments))


def _path(name: str) -> list[str]:
    return name.removeprefix("data.").split(".")
