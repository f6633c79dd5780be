"""A query from its text to its answer.

Place     rest/queries, rest/bulk -> Queries.plan -> [this] -> Answer.
Flow      parse -> names -> candidates (an index, or every row) -> predicate -> group or order -> offset and limit ->
          shape.
Rules     A plan holds the rows as they were when it was made: rows are never changed in place, so a later write
          doesn't touch its answer. `Plan.run` may be run in a thread; making the plan may not.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import SObject
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.aggregates import Grouping, is_aggregate, is_count
from fakturo.cli.sandbox.soql.candidates import candidates
from fakturo.cli.sandbox.soql.children import Children
from fakturo.cli.sandbox.soql.errors import SoqlError, malformed
from fakturo.cli.sandbox.soql.functions import value_of
from fakturo.cli.sandbox.soql.names import Names, entity_named
from fakturo.cli.sandbox.soql.ordering import check_sortable, ordered
from fakturo.cli.sandbox.soql.parser import parse
from fakturo.cli.sandbox.soql.predicates import Predicate, Predicates
from fakturo.cli.sandbox.soql.shapes import Shape
from fakturo.cli.sandbox.soql.stamps import Stamps
from fakturo.cli.sandbox.soql.tree import Select

LARGEST_OFFSET = 2000
LARGE = 20_000  # rows; fewer are looked at in the loop itself


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave: `total` rows or groups; `rows` to be shown by `records`, or the `groups` themselves."""

    total: int
    rows: Sequence[Row] = ()
    groups: Sequence[dict[str, Any]] = ()
    shape: Shape | None = None
    children: Sequence[Children] = field(default=())

    def __len__(self) -> int:
        """How many records there are to be fetched (none of a COUNT())."""
        return len(self.groups) or len(self.rows)

    def records(self, start: int, end: int, version: str) -> list[dict[str, Any]]:
        """The records of a page as JSON has them."""
        if self.shape is None:
            return list(self.groups[start:end])
        shown = []
        for row in self.rows[start:end]:
            record = self.shape.record(row, version)
            for child in self.children:
                record[child.name] = child.of(row, version)
            shown.append(record)
        return shown


class Queries:
    """Answers the queries of one org."""

    def __init__(self, org: SandboxOrg) -> None:
        self.org = org
        self.stamps = Stamps(org)

    def plan(self, text: str, *, deleted: bool = False, all_rows_allowed: bool = False) -> "Plan":
        """Make ready to answer a query; `deleted` takes in the recycle bin.

        Raises:
            OrgError: what is wrong with the query, as Salesforce says it.
        """
        try:
            return self._plan(text, deleted=deleted, all_rows_allowed=all_rows_allowed)
        except SoqlError as fault:
            raise OrgError(fault.code, fault.message(text)) from None

    def _plan(self, text: str, *, deleted: bool, all_rows_allowed: bool) -> "Plan":
        """The plan of a query, or a SoqlError."""
        query = parse(text)
        if query.all_rows and not all_rows_allowed:
            raise malformed("ALL ROWS not allowed in this context")
        if query.offset > LARGEST_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {LARGEST_OFFSET}")
        entity = entity_named(self.org.objects, query.source, query.source_at)
        return Plan(self, query, entity, deleted=deleted or query.all_rows)

    def answer(self, text: str, *, deleted: bool = False) -> Answer:
        """The answer of a query, at once. Raises OrgError."""
        return self.plan(text, deleted=deleted).run()


class Plan:
    """A query bound to the org's fields, with the rows that it looks at."""

    def __init__(self, queries: Queries, query: Select, entity: SObject, *, deleted: bool) -> None:
        self.query = query
        self.entity = entity
        self._queries = queries
        self._deleted = deleted
        org = queries.org
        now = org.clock.now()
        self.names = Names(org.objects, org.tables, entity, query.alias)
        self.grouping = Grouping(query, self.names, now) if is_aggregate(query) else None
        self.shape = None if self.grouping is not None or is_count(query) else Shape(query, self.names)
        self._children = self._plan_children()
        self._fits = self._predicate()
        self._check()
        self.rows = candidates(query, self.names, org.tables[entity.name], queries.stamps, deleted=deleted, now=now)

    def run(self) -> Answer:
        """Look at the rows."""
        if self.grouping is not None:
            groups = self.grouping.records(self._matching())
            return Answer(len(groups), groups=groups)
        rows = self._chosen()
        if self.shape is None:
            return Answer(len(rows))
        children = [child.gather(rows) for child in self._children]
        return Answer(len(rows), rows=rows, shape=self.shape, children=children)

    async def run_aside(self) -> Answer:
        """Look at the rows, at many of them in a thread, so that other work of the loop goes on."""
        return await asyncio.to_thread(self.run) if len(self.rows) > LARGE else self.run()

    def values(self) -> frozenset[Any]:
        """The values of the one column of a semi-join's query."""
        if self.shape is None or len(self.shape.columns) != 1:
            raise malformed("The query of a semi-join selects one field", self.query.at)
        read = self.shape.columns[0].read
        return frozenset(value for row in self._chosen() if (value := read(row)) is not None)

    def _chosen(self) -> list[Row]:
        """The rows that fit, in their order, from the offset to the limit."""
        query = self.query
        end = None if query.limit is None else query.offset + query.limit
        if not query.order_by:
            return list(islice(self._matching(), query.offset, end))
        rows = ordered(list(self._matching()), query.order_by, lambda expression: value_of(expression, self.names))
        return rows[query.offset : end]

    def _matching(self) -> Iterator[Row]:
        """The candidates that fit."""
        rows: Iterator[Row] = iter(self.rows)
        if not self._deleted:
            rows = (row for row in rows if not row["IsDeleted"])
        return rows if self._fits is None else filter(self._fits, rows)

    def _predicate(self) -> Predicate | None:
        """WHERE as a closure."""
        if self.query.where is None:
            return None
        now = self._queries.org.clock.now()
        return Predicates(lambda one: value_of(one, self.names), self._semi_join, now).compile(self.query.where)

    def _semi_join(self, query: Select) -> frozenset[Any]:
        """The ids that the query of a semi-join gives."""
        entity = entity_named(self._queries.org.objects, query.source, query.source_at)
        return Plan(self._queries, query, entity, deleted=self._deleted).values()

    def _check(self) -> None:
        """Find fault with ORDER BY before anything is read."""
        if self.grouping is None:
            for key in self.query.order_by:
                check_sortable(value_of(key.expression, self.names), key)
            if self.query.having is not None:
                raise malformed("HAVING needs GROUP BY")

    def _plan_children(self) -> list[Children]:
        """The child subqueries."""
        if self.shape is None:
            return []
        org = self._queries.org
        return [
            Children.planned(
                org, self.entity, query, lambda query, entity: Plan(self._queries, query, entity, deleted=self._deleted)
            )
            for query in self.shape.subqueries
        ]
