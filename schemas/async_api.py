"""The AsyncAPI 3.1 document: every topic, who writes it, its messages and Kafka settings, for people and tools.

Place     topics + registry -> [this] -> schemas/asyncapi.yaml (generate). Payloads point to schemas/jsonschema/.
Seen from Fakturo: it receives what others write, and sends what its agents write.
Source    AsyncAPI 3.1.0; Kafka bindings 0.5.0.
"""

from typing import Any

from fakturo.schemas.json_schemas import json_schema
from fakturo.schemas.registry import SHAPES, Shape, shapes_on
from fakturo.schemas.topics import DAY_SECONDS, INPUT_TOPICS, OUTPUT_TOPICS, RESERVED_TOPICS, SEQUENCE_HEADER, Topic

VERSION = "0.1.0"
BINDING_VERSION = "0.5.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-07"
CHANNEL_TOPICS = (*INPUT_TOPICS, *OUTPUT_TOPICS, *RESERVED_TOPICS)

INTRODUCTION = (
    "Fakturo turns contracts from Salesforce and usage from Kafka into invoices, ledgers and KPIs, exactly once. "
    "Values are CloudEvents 1.0 in JSON, structured mode (binary mode is accepted on input), but for `sf.cdc.*`. "
    "Amounts are integers of minor units (`*_minor`) or decimal strings, never floats; instants are RFC 3339 in UTC. "
    f"Read our topics with `isolation.level=read_committed`; the header `{SEQUENCE_HEADER}` counts each partition's "
    "records from 1, without a gap (with jumps where compaction begins). What an agent can't process goes to "
    "`<topic>.dlq`, bytes and headers unchanged."
)


def async_api() -> dict[str, Any]:
    """Return the document."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Fakturo",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.name: _channel(topic) for topic in CHANNEL_TOPICS},
        "operations": {_operation_name(topic): _operation(topic) for topic in CHANNEL_TOPICS},
        "components": {
            "messages": {shape.name: _message(shape) for shape in SHAPES},
            "messageTraits": {"headers": {"headers": _HEADERS}},
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "description": topic.description,
        "messages": {shape.name: {"$ref": f"#/components/messages/{shape.name}"} for shape in shapes_on(topic)},
        "bindings": {"kafka": {"topic": topic.name, "topicConfiguration": _configuration(topic), **_BINDING}},
        "x-owner": topic.owner or "others",
        "x-body-bytes-max": topic.body_bytes_max,
        "x-readers": list(topic.readers),
        "x-status": "reserved" if topic in RESERVED_TOPICS else "live",
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    if not topic.compacted:
        days = topic.retention_days
        configuration["retention.ms"] = -1 if days is None else days * DAY_SECONDS * 1000
    return configuration


def _operation_name(topic: Topic) -> str:
    return f"{_action(topic)}.{topic.name}"


def _action(topic: Topic) -> str:
    return "receive" if topic.owner is None else "send"


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": _action(topic),
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.description,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{shape.name}"} for shape in shapes_on(topic)],
    }


def _message(shape: Shape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "title": shape.name,
        "summary": json_schema(shape)["description"].partition("\n")[0],
        "contentType": "application/cloudevents+json" if shape.is_event else "application/json",
        "traits": [{"$ref": "#/components/messageTraits/headers"}],
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./jsonschema/{shape.name}.json"}},
        "bindings": {"kafka": {"key": {"type": "string", "description": shape.topics[0].key}, **_BINDING}},
        "x-example": f"./examples/{shape.name}.json",
    }


_BINDING = {"bindingVersion": BINDING_VERSION}
_HEADERS = {
    "type": "object",
    "properties": {
        "content-type": {"type": "string"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
        SEQUENCE_HEADER: {"type": "string", "pattern": "^[0-9]+$", "description": "only on topics that Fakturo writes"},
    },
}
