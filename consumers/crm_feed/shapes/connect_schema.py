"""Values of Kafka Connect by their schema: days, milliseconds and scaled bytes become dates, instants and decimals.

Place     reading.py (`{"schema", "payload"}` of the JsonConverter), wire_format.py (JSON Schema) -> [this]. Pure.
Form      in both a logical type is told by its name (`org.apache.kafka.connect.data.Date`); in a JSON Schema as the
          `title` of a property, or of the branch of its `oneOf` that is not null.
Source    Kafka, org.apache.kafka.connect.data.{Date,Time,Timestamp,Decimal}; Confluent's JsonSchemaConverter.
"""

import base64
import binascii
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fakturo.consumers.crm_feed.shapes.times import day_text
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.salesforce.avro_fields import datetime_text

_LOGICAL = "org.apache.kafka.connect.data."


def typed_by_connect(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return `value` as the embedded Connect schema means it, structs and arrays included.

    Raises:
        SchemaError: a value that is none of its logical type.
    """
    if isinstance(value, dict) and schema.get("type") == "struct":
        fields = {str(found.get("field")): found for found in schema.get("fields") or () if isinstance(found, dict)}
        return {name: typed_by_connect(inner, fields.get(name, {})) for name, inner in value.items()}
    parameters = schema.get("parameters")
    return _logical(value, str(schema.get("name") or ""), parameters if isinstance(parameters, dict) else {})


def typed_by_json_schema(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return `value` as the JSON Schema of a Connect converter means it.

    Raises:
        SchemaError: a value that is none of its logical type.
    """
    found = _not_null(schema)
    properties = found.get("properties")
    if isinstance(value, dict) and isinstance(properties, dict):
        return {name: typed_by_json_schema(inner, properties.get(name) or {}) for name, inner in value.items()}
    parameters = found.get("connect.parameters")
    return _logical(value, str(found.get("title") or ""), parameters if isinstance(parameters, dict) else {})


def _not_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    branches = schema.get("oneOf")
    if not isinstance(branches, list):
        return schema
    return next((found for found in branches if isinstance(found, dict) and found.get("type") != "null"), {})


def _logical(value: Any, name: str, parameters: Mapping[str, Any]) -> Any:
    if value is None or not name.startswith(_LOGICAL):
        return value
    try:
        return _by_name(value, name.removeprefix(_LOGICAL), parameters)
    except (ValueError, TypeError, OverflowError, ArithmeticError, binascii.Error) as error:
        raise SchemaError(Reason.INVALID_TIME, f"{value!r:.40} is no {name}: {error}") from error


def _by_name(value: Any, kind: str, parameters: Mapping[str, Any]) -> Any:
    if kind == "Date" and isinstance(value, int):
        return day_text(value)
    if kind == "Timestamp" and isinstance(value, int):
        return datetime_text(value)
    if kind == "Time" and isinstance(value, int):
        return datetime_text(value)[11:]
    if kind == "Decimal" and isinstance(value, str):
        unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
        return Decimal(unscaled).scaleb(-int(parameters.get("scale", 0)))
    return value
