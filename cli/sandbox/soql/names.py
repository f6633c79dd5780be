"""What the names of a query mean in this org: each path becomes a column, with its type and a way to read it off a row.

Place     tree -> [this] -> predicates, ordering, aggregates, rows.
Rules     Names are compared without regard to capitals; `o.Name` of `FROM Order o` and `Order.Name` are the object's
          own. A parent that isn't set gives null, a boolean that isn't set false. A compound address is read as the
          dictionary of its parts that REST answers with, a person's Name as its parts joined by blanks.
Source    SOQL and SOSL Reference, "Relationship Queries" (five levels upward); REST API, "Compound Fields".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.reading import compound_of
from fakturo.cli.sandbox.rows import Row, Table
from fakturo.cli.sandbox.soql.errors import CUSTOM_FIELD_HINT, CUSTOM_OBJECT_HINT, CUSTOM_RELATION_HINT, SoqlError
from fakturo.cli.sandbox.soql.tree import Path

Read = Callable[[Row], Any]
Tables = Mapping[str, Table]
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Column:
    """A field as a query sees it: `names` are the relationships and the field as describe spells them."""

    names: tuple[str, ...]
    entity: SObject
    field: Field
    read: Read

    @property
    def type(self) -> str:
        """The describe type of its values."""
        return self.field.type

    @property
    def own(self) -> bool:
        """Whether it is a field of the queried object itself."""
        return len(self.names) == 1


class Names:
    """The names that a query of one object may use."""

    def __init__(
        self, objects: Mapping[str, SObject], tables: Tables, entity: SObject, alias: str | None = None
    ) -> None:
        self.entity = entity
        self._objects = objects
        self._tables = tables
        self._own = {entity.name.lower(), *([alias.lower()] if alias else [])}

    def column(self, path: Path) -> Column:
        """The column of a path. Raises INVALID_FIELD where the org knows no such field or relationship."""
        names = path.names
        if len(names) > 1 and names[0].lower() in self._own and self.entity.by_relationship(names[0]) is None:
            names = names[1:]
        if len(names) - 1 > _DEEPEST:
            raise SoqlError("INVALID_FIELD", f"A path may follow {_DEEPEST} relationships: {path}", path.at)
        return self._column(self.entity, names, path)

    def _column(self, entity: SObject, names: tuple[str, ...], path: Path) -> Column:
        """The column of a path that begins at `entity`."""
        if len(names) == 1:
            return self._field(entity, names[0], path)
        reference = entity.by_relationship(names[0])
        if reference is None:
            sentence = f"Didn't understand relationship '{names[0]}' in field path. {CUSTOM_RELATION_HINT}"
            raise SoqlError("INVALID_FIELD", sentence, path.at)
        parent = self._column(self.target(reference, path.at), names[1:], path)
        spelled = (reference.relationship_name or names[0], *parent.names)
        return Column(spelled, parent.entity, parent.field, self._through(reference, parent.read))

    def target(self, reference: Field, at: int | None = None) -> SObject:
        """The object that a reference leads to: the first one, where there are several."""
        for name in reference.reference_to:
            if name in self._objects:
                return self._objects[name]
        raise SoqlError("INVALID_FIELD", f"The object that '{reference.name}' refers to isn't in this org.", at)

    def _through(self, reference: Field, read: Read) -> Read:
        """Read a parent's value off the child's row."""
        parent_of = self.parent(reference)

        def through(row: Row) -> Any:
            parent = parent_of(row)
            return None if parent is None else read(parent)

        return through

    def parent(self, reference: Field) -> Callable[[Row], Row | None]:
        """How to find the row that a reference leads to; None where it is empty or the row is gone."""
        name = reference.name
        tables = [self._tables[target] for target in reference.reference_to if target in self._tables]

        def found(row: Row) -> Row | None:
            record_id = row.get(name)
            if record_id is None:
                return None
            return next((table[record_id] for table in tables if record_id in table), None)

        return found

    def _field(self, entity: SObject, name: str, path: Path) -> Column:
        """A field of an object."""
        field = entity.find(name)
        if field is None:
            raise SoqlError(
                "INVALID_FIELD", f"No such column '{name}' on entity '{entity.name}'. {CUSTOM_FIELD_HINT}", path.at
            )
        return Column((field.name,), entity, field, reader(entity, field))


def reader(entity: SObject, field: Field) -> Read:
    """How a field's value is read off a row of its object."""
    if field.is_compound:
        return lambda row: compound_of(entity, field, row)
    name = field.name
    if field.type == "boolean":
        return lambda row: bool(row.get(name))
    return lambda row: row.get(name)


def entity_named(objects: Mapping[str, SObject], name: str, at: int | None = None) -> SObject:
    """The object of a name. Raises INVALID_TYPE where the org has none."""
    found = objects.get(name) or next((one for key, one in objects.items() if key.lower() == name.lower()), None)
    if found is None:
        raise SoqlError("INVALID_TYPE", f"sObject type '{name}' is not supported. {CUSTOM_OBJECT_HINT}", at)
    return found


def children_named(objects: Mapping[str, SObject], entity: SObject, name: str, at: int) -> tuple[SObject, Field]:
    """The child object and its reference that a child subquery's FROM names. Raises INVALID_TYPE where none fits."""
    for child in objects.values():
        for field in child.fields.values():
            if (field.child_relationship or "").lower() == name.lower() and entity.name in field.reference_to:
                return child, field
    sentence = f"Didn't understand relationship '{name}' in FROM part of query call. {CUSTOM_RELATION_HINT}"
    raise SoqlError("INVALID_TYPE", sentence, at)
