"""ORDER BY: rows put in order, key by key.

Place     tree.Ordering -> [this] -> execution, aggregates.
Rules     Nulls come first in either direction unless NULLS LAST is said; texts sort without regard to capitals, a
          picklist in the order of its values; equal rows keep the order that they came in (of their ids).
Source    SOQL and SOSL Reference, "ORDER BY".
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fakturo.cli.sandbox.metadata import TEXTS
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import malformed
from fakturo.cli.sandbox.soql.functions import Value
from fakturo.cli.sandbox.soql.predicates import LONGEST_FILTERABLE
from fakturo.cli.sandbox.soql.tree import Expression, Ordering

RowT = TypeVar("RowT", bound=Row)
Evaluate = Callable[[Expression], Value]


def ordered(rows: list[RowT], keys: Sequence[Ordering], evaluate: Evaluate) -> list[RowT]:
    """The rows in the order of the keys. Raises MALFORMED_QUERY for a field that can't be sorted by."""
    for key in reversed(keys):
        value = evaluate(key.expression)
        check_sortable(value, key)
        read = value.read
        empty = [row for row in rows if read(row) is None]
        filled = [row for row in rows if read(row) is not None] if empty else list(rows)
        sort_key = _sort_key(value)
        filled.sort(key=lambda row, read=read, sort_key=sort_key: sort_key(read(row)), reverse=key.descending)  # type: ignore[misc]
        rows = filled + empty if key.nulls_last else empty + filled
    return rows


def check_sortable(value: Value, key: Ordering) -> None:
    """Raise MALFORMED_QUERY for a field that Salesforce doesn't sort by: compounds, long texts, multi-select lists."""
    field = value.field
    if field.is_compound or field.type == "multipicklist" or _is_long(field.type, field.length):
        raise malformed(f"field '{field.name}' can not be sorted in a query call", key.expression.at)


def _is_long(kind: str, length: int) -> bool:
    return kind == "textarea" and length > LONGEST_FILTERABLE


def _sort_key(value: Value) -> Callable[[Any], Any]:
    """What a value is sorted by."""
    if value.type == "picklist" and value.field.picklist:
        places = {text: place for place, text in enumerate(value.field.picklist)}
        return lambda text: (places.get(text, len(places)), text.casefold())
    if value.type in TEXTS:
        return str.casefold
    return lambda found: found
