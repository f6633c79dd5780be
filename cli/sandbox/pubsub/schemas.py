"""The Avro schemas of the bus: a change event's from its object's fields, a platform event's from its definition.

Place     cli/sandbox/metadata (fields) -> [this] -> events (encodes), service (GetSchema), rest/event_schema.
Rules     - Position 0 is ChangeEventHeader; then each field that the change event has, in the object's order. A
            compound's parts are a record of their own: the first use of a record defines it, the next ones name it.
          - An account's Name is null, text, or a person's record (Switchable_PersonName).
          - A schema's id derives from its content and never changes: a field more or less is another schema.
Source    a real AccountChangeEvent schema (reference 1.7); REST API guide: the id is the MD5 fingerprint of the schema
          in base64 for URLs.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import fastavro

from fakturo.cli.sandbox.metadata import PERSON_NAME_PARTS, Field, SObject
from fakturo.cli.sandbox.pubsub.avro_kinds import LARGE_TEXT, converter_of, kind_of
from fakturo.schemas.salesforce.bitmaps import Layout, layout_of

NAMESPACE = "com.sforce.eventbus"
HEADER = "ChangeEventHeader"
CHANGE_TYPES = (
    *("CREATE", "UPDATE", "DELETE", "UNDELETE"),
    *("GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT"),
)
_HEADER_TYPES: tuple[tuple[str, Any], ...] = (
    ("entityName", "string"),
    ("recordIds", {"type": "array", "items": "string"}),
    ("changeType", {"type": "enum", "name": "ChangeType", "symbols": list(CHANGE_TYPES)}),
    *((name, "string") for name in ("changeOrigin", "transactionKey")),
    ("sequenceNumber", "int"),
    *((name, "long") for name in ("commitTimestamp", "commitNumber")),
    ("commitUser", "string"),
    *((name, {"type": "array", "items": "string"}) for name in ("nulledFields", "diffFields", "changedFields")),
)
_HEADER_FIELD = {
    "name": HEADER,
    "type": {
        "type": "record",
        "name": HEADER,
        "fields": [{"name": name, "type": kind} for name, kind in _HEADER_TYPES],
    },
    "doc": "Data:ComplexValueType",
}
_NEVER = frozenset({"Id", "IsDeleted", "SystemModstamp", "LastViewedDate", "LastReferencedDate"})
_RECORDS = {"address": "Address", "location": "Location"}

Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A value of the event: its name there, where a row holds it, and what turns the row's value into the event's."""

    name: str
    flat: str
    convert: Converter


@dataclass(frozen=True, slots=True)
class EventField:
    """A top-level field: `parts` are a compound's; `switchable`: it is text unless one of its parts has a value."""

    name: str
    convert: Converter
    parts: tuple[Part, ...] = ()
    switchable: bool = False
    is_large_text: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EventSchema:
    """A schema of the bus: `text` is what GetSchema answers; `dotted` names a flat field as the bitmaps do."""

    entity: str
    schema_id: str
    text: str
    parsed: Any
    layout: Layout
    fields: tuple[EventField, ...]
    dotted: dict[str, str]


class SchemaBook:
    """Every schema that ever was, by id; the present one of an object."""

    def __init__(self) -> None:
        self._by_id: dict[str, EventSchema] = {}
        self._present: dict[str, tuple[list[Field], EventSchema]] = {}

    def of(self, entity: SObject) -> EventSchema:
        """Return the schema of the object's events, as its fields are now."""
        fields = list(entity.fields.values())
        known = self._present.get(entity.name)
        if known is not None and known[0] == fields:
            return known[1]
        schema = build_schema(entity)
        schema = self._by_id.setdefault(schema.schema_id, schema)
        self._present[entity.name] = (fields, schema)
        return schema

    def by_id(self, schema_id: str) -> EventSchema | None:
        """Return a schema, also one of before a change of fields."""
        return self._by_id.get(schema_id)


def is_platform_event(name: str) -> bool:
    """Return whether an object's name is that of a platform event."""
    return name.endswith("__e")


def build_schema(entity: SObject) -> EventSchema:
    """Return the schema of `<Object>ChangeEvent`, or of a platform event `X__e`."""
    shown = [field for field in entity.fields.values() if field.in_event and field.name not in _NEVER]
    if is_platform_event(entity.name):
        return _schema(entity.name, entity.name, _platform_head(), [one for one in shown if one.custom], entity)
    return _schema(entity.name, entity.event_name, [_HEADER_FIELD], shown, entity)


