"""The account's month from its events beside the book: every quarter-hour total, every slice of every statement.

Place     wanted, again -> [this] -> command.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from fakturo.cli.rerate.again import Totals, statements_again, totals_again
from fakturo.cli.rerate.wanted import Account, Stated, stated_periods, waiting
from fakturo.engine.money import plain_text
from fakturo.engine.periods import Period
from fakturo.schemas.events.usage import UsageRated

_BOOK = """
SELECT meter_id, extract(epoch FROM bucket_start_at)::bigint / 900 AS quarter, dimensions, event_count, sum_value,
       max_value, min_value, last_value
  FROM usage.rollup
 WHERE account_id = $1 AND meter_id = ANY($2::int[]) AND bucket_start_at >= $3 AND bucket_start_at < $4
"""
_FIGURES = ("event_count", "sum_value", "max_value", "min_value", "last_value")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that the events give otherwise than the book has it."""

    what: str
    name: str
    start: datetime
    figure: str
    book: str | None
    again: str | None


@dataclass(slots=True)
class Comparison:
    """What was compared, what differs, and how many periods wait to be rated again anyway."""

    checked: int = 0
    waiting: int = 0
    differences: list[Difference] = field(default_factory=list)


async def compare(connection: asyncpg.Connection, account: Account, within: Period) -> Comparison:
    """Return how the book's totals and statements compare with those of the events.

    Raises:
        PriceError: a period cannot be rated.
    """
    result = Comparison(waiting=await waiting(connection, account, within))
    await _compare_totals(connection, account, within, result)
    stated = await stated_periods(connection, account, within)
    for one, statement in zip(stated, await statements_again(connection, account, stated), strict=True):
        _compare_statement(one, statement, result)
    return result


async def _compare_totals(connection: asyncpg.Connection, account: Account, within: Period, result: Comparison) -> None:
    again: Totals = await totals_again(connection, account, within)
    codes = {one.meter_id: one.meter.code for one in account.meters}
    rows = await connection.fetch(_BOOK, account.account_id, sorted(codes), within.start_at, within.end_at)
    book = {(account.account_id, row["meter_id"], row["quarter"], row["dimensions"]): row for row in rows}
    for key in sorted(book.keys() | again.keys()):
        for figure in _FIGURES:
            found = book[key][figure] if key in book else None
            expected = getattr(again[key], figure) if key in again else None
            result.checked += 1
            if found != expected:
                name = f"{codes[key[1]]} {key[3]}" if key[3] != "{}" else codes[key[1]]
                at = datetime.fromtimestamp(key[2] * 900, UTC)
                result.differences.append(
                    Difference(
                        what="total", name=name, start=at, figure=figure, book=_text(found), again=_text(expected)
                    )
                )


def _compare_statement(stated: Stated, again: UsageRated, result: Comparison) -> None:
    book = {} if stated.statement is None else dict(_figures(stated.statement))
    fresh = dict(_figures(again))
    for key in sorted(book.keys() | fresh.keys()):
        result.checked += 1
        if book.get(key) != fresh.get(key):
            result.differences.append(
                Difference(
                    what="statement",
                    name=stated.item.sold.item.subscription_item,
                    start=key[0],
                    figure=key[2],
                    book=_text(book.get(key)),
                    again=_text(fresh.get(key)),
                )
            )


def _figures(statement: UsageRated) -> Iterator[tuple[tuple[datetime, str, str], Decimal | int]]:
    """Yield what a statement says of each slice: by its start, the price and the figure."""
    for one in statement.slices:
        key = one.period.start, one.price_hash
        yield (*key, "quantity"), one.quantity
        yield (*key, "amount_exact"), one.amount_exact
        yield (*key, "amount_minor"), one.amount_minor


def rows_of(differences: Iterable[Difference]) -> list[dict[str, Any]]:
    """Return the differences as rows of a table."""
    return [msgspec.to_builtins(one, builtin_types=(datetime,)) for one in differences]


def _text(value: Decimal | int | None) -> str | None:
    return None if value is None else plain_text(Decimal(value))
