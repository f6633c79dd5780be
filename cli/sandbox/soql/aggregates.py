"""GROUP BY and the aggregate functions: rows become groups, a group one record of type AggregateResult.

Place     execution -> [this] -> its answer.
Rules     A selected field must be a key of the grouping; an aggregate without an alias is `expr0`, `expr1`, ... in
          the order of the query. COUNT(field), MIN, MAX, SUM and AVG pass over nulls; of no values MIN, MAX, SUM and
          AVG are null. AVG has 15 significant digits, as a double has. Without GROUP BY there is one group, also of
          no rows.
Source    SOQL and SOSL Reference, "Aggregate Functions", "GROUP BY", "HAVING", "Using Aliases with GROUP BY".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from fakturo.cli.sandbox.metadata import NUMBERS, Field
from fakturo.cli.sandbox.reading import shown
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import malformed
from fakturo.cli.sandbox.soql.functions import AGGREGATES, Value, value_of
from fakturo.cli.sandbox.soql.names import Column, Names
from fakturo.cli.sandbox.soql.ordering import ordered
from fakturo.cli.sandbox.soql.predicates import Predicates
from fakturo.cli.sandbox.soql.tree import Call, Expression, FieldsOf, Item, Path, Select

_DOUBLE = Context(prec=15, rounding=ROUND_HALF_UP)
_EXACT = Context(prec=60)
_COUNT = Field(name="expr", type="int")
_ANY = Field(name="expr", type="double", scale=15)
_SUMMABLE = NUMBERS | {"int"}


def is_aggregate(query: Select) -> bool:
    """Whether the answer is groups; COUNT() alone isn't, it counts rows."""
    calls = any(isinstance(item.expression, Call) and _is_aggregate(item.expression) for item in query.items)
    return bool(query.group_by) or (calls and not is_count(query))


def is_count(query: Select) -> bool:
    """Whether the query is SELECT COUNT() ... and asks for nothing else."""
    first = query.items[0].expression
    return len(query.items) == 1 and first == Call("COUNT", None, getattr(first, "at", 0)) and not query.group_by


