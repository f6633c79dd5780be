"""Confluent's wire format: a zero byte, four bytes of schema id, then Avro or JSON.

Place     reading.py (with the schema that registry.py fetched) -> [this] -> the message's body. Pure.
Avro      is decoded with the writer's schema; logical types become text as canonical values have it, doubles stay
          floats. Where the schema is Salesforce's own (`...ChangeEvent`), it goes along: it alone says what bits mean.
Source    Confluent Schema Registry, "Wire format" and "GET /schemas/ids/{id}".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

import fastavro
import msgspec

from fakturo.consumers.crm_feed.shapes.connect_schema import typed_by_json_schema
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchema, SchemaFault, read_event_schema
from fakturo.consumers.crm_feed.shapes.json_text import parse_json
from fakturo.consumers.crm_feed.shapes.message import misshapen
from fakturo.consumers.crm_feed.shapes.times import instant_text
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

MAGIC = 0
PREFIX_BYTES = 5


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema of the registry: parsed for fastavro, or a JSON Schema; and as a change event's, where it is one."""

    kind: str
    parsed: Any
    event: EventSchema | None = None


def is_framed(value: bytes | None) -> bool:
    """Return whether `value` begins as the wire format does; no JSON text does."""
    return value is not None and len(value) > PREFIX_BYTES and value[0] == MAGIC


def schema_id_of(value: bytes) -> int:
    """Return the schema id of a framed value."""
    return int.from_bytes(value[1:PREFIX_BYTES], "big")


def read_registered(answer: Mapping[str, Any], schema_id: int) -> RegisteredSchema:
    """Return the schema in the registry's answer `{"schema", "schemaType", "references"}`.

    Raises:
        SchemaError: Protobuf, a schema that refers to others, one that is none.
    """
    kind, text = str(answer.get("schemaType") or "AVRO"), answer.get("schema")
    if kind not in ("AVRO", "JSON"):
        raise misshapen(f"schema {schema_id} is {kind}: of the wire format, Avro and JSON Schema are read")
    if answer.get("references"):
        raise misshapen(f"schema {schema_id} refers to other schemas, which are not followed")
    try:
        document = msgspec.json.decode(str(text))
        if kind == "JSON":
            return RegisteredSchema(kind, document if isinstance(document, dict) else {})
        return RegisteredSchema(kind, fastavro.parse_schema(document, named_schemas={}), _event_schema(document))
    except (ValueError, TypeError, KeyError, AttributeError, fastavro.schema.SchemaParseException) as error:
        raise misshapen(f"schema {schema_id} of the registry is no {kind} schema: {error}") from error


def _event_schema(document: Any) -> EventSchema | None:
    """Return the schema as that of a change event in Salesforce's own terms; v1's flat records are none."""
    try:
        found = read_event_schema(document)
    except SchemaFault:
        return None
    return None if "_ObjectType" in found.names else found


def decode_framed(value: bytes, schema: RegisteredSchema) -> Any:
    """Return what a framed value holds.

    Raises:
        SchemaError: the bytes are not of the schema.
    """
    payload = value[PREFIX_BYTES:]
    if schema.kind == "JSON":
        return typed_by_json_schema(parse_json(payload), schema.parsed)
    stream = BytesIO(payload)
    try:
        body = fastavro.schemaless_reader(stream, schema.parsed, None)
    except Exception as error:  # fastavro's own error for bytes that are not of the schema is any of a dozen
        raise _not_of(value, f"{type(error).__name__}: {error}") from error
    if stream.tell() != len(payload):
        raise _not_of(value, "they go on after its end")
    return _as_text(body)


def _not_of(value: bytes, why: str) -> SchemaError:
    return SchemaError(Reason.UNKNOWN_SHAPE, f"the bytes are not of schema {schema_id_of(value)}: {why}")


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return value
