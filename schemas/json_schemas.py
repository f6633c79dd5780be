"""The JSON Schema of every shape, made from its struct: what other teams validate against and generate code from.

Place     registry -> [this] -> schemas/jsonschema/<shape>.json (generate), which AsyncAPI's payloads point to.
Dialect   only keywords that mean the same in draft 07 (what AsyncAPI tools read) and 2020-12 (what the gate reads).
Closed    what we read: a field that we do not know is a mistake somewhere, so `additionalProperties` is false. What we
          write is open, for a reader must bear fields that come later. CloudEvents extensions are always allowed.
"""

import inspect
from typing import Any

import msgspec

from fakturo.schemas.registry import USAGE, Shape

Schema = dict[str, Any]

EXTENSION = {"type": ["string", "boolean", "integer"]}
"""What CloudEvents allows as the value of an extension attribute, as JSON."""

NOT_EMPTY = ("id", "source")
DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?([Ee][+-]?[0-9]+)?$"
"""How a Decimal of ours is written; NaN and infinity never are."""


def json_schema(shape: Shape) -> Schema:
    """Return the JSON Schema of `shape`, its parts under `definitions`."""
    (root,), parts = msgspec.json.schema_components([shape.struct], ref_template="#/definitions/{name}")
    definitions = {name: _tidy(part, closed=shape.read) for name, part in parts.items()}
    top = definitions.pop(root["$ref"].rpartition("/")[2])
    return _with_envelope(shape, top) | {"definitions": dict(sorted(definitions.items()))}


def _with_envelope(shape: Shape, top: Schema) -> Schema:
    properties = {
        name: {"const": shape.constants[name]} if name in shape.constants else part
        for name, part in top["properties"].items()
    }
    schema = {**top, "title": shape.name, "properties": properties}
    if shape.is_event:
        for name in NOT_EMPTY:
            properties[name] = {**properties[name], "minLength": 1}
        if shape.read:
            schema["additionalProperties"] = EXTENSION
        schema["description"] = _described(shape) or top["description"]
    if shape.name == USAGE:  # the account; without it a usage event can't be billed
        properties["subject"] = {"type": "string", "minLength": 1}
        schema["required"] = [*top["required"], "subject"]
    return schema


def _described(shape: Shape) -> str:
    (data,) = shape.struct.__args__
    if shape.name == USAGE:
        return "Any usage event: `subject` is the account, `time` the event time, `type` what the meters match."
    return inspect.cleandoc(data.__doc__ or "")


def _tidy(part: Any, *, closed: bool) -> Any:
    """Return `part` with descriptions unindented, decimals spelt out, and objects of known fields closed if asked."""
    if isinstance(part, list):
        return [_tidy(item, closed=closed) for item in part]
    if not isinstance(part, dict):
        return part
    tidied = {name: _tidy(item, closed=closed) for name, item in part.items()}
    if isinstance(part.get("description"), str):
        tidied["description"] = inspect.cleandoc(part["description"])
    if part.get("format") == "decimal":
        tidied["pattern"] = DECIMAL_PATTERN
    if isinstance(part.get("anyOf"), list):
        tidied = _nullable(tidied)
    if closed and "properties" in part and part.get("type") == "object":
        tidied["additionalProperties"] = False
    return tidied


def _nullable(part: Schema) -> Schema:
    """Return "this type, or null" in one line where that is what `part` says, else `part`."""
    types = [choice.get("type") for choice in part["anyOf"]]
    if len(types) != 2 or types[1] != "null" or not isinstance(types[0], str):
        return part
    rest = {name: item for name, item in part.items() if name != "anyOf"}
    return {**part["anyOf"][0], "type": types, **rest}
