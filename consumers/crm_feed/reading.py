"""From the bytes of a foreign record to the change records that it tells: unframe, decode, detect, make canonical.

Place     handler.py -> [this] -> registry.py (wire format), shapes/ -> handler.py.
Origin    a record of `sf.retry` is read as one of the topic that its header names: so it is known again.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.shapes.canonical import records_of
from fakturo.consumers.crm_feed.shapes.connect_schema import typed_by_connect
from fakturo.consumers.crm_feed.shapes.detection import shape_of, shapes
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchema, EventSchemas
from fakturo.consumers.crm_feed.shapes.field_kinds import FieldKinds
from fakturo.consumers.crm_feed.shapes.json_text import parse_json
from fakturo.consumers.crm_feed.shapes.message import Message
from fakturo.consumers.crm_feed.shapes.wire_format import decode_framed, is_framed, schema_id_of
from fakturo.consumers.runtime.records import Headers, Record
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.topics import ORIGIN_HEADER, SF_RETRY


@dataclass(frozen=True, slots=True)
class Reading:
    """The change records of one foreign record, and the shape that it had."""

    shape: str
    changes: tuple[ChangeRecord, ...]


class Reader:
    """Reads foreign records; `pinned` is the one shape to accept, empty for any."""

    def __init__(self, registry: SchemaRegistry, schemas: EventSchemas, pinned: str = "") -> None:
        self._registry = registry
        self._shapes = shapes(schemas)
        self._kinds = FieldKinds(schemas.kinds())
        self._pinned = pinned

    async def read(self, record: Record) -> Reading:
        """Return what `record` tells.

        Raises:
            SchemaError: it can't be read, or not without guessing.
            WorldAway: the schema registry does not answer.
        """
        message = await self._message(record)
        shape = shape_of(message, self._shapes, self._pinned)
        return Reading(shape.name, records_of(shape.read(message), message, self._kinds))

    async def _message(self, record: Record) -> Message:
        body, schema = await self._value(record.value)
        headers = _texts(record.headers)
        return Message(
            topic=headers.get(ORIGIN_HEADER, record.topic) if record.topic == SF_RETRY.name else record.topic,
            recorded_ms=int(record.recorded_at.timestamp() * 1000),
            key=await self._key(record.key),
            headers=headers,
            body=body,
            event_schema=schema,
        )

    async def _value(self, value: bytes | None) -> tuple[Any, EventSchema | None]:
        if value is None:
            return None, None
        if is_framed(value):
            schema = await self._registry.schema(schema_id_of(value))
            return decode_framed(value, schema), schema.event
        return _opened(parse_json(value)), None

    async def _key(self, key: bytes | None) -> Any:
        """Return the key decoded: an object, or a text; what is neither (a number's bytes) names no record."""
        if key is None:
            return None
        if is_framed(key):
            return decode_framed(key, await self._registry.schema(schema_id_of(key)))
        if key[:1] in (b"{", b'"'):
            try:
                return msgspec.json.decode(key)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
        return key.decode("utf-8", "replace")


def _opened(body: Any) -> Any:
    """Return the payload of the JsonConverter's `{"schema", "payload"}`, typed by that schema; else `body`.

    A CometD message has both too, but there `schema` is a text.
    """
    if isinstance(body, dict) and body.keys() == {"schema", "payload"}:
        schema = body["schema"]
        if schema is None:
            return body["payload"]
        if isinstance(schema, dict):
            return typed_by_connect(body["payload"], schema)
    return body


def _texts(headers: Headers) -> dict[str, str]:
    """Return the headers as texts, the JSON converter's quotes taken off; the last of a name counts."""
    texts = {}
    for name, value in headers:
        if value is not None:
            text = value.decode("utf-8", "replace")
            texts[name] = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    return texts
