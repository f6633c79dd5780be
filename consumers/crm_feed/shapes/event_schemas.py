"""The Avro schemas of change events, which say what bitmaps and plain numbers mean: from a folder, or from a registry.

Place     schema_folder.py, registry.py -> [this] -> tagged_avro, field_kinds. Pure.
Which     a schema is the writer's by its id. By name alone it is taken only where its fields are exactly those of the
          message, and where no other schema of that name fits too: positions are never guessed.
Source    reference 1.6 (immutable by id; a new field makes a new one) and 1.7.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fakturo.consumers.crm_feed.shapes.values import DATE, INSTANT
from fakturo.schemas.salesforce.avro_fields import FieldTable, field_table, kind_of
from fakturo.schemas.salesforce.bitmaps import Layout, layout_of

HEADER = "ChangeEventHeader"
_SUFFIX = "ChangeEvent"


class SchemaFault(ValueError):
    """A document that is no Avro schema of a change event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSchema:
    """One schema: its id (None: not known), the object, and what is worked out of its fields once."""

    schema_id: str | None
    entity: str
    layout: Layout
    table: FieldTable
    kinds: Mapping[str, str]
    doubles: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the top-level fields, the header left out."""
        return frozenset(name for name, _ in self.layout) - {HEADER}


def read_event_schema(document: Any, schema_id: str | None = None) -> EventSchema:
    """Return the schema of a change event from its parsed JSON; `uuid` in it is its id, as REST answers.

    Raises:
        SchemaFault: it is no Avro record called `...ChangeEvent` with a header.
    """
    try:
        entity = _entity_of(str(document["name"]))
        fields = {str(field["name"]): field for field in document["fields"]}
        if entity is None or HEADER not in fields:
            raise SchemaFault(f"{document['name']} is no change event")
        kinds = {name: kind_of(field.get("doc")) for name, field in fields.items()}
        return EventSchema(
            schema_id=schema_id or document.get("uuid"),
            entity=entity,
            layout=layout_of(document),
            table=field_table(document),
            kinds={name: kind for name, kind in kinds.items() if kind in (DATE, INSTANT)},
            doubles=frozenset(name for name, field in fields.items() if "double" in field["type"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise SchemaFault(f"no Avro schema of a change event: {type(error).__name__} {error}") from error


def _entity_of(name: str) -> str | None:
    """Return the object of a schema's name: `AccountChangeEvent` Account, `X__ChangeEvent` X__c."""
    stem = name.rpartition(".")[2].removesuffix(_SUFFIX)
    if not name.endswith(_SUFFIX) or not stem:
        return None
    return f"{stem}c" if stem.endswith("__") else stem


class EventSchemas:
    """The schemas that the administrator has given."""

    def __init__(self, schemas: Iterable[EventSchema] = ()) -> None:
        self._all = tuple(schemas)
        self._by_id = {schema.schema_id: schema for schema in self._all if schema.schema_id}

    def by_id(self, schema_id: str) -> EventSchema | None:
        """Return the schema of this id."""
        return self._by_id.get(schema_id)

    def fitting(self, entity: str, names: frozenset[str]) -> EventSchema | None:
        """Return the schema of `entity` with exactly these fields, None where there is none, or several differ."""
        found = [schema for schema in self._all if schema.entity == entity and schema.names == names]
        layouts = {tuple(schema.layout) for schema in found}
        return found[0] if len(layouts) == 1 else None

    def kinds(self) -> dict[str, dict[str, str]]:
        """Return which fields hold dates and instants, by object."""
        told: dict[str, dict[str, str]] = {}
        for schema in self._all:
            told.setdefault(schema.entity, {}).update(schema.kinds)
        return told