def _platform_head() -> list[dict[str, Any]]:
    return [
        {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
        {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
    ]


def _schema(
    name: str, event_name: str, head: list[dict[str, Any]], shown: Iterable[Field], entity: SObject
) -> EventSchema:
    parts = _parts_by_compound(entity)
    defined: dict[str, list[str]] = {}
    avro_fields, event_fields = list(head), list[EventField]()
    for field in shown:
        if field.compound in parts:
            continue
        switchable = (entity.name, field.name) == ("Account", "Name")
        built = (
            _compound(field, parts[field.name], defined, switchable=switchable)
            if field.name in parts
            else _plain(field)
        )
        if built is not None:
            avro_fields.append(built[0])
            event_fields.append(built[1])
    document = {"type": "record", "name": event_name, "namespace": NAMESPACE, "fields": avro_fields}
    text = json.dumps(document, separators=(",", ":"))
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    dotted = {one.name: one.name for one in event_fields}
    dotted |= {part.flat: f"{one.name}.{part.name}" for one in event_fields for part in one.parts}
    return EventSchema(
        entity=name,
        schema_id=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        text=text,
        parsed=fastavro.parse_schema(json.loads(text), named_schemas={}),
        layout=layout_of(document),
        fields=tuple(event_fields),
        dotted=dotted,
    )


def _parts_by_compound(entity: SObject) -> dict[str, list[Field]]:
    """Return the parts of each compound; an account's Name has a person's parts even where no field says so."""
    parts: dict[str, list[Field]] = {}
    for field in entity.fields.values():
        if field.compound and field.compound in entity.fields:
            parts.setdefault(field.compound, []).append(field)
    if entity.name == "Account" and "Name" in entity.fields:
        persons = [Field(name=part, type="string", compound="Name") for part in PERSON_NAME_PARTS]
        parts.setdefault("Name", persons)
    return parts


def _plain(field: Field) -> tuple[dict[str, Any], EventField] | None:
    kind = kind_of(field)
    if kind is None:
        return None
    avro = {"name": field.name, "type": ["null", kind.avro], "doc": _doc(kind.doc, field), "default": None}
    return avro, EventField(field.name, converter_of(field), is_large_text=kind == LARGE_TEXT)


def _compound(
    field: Field, parts: list[Field], defined: dict[str, list[str]], *, switchable: bool
) -> tuple[dict[str, Any], EventField]:
    record = _RECORDS.get(field.type) or ("Switchable_PersonName" if switchable else "PersonName")
    built = tuple(Part(_part_name(field.name, one.name), one.name, converter_of(one)) for one in parts)
    names = [part.name for part in built]
    # Two layouts of one name (an address without state codes beside one with them) are two records.
    if defined.get(record, names) != names:
        record = f"{field.name}_{record}"
    branch: Any = record
    if record not in defined:
        defined[record] = names
        nested = [_nested(part.name, of) for part, of in zip(built, parts, strict=True)]
        branch = {"type": "record", "name": record, "fields": nested}
    union = ["null", *(["string"] if switchable else []), branch]
    avro = {"name": field.name, "type": union, "doc": _doc(f"Data:{record}", field), "default": None}
    return avro, EventField(field.name, str, built, switchable)


def _nested(name: str, field: Field) -> dict[str, Any]:
    kind = kind_of(field)
    return {"name": name, "type": ["null", kind.avro if kind else "string"], "default": None}


def _part_name(compound: str, flat: str) -> str:
    """Return a part's name in the record: BillingStreet -> Street, Site__Latitude__s -> Latitude."""
    bare = flat.removeprefix(compound.removesuffix("Address")) or flat
    custom = flat.removeprefix(f"{compound.removesuffix('__c')}__").removesuffix("__s")
    return custom if flat.endswith("__s") else bare


def _doc(kind: str, field: Field) -> str:
    return f"{kind}:{field.custom_id or _made_id(field.name)}" if field.custom else kind


def _made_id(name: str) -> str:
    """Return a field id for a custom field that has none: the same for the same name."""
    digits = base64.b32encode(hashlib.md5(name.encode(), usedforsecurity=False).digest()).decode()
    return f"00N{digits[:12]}"
