"""Which rows a query has to look at: all of an object's, or the few that an index finds.

Place     tree + names -> [this] -> execution, which still asks the whole WHERE of every candidate.
Rules     Of the conditions that must all hold: an Id or list of ids; else an external or unique id, or a master's id;
          else a range of SystemModstamp. External ids find live rows only, so a query that wants deleted ones reads
          on. Candidates come in the order of their ids, as a table's rows do.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter

from fakturo.cli.sandbox.rows import Row, Table
from fakturo.cli.sandbox.soql.comparands import comparand
from fakturo.cli.sandbox.soql.functions import Value, value_of
from fakturo.cli.sandbox.soql.names import Names
from fakturo.cli.sandbox.soql.stamps import Stamps
from fakturo.cli.sandbox.soql.tree import Comparison, Condition, Junction, Literal, Path, Select

_FIRST, _LAST = "", "9999"


def candidates(query: Select, names: Names, table: Table, stamps: Stamps, *, deleted: bool, now: datetime) -> list[Row]:
    """The rows to look at; a list of its own, which later writes to the table leave alone."""
    conjuncts = [(one, value) for one in _conjuncts(query.where) if (value := _own(one, names)) is not None]
    for one, value in conjuncts:
        if value.type == "id" and (literals := _literals(one)):
            return _in_order(table, [str(comparand(literal, value, now).value) for literal in literals])
    for one, value in conjuncts:
        index = table.indexes.get(value.field.name)
        if index is not None and (literals := _literals(one)) and (not deleted or index.field.cascade):
            wanted = [comparand(literal, value, now).value for literal in literals]
            if None not in wanted:
                return _in_order(table, [found for one_value in wanted for found in index.ids(one_value)])
    bounds = _stamp_bounds(conjuncts, now)
    if bounds is not None:
        return sorted(stamps.between(names.entity.name, *bounds), key=itemgetter("Id"))
    return list(table.values())


def _in_order(table: Table, ids: list[str]) -> list[Row]:
    """The rows of these ids that exist, each once, by id."""
    return [table[one] for one in sorted(set(ids)) if one in table]


def _conjuncts(where: Condition | None) -> Iterator[Comparison]:
    """The comparisons that must all hold."""
    if isinstance(where, Comparison):
        yield where
    elif isinstance(where, Junction) and where.operator == "AND":
        for part in where.parts:
            yield from _conjuncts(part)


def _own(one: Comparison, names: Names) -> Value | None:
    """The compared field, if it is one of the object's own and no function stands over it."""
    if not isinstance(one.left, Path):
        return None
    value = value_of(one.left, names)
    return value if value.column.own else None


def _literals(one: Comparison) -> tuple[Literal, ...]:
    """The values of `=` and IN; nothing for any other comparison."""
    if one.operator == "=" and isinstance(one.value, Literal):
        return (one.value,)
    return one.value if one.operator == "IN" and isinstance(one.value, tuple) else ()


def _stamp_bounds(conjuncts: list[tuple[Comparison, Value]], now: datetime) -> tuple[str, str] | None:
    """The lowest and the highest SystemModstamp that the conditions allow; None if none of them speaks of it."""
    low, high = _FIRST, _LAST
    for one, value in conjuncts:
        if value.field.name != "SystemModstamp" or not isinstance(one.value, Literal):
            continue
        wanted = comparand(one.value, value, now).value
        if isinstance(wanted, str):
            low = max(low, wanted) if one.operator in ("=", ">", ">=") else low
            high = min(high, wanted) if one.operator in ("=", "<", "<=") else high
    return None if (low, high) == (_FIRST, _LAST) else (low, high)
