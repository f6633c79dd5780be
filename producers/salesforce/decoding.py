"""One event of the Pub/Sub API to change records: the writer's schema says what the bytes, and the bitmaps, mean.

Place     subscriber (event bytes) -> [this] -> intake.py, which makes Kafka records of it. No I/O.
Rules     - One record a record id: an event may tell of the same change of several records.
          - An update has only the values that changed; a creation or restoration has all of them; others have none.
          - What came as a text diff, or as a number that may have lost digits, is named in `diff`, has no value, and is
            to be read again (`reread`).
          - A change type that we do not know is passed on as it is, and its records are to be read again.
Source    reference 1.7, 1.8, 2.1, 2.2.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import msgspec

from fakturo.schemas.events.change_data import ChangeRecord, Commit, FieldValue
from fakturo.schemas.salesforce.avro_fields import INEXACT, FieldFault, FieldTable, field_table
from fakturo.schemas.salesforce.bitmaps import BitmapFault, Layout, decode_bitmaps, layout_of
from fakturo.schemas.salesforce_ids import long_id

HEADER = "ChangeEventHeader"
WHOLE_TYPES = ("CREATE", "UNDELETE")
KNOWN_TYPES = (*WHOLE_TYPES, "UPDATE", "DELETE")
GAP_PREFIX = "GAP_"
NOBODY = "000000000000000AAA"
"""The record id of an overflow: nobody in particular."""
_HEADER_FIELDS = ("entityName", "recordIds", "changeType", "commitTimestamp")


class DecodeFault(Exception):
    """An event that can't be decoded; `entity`, `record_ids` and `commit_ms` are what of it could be read."""

    def __init__(
        self, message: str, *, entity: str | None = None, record_ids: Sequence[str] = (), commit_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.entity = entity
        self.record_ids = tuple(record_ids)
        self.commit_ms = commit_ms


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """What is worked out once of a schema: it never changes under its id."""

    schema_id: str
    entity: str | None
    parsed: Any
    layout: Layout
    fields: FieldTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """One event as it came: `replay_id` is opaque, `payload` Avro without a magic byte."""

    event_id: str
    schema_id: str
    payload: bytes
    replay_id: bytes


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    """The records of one event. `reread` says why their values have to be read again, None where all are here."""

    changes: tuple[ChangeRecord, ...]
    reread: str | None = None


def read_schema(schema_id: str, schema_json: str | bytes, scales: Mapping[str, int] | None = None) -> WriterSchema:
    """Return the schema that GetSchema answered, ready to decode with.

    `scales` are the digits after the point of the object's number fields, as describe tells them.

    Raises:
        DecodeFault: it is no Avro schema.
    """
    entity = None
    try:
        document = msgspec.json.decode(schema_json)
        entity = entity_of(document)
        parsed = fastavro.parse_schema(document, named_schemas={})
        return WriterSchema(schema_id, entity, parsed, layout_of(document), field_table(document, scales))
    except (ValueError, TypeError, KeyError, AttributeError, fastavro.schema.SchemaParseException) as error:
        raise DecodeFault(f"schema {schema_id} is no Avro schema of a change event: {error}", entity=entity) from error


def entity_of_text(schema_json: str) -> str | None:
    """Return the object that a schema is of, None where it is of none, or no JSON."""
    try:
        return entity_of(msgspec.json.decode(schema_json))
    except (ValueError, AttributeError):
        return None


def entity_of(document: Any) -> str | None:
    """Return the object that a schema's name stands for: `AccountChangeEvent` Account, `X__ChangeEvent` X__c."""
    name = str(document.get("name", "")).rpartition(".")[2]
    if not name.endswith("ChangeEvent"):
        return None
    stem = name.removesuffix("ChangeEvent")
    return f"{stem}c" if stem.endswith("__") else stem or None


def decode_event(event: RawEvent, schema: WriterSchema, org_id: str) -> DecodedEvent:
    """Return the change records that `event` tells of, in its order of record ids.

    Raises:
        DecodeFault: the payload is not of the schema, or its header has no sense.
    """
    body = _read_body(event, schema)
    header = _header_of(body, schema)
    entity, kind, commit_ms = header["entityName"], header["changeType"], header["commitTimestamp"]
    record_ids = tuple(_long(record_id) for record_id in header["recordIds"])
    try:
        named = {name: _names(header, f"{name}Fields", body, schema) for name in _BITMAPS}
        values, lost = _values(body, kind, named, schema.fields)
    except (BitmapFault, FieldFault) as error:
        raise DecodeFault(str(error), entity=entity, record_ids=record_ids, commit_ms=commit_ms) from error
    template = ChangeRecord(
        v=1,
        org=org_id,
        entity=entity,
        recordId=NOBODY,
        changeType=kind,
        changed=named["changed"],
        nulled=named["nulled"],
        diff=(*named["diff"], *(name for name in lost if name not in named["diff"])),
        values=values,
        commit=_commit(header),
        eventId=event.event_id,
        replayId=base64.b64encode(event.replay_id).decode(),
        schemaId=event.schema_id,
        src="pubsub",
    )
    changes = tuple(msgspec.structs.replace(template, recordId=record_id) for record_id in record_ids)
    return DecodedEvent(changes, _reason(kind, named["diff"], lost))


_BITMAPS = ("changed", "nulled", "diff")


def _read_body(event: RawEvent, schema: WriterSchema) -> dict[str, Any]:
    stream = BytesIO(event.payload)
    try:
        body = fastavro.schemaless_reader(stream, schema.parsed, None)
    except Exception as error:  # fastavro's own error for bytes that are not of the schema is any of a dozen
        raise DecodeFault(f"the payload is not of schema {schema.schema_id}: {error}", entity=schema.entity) from error
    if stream.tell() != len(event.payload) or not isinstance(body, dict):
        raise DecodeFault(f"the payload goes on after the end of schema {schema.schema_id}", entity=schema.entity)
    return body


def _header_of(body: dict[str, Any], schema: WriterSchema) -> dict[str, Any]:
    header = body.get(HEADER)
    if not isinstance(header, dict):
        raise DecodeFault(f"schema {schema.schema_id} has no {HEADER}: no change event", entity=schema.entity)
    missing = [name for name in _HEADER_FIELDS if header.get(name) in (None, "", [])]
    if missing:
        raise DecodeFault(f"the {HEADER} has no {', '.join(missing)}", entity=header.get("entityName") or schema.entity)
    return header


def _names(header: Mapping[str, Any], key: str, body: Mapping[str, Any], schema: WriterSchema) -> tuple[str, ...]:
    elements = header.get(key)
    return schema.fields.names_in(body, decode_bitmaps(elements, schema.layout)) if elements else ()


def _values(
    body: Mapping[str, Any], kind: str, named: Mapping[str, tuple[str, ...]], fields: FieldTable
) -> tuple[dict[str, FieldValue], list[str]]:
    """Return the values that the event tells, and the names of those whose digits may have been lost."""
    if kind in WHOLE_TYPES:
        read = fields.all_values(body)
    elif kind == "UPDATE":
        read = fields.values_of(body, (*named["changed"], *named["nulled"]))
    else:
        return {}, []
    diff = named["diff"]
    lost = [name for name, value in read.items() if value is INEXACT]
    return {n: v for n, v in read.items() if v is not INEXACT and n not in diff}, lost


def _commit(header: Mapping[str, Any]) -> Commit:
    number = header.get("commitNumber")
    return Commit(
        ts=header["commitTimestamp"],
        number=None if number is None else str(number),
        tx=header.get("transactionKey"),
        seq=header.get("sequenceNumber"),
        user=header.get("commitUser"),
        origin=header.get("changeOrigin"),
    )


def _reason(kind: str, diff: tuple[str, ...], lost: list[str]) -> str | None:
    if kind.startswith(GAP_PREFIX):
        return "overflow" if kind == "GAP_OVERFLOW" else "gap"
    if kind not in KNOWN_TYPES:
        return "unknown_change_type"
    if lost:
        return "inexact_number"
    return "text_diff" if diff else None


def _long(record_id: str) -> str:
    """Return the 18-character form; a wildcard (`001*`), or what is no id, as it came."""
    try:
        return long_id(record_id)
    except ValueError:
        return record_id
