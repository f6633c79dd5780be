"""Decoded Avro that went on as JSON (Redpanda, Camel), or as Avro itself: bitmaps, tagged unions, plain numbers.

Place     detection -> [this] -> canonical. Pure.
Form      `{"ChangeEventHeader": {..., "changedFields": ["0x400800"]}, "Name": {"string": "Acme"}}`: what a bit means,
          and whether a number is a date, stands in the writer's schema alone. It comes by the schema's id, or by name
          where its fields are exactly the message's (event_schemas.py); without it the message is refused. A header
          without a body (deletions, gaps) needs none.
Check     of an update, every field that has a value must be among those that the bitmaps name: Salesforce sends no
          others. Where that does not hold, the schema is not the writer's.
Source    reference 1.7, 1.8, 3.2; goavro's textual form of unions.
"""

import re
from typing import Any

from fakturo.consumers.crm_feed.shapes.change_header import ChangeHeader, read_header
from fakturo.consumers.crm_feed.shapes.envelopes import Envelope, open_envelope
from fakturo.consumers.crm_feed.shapes.event_schemas import HEADER, EventSchema, EventSchemas
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.salesforce.avro_fields import INEXACT, FieldFault, Read
from fakturo.schemas.salesforce.bitmaps import BitmapFault, decode_bitmaps

NAME = "tagged_avro"
WITH_BODY = ("CREATE", "UNDELETE", "SNAPSHOT", "UPDATE")
_BITMAP = re.compile(r"(\d+-)?0x[0-9A-Fa-f]+", re.ASCII)
_PRIMITIVES = frozenset({"string", "boolean", "int", "long", "float", "double", "bytes"})
_LISTS = ("changedFields", "nulledFields", "diffFields")


def is_avro(message: Message) -> bool:
    """Return whether the message holds a change event in Avro's terms: bitmaps or tagged unions, or Avro itself."""
    envelope = open_envelope(message.body)
    if envelope is None or "_ObjectType" in envelope.payload:
        return False
    if message.event_schema is not None:
        return True
    header = envelope.payload[HEADER]
    listed = [item for name in _LISTS for item in header.get(name) or ()]
    return any(isinstance(item, str) and _BITMAP.fullmatch(item) for item in listed) or any(
        _is_tagged(value) for name, value in envelope.payload.items() if name != HEADER
    )


def read(message: Message, schemas: EventSchemas) -> Told:
    """Return what the message tells.

    Raises:
        SchemaError: the writer's schema is not known, or is another; a value is none of its kind.
    """
    envelope = open_envelope(message.body)
    if envelope is None:
        raise misshapen(f"there is no {HEADER}")
    header = read_header(envelope.payload[HEADER])
    values: dict[str, Read] = {}
    changed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    if header.kind in WITH_BODY:
        schema = _schema_of(message, envelope, header, schemas)
        body = _body(envelope, schema)
        try:
            values, changed = _values(header, body, schema)
            lost = decode_bitmaps(header.diff, schema.layout)
        except (BitmapFault, FieldFault) as error:
            raise misshapen(str(error), f"$.{HEADER}") from error
    inexact = tuple(name for name, value in values.items() if value is INEXACT)
    return Told(
        src=NAME,
        entity=header.entity,
        record_ids=header.record_ids,
        kind=header.kind,
        commit=header.commit,
        values={name: value for name, value in values.items() if value is not INEXACT},
        changed=changed,
        diff=(*lost, *inexact),
        null_is_value=True,
        event_uuid=envelope.event_uuid or message.headers.get("event_uuid"),
        replay_id=envelope.replay_id or message.headers.get("replay_id"),
        schema_id=_schema_id(message, envelope),
        org=envelope.org,
    )


def _values(header: ChangeHeader, body: dict[str, Any], schema: EventSchema) -> tuple[dict[str, Read], tuple[str, ...]]:
    """Return the values that the event brings, and the names of those that an update changed."""
    if header.kind != "UPDATE":
        return schema.table.all_values(body), ()
    listed = decode_bitmaps((*(header.changed or ()), *header.nulled), schema.layout)
    _check_is_the_writers(body, listed)
    names = schema.table.names_in(body, listed)
    return schema.table.values_of(body, names), names


def _check_is_the_writers(body: dict[str, Any], listed: tuple[str, ...]) -> None:
    tops = {name.partition(".")[0] for name in listed}
    stray = sorted(name for name, value in body.items() if value is not None and name not in tops)
    if stray:
        text = f"{', '.join(stray[:3])} has a value, but the bitmaps do not name it: the schema is not the writer's"
        raise misshapen(text, f"$.{HEADER}.changedFields")


def _schema_id(message: Message, envelope: Envelope) -> str | None:
    return envelope.schema_id or message.headers.get("schema_id") or message.headers.get("schemaId")


def _schema_of(message: Message, envelope: Envelope, header: ChangeHeader, schemas: EventSchemas) -> EventSchema:
    if message.event_schema is not None:
        return message.event_schema
    schema_id = _schema_id(message, envelope)
    names = frozenset(envelope.payload) - {HEADER}
    found = schemas.by_id(schema_id) if schema_id else schemas.fitting(header.entity, names)
    if found is not None and found.entity == header.entity:
        return found
    which = f"schema {schema_id}" if schema_id else f"the schema with exactly these {len(names)} fields"
    raise misshapen(
        f"a change of {header.entity} in Avro's form: {which} is needed to read it and is not in FAKTURO_CRM_SCHEMAS; "
        "get it from the org (/event/eventSchema/<id>), put it there, restart and replay",
        f"$.{HEADER}",
    )


def _body(envelope: Envelope, schema: EventSchema) -> dict[str, Any]:
    """Return the body with every field of `schema`, its unions untagged.

    Raises:
        SchemaError: a field that the schema does not have.
    """
    given = {name: value for name, value in envelope.payload.items() if name != HEADER}
    if stray := sorted(given.keys() - schema.names):
        raise misshapen(f"the writer's schema has no field {', '.join(stray[:3])}", f"$.{stray[0]}")
    body: dict[str, Any] = {}
    nested = dict(schema.layout)
    for name in schema.names:
        value = _untagged(given.get(name))
        if isinstance(value, dict):
            if stray := sorted(value.keys() - set(nested[name])):
                raise misshapen(f"the writer's schema has no field {stray[0]} in {name}", f"$.{name}")
            value = {part: _untagged(value.get(part)) for part in nested[name]}
        elif name in schema.doubles and value is not None and not isinstance(value, str | bool):
            value = _double(value, name)
        body[name] = value
    return body


def _double(value: Any, name: str) -> float:
    """Return a number of JSON as the double that it was: what may have lost digits is told by that (avro_fields)."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaError(Reason.NOT_A_NUMBER, f"{value!r:.40} is no number", f"$.{name}") from error


def _is_tagged(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and all(tag in _PRIMITIVES or "." in tag for tag in value)


def _untagged(value: Any) -> Any:
    return next(iter(value.values())) if _is_tagged(value) else value