def _is_aggregate(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.function in AGGREGATES


@dataclass(frozen=True, slots=True)
class _Part:
    """One value of a group under its name in the answer; `key` is what the query says it is."""

    name: str
    key: str
    field: Field
    of_group: Callable[[Sequence[Row]], Any]


class Grouping:
    """The grouping that a query asks for. Raises SoqlError, when made, for what doesn't fit together."""

    def __init__(self, query: Select, names: Names, now: datetime) -> None:
        self._query = query
        self._names = names
        self._now = now
        self._keys = {self._identity(key): value_of(key, names) for key in query.group_by}
        self._selected: list[_Part] = []
        for item in query.items:
            self._selected.append(self._part(item))
        self._parts: dict[str, _Part] = {part.key: part for part in self._selected}
        predicates = Predicates(self._value, _no_semi_join, now)
        self._fits = predicates.compile(query.having) if query.having else None
        for key in query.order_by:
            self._value(key.expression)

    def records(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """The groups as records, after HAVING, ORDER BY, OFFSET and LIMIT."""
        parts = self._parts.values()
        groups = [Row((part.key, part.of_group(group)) for part in parts) for group in self._groups(rows)]
        if self._fits is not None:
            groups = [group for group in groups if self._fits(group)]
        groups = ordered(groups, self._query.order_by, self._value)
        end = None if self._query.limit is None else self._query.offset + self._query.limit
        return [self._record(group) for group in groups[self._query.offset : end]]

    def _record(self, group: Row) -> dict[str, Any]:
        """A group as JSON has it."""
        values = {part.name: shown(group[part.key]) for part in self._selected}
        return {"attributes": {"type": "AggregateResult"}, **values}

    def _groups(self, rows: Iterable[Row]) -> list[list[Row]]:
        if not self._keys:
            return [list(rows)]
        reads = [value.read for value in self._keys.values()]
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            found.setdefault(tuple(read(row) for read in reads), []).append(row)
        return list(found.values())

    def _part(self, item: Item) -> _Part:
        """What a selected expression gives for a group."""
        expression = item.expression
        if isinstance(expression, Select | FieldsOf):
            raise malformed("A grouped query selects fields of the grouping and aggregate functions", expression.at)
        unnamed = sum(1 for part in self._selected if part.name.startswith("expr"))
        if isinstance(expression, Path):
            name = item.alias or self._names.column(expression).names[-1]
        else:
            name = item.alias or f"expr{unnamed}"
        if any(part.name == name for part in self._selected):
            raise malformed(f"duplicate alias: {name}", expression.at)
        return self._of(expression, name)

    def _of(self, expression: Expression, name: str) -> _Part:
        identity = self._identity(expression)
        if isinstance(expression, Call) and _is_aggregate(expression):
            field, of_group = _aggregate(expression, self._names)
            return _Part(name, identity, field, of_group)
        if identity not in self._keys:
            raise malformed(f"Field must be grouped or aggregated: {identity}", expression.at)
        value = self._keys[identity]
        read = value.read
        return _Part(name, identity, value.field, lambda group: read(group[0]))

    def _value(self, expression: Expression) -> Value:
        """A value of a group for HAVING and ORDER BY: an alias, a key or an aggregate, selected or not."""
        part = self._named(expression)
        if part is None:
            identity = self._identity(expression)
            part = self._parts.get(identity) or self._parts.setdefault(identity, self._of(expression, ""))
        key = part.key
        return Value(lambda group: group[key], part.field, self._column(expression, part.field))

    def _named(self, expression: Expression) -> _Part | None:
        if not isinstance(expression, Path) or len(expression.names) > 1:
            return None
        alias = expression.names[0].lower()
        return next((part for part in self._selected if part.name.lower() == alias), None)

    def _column(self, expression: Expression, field: Field) -> Column:
        return Column((str(getattr(expression, "function", expression)),), self._names.entity, field, lambda row: None)

    def _identity(self, expression: Expression) -> str:
        """What makes two expressions the same, whatever their place and their capitals."""
        if isinstance(expression, Path):
            return ".".join(self._names.column(expression).names)
        return f"{expression.function}({self._identity(expression.argument) if expression.argument else ''})"


def _no_semi_join(query: Select) -> frozenset[str]:
    raise malformed("HAVING compares with values, not with queries", query.at)


def _aggregate(call: Call, names: Names) -> tuple[Field, Callable[[Sequence[Row]], Any]]:
    """An aggregate function: the field that describes its values, and how it is computed of a group."""
    if call.argument is None:
        if call.function != "COUNT":
            raise malformed(f"{call.function} takes a field", call.at)
        return _COUNT, len
    value = value_of(call.argument, names)
    read = value.read
    _check_aggregatable(call, value)

    def values(group: Sequence[Row]) -> list[Any]:
        return [found for row in group if (found := read(row)) is not None]

    match call.function:
        case "COUNT":
            return _COUNT, lambda group: len(values(group))
        case "COUNT_DISTINCT":
            return _COUNT, lambda group: len(set(values(group)))
        case "MIN":
            return value.field, lambda group: min(values(group), default=None)
        case "MAX":
            return value.field, lambda group: max(values(group), default=None)
        case "SUM":
            return value.field, lambda group: _sum(values(group))
        case _:
            return _ANY, lambda group: _average(values(group))


def _check_aggregatable(call: Call, value: Value) -> None:
    refused = call.function in ("SUM", "AVG") and value.type not in _SUMMABLE
    refused = refused or (call.function in ("MIN", "MAX") and value.type == "boolean")
    if refused or value.field.is_compound:
        sentence = f"field {value.column.field.name} does not support aggregate operator {call.function}"
        raise malformed(sentence, call.at)


def _sum(values: list[Any]) -> Decimal | None:
    total = Decimal(0)
    for value in values:
        total = _EXACT.add(total, Decimal(value))
    return total if values else None


def _average(values: list[Any]) -> Decimal | None:
    total = _sum(values)
    return None if total is None else _DOUBLE.divide(total, Decimal(len(values)))
