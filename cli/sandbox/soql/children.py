"""Child subqueries: `(SELECT Id FROM OrderItems WHERE ...)` gives each row an answer of its own.

Place     execution -> [this] -> the records of the answer.
Rules     Children are read once for all parents of the answer, then dealt out; WHERE, ORDER BY, OFFSET and LIMIT hold
          for each parent. A parent without children has null. All children of a parent are in the answer (`done` is
          true).
Source    SOQL and SOSL Reference, "Relationship Queries"; REST API Developer Guide, "Query".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import malformed
from fakturo.cli.sandbox.soql.names import children_named
from fakturo.cli.sandbox.soql.tree import Select

if TYPE_CHECKING:
    from fakturo.cli.sandbox.soql.execution import Plan


@dataclass(frozen=True, slots=True)
class Children:
    """A child subquery: its name in the record, the reference to the parent, the plan that reads all children."""

    name: str
    reference: Field
    query: Select
    plan: "Plan"
    by_parent: dict[str, list[Row]] = field(default_factory=dict)

    @classmethod
    def planned(
        cls, org: SandboxOrg, parent: SObject, query: Select, plan_of: "Callable[[Select, SObject], Plan]"
    ) -> "Children":
        """Find the relationship and plan its query. Raises SoqlError."""
        entity, reference = children_named(org.objects, parent, query.source, query.source_at)
        every = replace(query, source=entity.name, limit=None, offset=0)
        plan = plan_of(every, entity)
        if plan.shape is None:
            raise malformed("A child subquery selects fields", query.at)
        return cls(reference.child_relationship or query.source, reference, query, plan)

    def gather(self, parents: Sequence[Row]) -> "Children":
        """With the children of these parents."""
        reference = self.reference.name
        found: dict[str, list[Row]] = {row["Id"]: [] for row in parents}
        for row in self.plan.run().rows:
            siblings = found.get(row[reference])
            if siblings is not None:
                siblings.append(row)
        return replace(self, by_parent=found)

    def of(self, parent: Row, version: str) -> dict[str, Any] | None:
        """The answer of a parent's children."""
        end = None if self.query.limit is None else self.query.offset + self.query.limit
        rows = self.by_parent.get(parent["Id"], [])[self.query.offset : end]
        shape = self.plan.shape
        if not rows or shape is None:
            return None
        return {"totalSize": len(rows), "done": True, "records": [shape.record(row, version) for row in rows]}
