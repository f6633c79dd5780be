"""WHERE, compiled once into a closure that says of a row whether it fits.

Place     tree.Condition + names -> [this] -> execution, aggregates (HAVING).
Rules     Texts are compared without regard to capitals (unless the field is case-sensitive), ids in their
          18-character form; `= ''` is `= null`; `!=` and NOT IN hold for null too, `<`, `>` and LIKE never do. Dates
          and instants are kept as texts of one form, which sort as time does. A literal of the wrong type is an
          error, not a miss.
Source    SOQL and SOSL Reference, "Comparison Operators", "Querying Multi-Select Picklists", "Comparing null Values".
"""

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.comparands import Comparand, comparand, folded
from fakturo.cli.sandbox.soql.errors import SoqlError, malformed
from fakturo.cli.sandbox.soql.functions import Value
from fakturo.cli.sandbox.soql.lexer import like_pattern
from fakturo.cli.sandbox.soql.names import Read
from fakturo.cli.sandbox.soql.tree import Comparison, Condition, Expression, Junction, Literal, Negation, Select

Predicate = Callable[[Row], bool]
Evaluate = Callable[[Expression], Value]
SemiJoin = Callable[[Select], frozenset[str]]
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LONGEST_FILTERABLE = 255


class Predicates:
    """Compiles conditions: `evaluate` gives the value of a field or function, `semi_join` the ids of a subquery."""

    def __init__(self, evaluate: Evaluate, semi_join: SemiJoin, now: datetime) -> None:
        self._evaluate = evaluate
        self._semi_join = semi_join
        self._now = now

    def compile(self, condition: Condition) -> Predicate:
        """The closure of a condition. Raises SoqlError for what doesn't fit the org's fields."""
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if isinstance(condition, Negation):
            inner = self.compile(condition.part)
            return lambda row: not inner(row)
        return _joined(condition, [self.compile(part) for part in condition.parts])

    def _comparison(self, one: Comparison) -> Predicate:
        """The closure of `left operator value`."""
        value = self._evaluate(one.left)
        _check_filterable(value, one)
        if isinstance(one.value, Select):
            return self._joined_query(value, one, one.value)
        if isinstance(one.value, tuple):
            return self._members(value, one, one.value)
        if one.operator == "LIKE":
            return _like(value, one, one.value)
        found = comparand(one.value, value, self._now)
        if one.operator in ("=", "!="):
            return _equal(value, found, positive=one.operator == "=")
        return _ordered(value, found, one)

    def _joined_query(self, value: Value, one: Comparison, query: Select) -> Predicate:
        """`IN (SELECT ...)` and its negation, over ids."""
        if one.operator not in ("IN", "NOT IN") or value.type not in ("id", "reference"):
            raise malformed("A semi-join compares an id or a reference by IN or NOT IN", one.at)
        ids = self._semi_join(query)
        read = value.read
        if one.operator == "IN":
            return lambda row: read(row) in ids
        return lambda row: read(row) not in ids

    def _members(self, value: Value, one: Comparison, literals: tuple[Literal, ...]) -> Predicate:
        """IN, NOT IN, INCLUDES and EXCLUDES over a list."""
        if one.operator in ("INCLUDES", "EXCLUDES"):
            return _picked(value, one, literals)
        found = [comparand(literal, value, self._now) for literal in literals]
        if any(isinstance(member.value, tuple) for member in found):
            parts = [_equal(value, member, positive=True) for member in found]
            within: Predicate = lambda row: any(part(row) for part in parts)  # noqa: E731
        else:
            members = frozenset(member.value for member in found)
            read = folded(value)
            within = lambda row: read(row) in members  # noqa: E731
        return within if one.operator == "IN" else lambda row: not within(row)


def _joined(junction: Junction, parts: list[Predicate]) -> Predicate:
    """AND or OR; two parts, the common case, without a loop."""
    every = junction.operator == "AND"
    if len(parts) == 2:
        first, second = parts
        if every:
            return lambda row: first(row) and second(row)
        return lambda row: first(row) or second(row)
    if every:
        return lambda row: all(part(row) for part in parts)
    return lambda row: any(part(row) for part in parts)


def _check_filterable(value: Value, one: Comparison) -> None:
    """Salesforce filters neither compounds nor long texts."""
    field = value.field
    if field.is_compound or (field.type == "textarea" and field.length > LONGEST_FILTERABLE):
        sentence = f"field '{field.name}' can not be filtered in a query call"
        raise SoqlError("INVALID_FIELD", sentence, one.at)


def _equal(value: Value, found: Comparand, *, positive: bool) -> Predicate:
    """`=` and `!=`: of a period, whether the moment lies within it."""
    wanted = found.value
    read: Read = folded(value)
    if isinstance(wanted, tuple):
        start, end = wanted

        def within(row: Row) -> bool:
            moment = read(row)
            return moment is not None and start <= moment < end

        return within if positive else lambda row: not within(row)
    if positive:
        return lambda row: bool(read(row) == wanted)
    return lambda row: bool(read(row) != wanted)


def _ordered(value: Value, found: Comparand, one: Comparison) -> Predicate:
    """`<`, `<=`, `>`, `>=`: a period begins with its first moment and ends before the next one's."""
    if value.type == "boolean" or found.value is None:
        sentence = f"invalid operator on {value.type} field '{value.column.field.name}'"
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", sentence, one.at)
    sign, wanted = one.operator, found.value
    if isinstance(wanted, tuple):
        start, end = wanted
        sign, wanted = {"<": ("<", start), "<=": ("<", end), ">": (">=", end), ">=": (">=", start)}[sign]
    compare, read = _ORDERS[sign], folded(value)

    def ordered(row: Row) -> bool:
        found = read(row)
        return found is not None and compare(found, wanted)

    return ordered


def _like(value: Value, one: Comparison, literal: Literal | tuple[Literal, ...] | Select) -> Predicate:
    """LIKE, over texts."""
    if not isinstance(literal, Literal) or literal.token is None:
        raise malformed("LIKE takes a text in single quotes", one.at)
    if value.type in ("id", "reference", "boolean", "date", "datetime", "int", "double", "currency", "percent"):
        sentence = f"invalid operator on {value.type} field '{value.column.field.name}'"
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", sentence, one.at)
    fits, read = like_pattern(literal.token).fullmatch, value.read

    def like(row: Row) -> bool:
        text = read(row)
        return text is not None and fits(text) is not None

    return like


def _picked(value: Value, one: Comparison, literals: tuple[Literal, ...]) -> Predicate:
    """INCLUDES ('A;B', 'C'): A and B are picked, or C is. EXCLUDES: none of these holds."""
    if value.type != "multipicklist":
        sentence = f"{one.operator} works on multi-select picklists, '{value.column.field.name}' is a {value.type}"
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", sentence, one.at)
    wanted = [frozenset(str(literal.value or "").casefold().split(";")) for literal in literals]
    read = value.read

    def included(row: Row) -> bool:
        picked = frozenset((read(row) or "").casefold().split(";"))
        return any(group <= picked for group in wanted)

    return included if one.operator == "INCLUDES" else lambda row: not included(row)
