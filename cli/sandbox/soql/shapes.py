"""The shape of a query's answer: how a row becomes the JSON record, or the line of CSV, that was selected.

Place     tree + names -> [this] -> execution (records), rest/bulk (lines).
Rules     A record begins with `attributes` (type, url); a parent is a record of its own or null; children are a query
          answer of their own, or null where there are none. CSV has a column for each field, parents' as
          `Account.Name`; booleans are `true`/`false`, instants end in Z, null is empty. Compounds and children can't
          be columns: Bulk refuses them, as Salesforce's does.
Source    REST API Developer Guide, "Query"; Bulk API 2.0, "Queries" (considerations), "Get Results for a Query Job".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from fakturo.cli.sandbox.metadata import NUMBERS, SObject
from fakturo.cli.sandbox.numbers import plain
from fakturo.cli.sandbox.reading import attributes, shown
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import SoqlError, malformed
from fakturo.cli.sandbox.soql.functions import value_of
from fakturo.cli.sandbox.soql.names import Column, Names, Read, reader
from fakturo.cli.sandbox.soql.tree import FieldsOf, Item, Path, Select

ALL_FIELDS_LIMIT = 200
_REFUSED = "FUNCTIONALITY_NOT_ENABLED"


@dataclass(slots=True)
class _Node:
    """What is read of an object: its fields, and what is read of its parents, in the order of the query."""

    entity: SObject
    parts: dict[str, "Read | _Node"] = field(default_factory=dict)
    parent_of: Callable[[Row], Row | None] | None = None

    def record(self, row: Row, version: str) -> dict[str, Any]:
        """The row as a JSON record; `version` is the API's, for the url."""
        record: dict[str, Any] = {"attributes": attributes(self.entity, row["Id"], version)}
        for name, part in self.parts.items():
            if isinstance(part, _Node):
                parent = part.parent_of(row) if part.parent_of is not None else None
                record[name] = None if parent is None else part.record(parent, version)
            else:
                record[name] = shown(part(row))
        return record


class Shape:
    """What a query that isn't grouped selects. Raises SoqlError, when made, for what the org hasn't."""

    def __init__(self, query: Select, names: Names) -> None:
        self._names = names
        self._root = _Node(names.entity)
        self.columns: list[Column] = []
        self.subqueries: list[Select] = []
        for item in query.items:
            self._add(item, query)

    def record(self, row: Row, version: str) -> dict[str, Any]:
        """A row as a JSON record, without its children."""
        return self._root.record(row, version)

    def lines(self) -> "Lines":
        """How rows become lines of CSV. Raises the error of Bulk for what isn't a column."""
        if self.subqueries:
            raise SoqlError(_REFUSED, "Aggregate Relationships not supported in Bulk V2 Query with CSV content type")
        if any(column.field.is_compound for column in self.columns):
            raise SoqlError(_REFUSED, "Selecting compound data not supported in Bulk Query")
        return Lines(self.columns)

    def _add(self, item: Item, query: Select) -> None:
        """Take in one selected thing."""
        expression = item.expression
        if isinstance(expression, Select):
            self.subqueries.append(expression)
        elif isinstance(expression, FieldsOf):
            self._add_set(expression, query)
        elif item.alias is not None and isinstance(expression, Path):
            raise malformed("only aggregate expressions use field aliasing", expression.at)
        elif isinstance(expression, Path):
            self._put(self._names.column(expression), expression.at)
        else:
            value = value_of(expression, self._names)
            if value.field is not value.column.field:
                raise malformed(f"Field must be grouped or aggregated: {expression.function}", expression.at)
            names = (*value.column.names[:-1], item.alias) if item.alias else value.column.names
            self._put(Column(names, value.column.entity, value.field, value.read), expression.at)

    def _add_set(self, wanted: FieldsOf, query: Select) -> None:
        """FIELDS(...): the fields of describe, standard or custom."""
        if wanted.which != "STANDARD" and (query.limit is None or query.limit > ALL_FIELDS_LIMIT):
            raise malformed(f"The SOQL FIELDS function must have a LIMIT of at most {ALL_FIELDS_LIMIT}", wanted.at)
        for one in self._names.entity.fields.values():
            if wanted.which == "ALL" or one.custom == (wanted.which == "CUSTOM"):
                self._put(self._names.column(Path((one.name,), wanted.at)), wanted.at)

    def _put(self, column: Column, at: int) -> None:
        """Add a column to the columns and to the tree of records."""
        if any(known.names == column.names for known in self.columns):
            raise malformed(f"duplicate field selected: {'.'.join(column.names)}", at)
        self.columns.append(column)
        node = self._root
        for relationship in column.names[:-1]:
            node = self._parent(node, relationship)
        node.parts[column.names[-1]] = column.read if column.own else reader(node.entity, column.field)

    def _parent(self, node: _Node, relationship: str) -> _Node:
        """The node of a parent, made when it is first named."""
        known = node.parts.get(relationship)
        if isinstance(known, _Node):
            return known
        reference = node.entity.by_relationship(relationship)
        assert reference is not None, relationship  # the column was found through it  # noqa: S101
        target = self._names.target(reference)
        made = node.parts[relationship] = _Node(target, parent_of=self._names.parent(reference))
        return made


class Lines:
    """Rows as the values of CSV lines; made for millions of them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.header = [".".join(column.names) for column in columns]
        self._read = _tuple_of(columns)
        places = list(enumerate(columns))
        self._booleans = [place for place, column in places if column.type == "boolean"]
        self._instants = [place for place, column in places if column.type == "datetime"]
        self._numbers = [place for place, column in places if column.type in NUMBERS]

    def of(self, rows: Sequence[Row]) -> Iterator[list[Any]]:
        """The values of each row; null is None, which csv writes as an empty cell."""
        read, booleans, instants, numbers = self._read, self._booleans, self._instants, self._numbers
        for row in rows:
            values = list(read(row))
            for place in booleans:
                values[place] = "true" if values[place] else "false"
            for place in instants:
                if values[place] is not None:
                    values[place] = f"{values[place][:23]}Z"
            for place in numbers:
                if values[place] is not None:
                    values[place] = _plain_text(values[place])
            yield values


@lru_cache(maxsize=65_536)
def _plain_text(value: Decimal) -> str:
    """A number as REST shows it, without an exponent."""
    return f"{plain(value):f}"


def _tuple_of(columns: Sequence[Column]) -> Callable[[Row], Sequence[Any]]:
    """Read all columns of a row at once; by one call where every column is a plain field of the object."""
    if len(columns) > 1 and all(column.own for column in columns):
        return itemgetter(*(column.names[0] for column in columns))
    reads = [column.read for column in columns]
    return lambda row: [read(row) for read in reads]
