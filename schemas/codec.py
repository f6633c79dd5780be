"""Bytes to events and back; errors name the JSON path.

Place     Kafka record value -> [this] -> agents; agents -> [this] -> outbox.
Two steps `decode_envelope` reads the envelope and leaves `data` raw (what the usage path needs), `decode_event`
          reads `data` as the struct of the event's type.
Source    CloudEvents 1.0 JSON format, and its Kafka binding for the binary mode (`ce_*` headers).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events import EVENT_TYPES

Headers = Iterable[tuple[str, bytes]]
Data = TypeVar("Data")

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_envelope_decoder = msgspec.json.Decoder(Event[msgspec.Raw])
_data_decoders = {name: msgspec.json.Decoder(struct) for name, struct in EVENT_TYPES.items()}
_PATH = re.compile(r" - at `([^`]+)`$")


def encode(value: object) -> bytes:
    """Return compact JSON with sorted keys: the same value always gives the same bytes."""
    return _encoder.encode(value)


def decode_envelope(value: bytes | None, headers: Headers = ()) -> Event[msgspec.Raw]:
    """Return the CloudEvent with its `data` unread.

    Raises:
        SchemaError: no body, no JSON, a missing attribute, a time without zone.
    """
    if value is None:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "the record has no value; a CloudEvent was expected")
    attributes = _binary_attributes(headers)
    if attributes:
        return _from_binary(attributes, value)
    try:
        event = _envelope_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _schema_error(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"not JSON: {error}") from error
    return _checked(event)


def decode_event(value: bytes | None, headers: Headers = ()) -> Event[Any]:
    """Return the CloudEvent with `data` as the struct of its type.

    Raises:
        SchemaError: as `decode_envelope`, or a type we do not know, or data that is not of the type's shape.
    """
    envelope = decode_envelope(value, headers)
    return msgspec.structs.replace(envelope, data=decode_data(envelope))


def decode_data(envelope: Event[msgspec.Raw]) -> Any:
    """Return the `data` of `envelope` as the struct that its `type` names.

    Raises:
        SchemaError: a type we do not know, or data that is not of its shape.
    """
    decoder = _data_decoders.get(envelope.type)
    if decoder is None:
        raise SchemaError(Reason.UNKNOWN_TYPE, f"no event of ours has the type {envelope.type!r}", "$.type")
    try:
        return decoder.decode(envelope.data)
    except msgspec.ValidationError as error:
        raise _schema_error(error, prefix="$.data") from error
    except msgspec.DecodeError as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"data is not JSON: {error}", "$.data") from error


def _binary_attributes(headers: Headers) -> dict[str, str]:
    return {name[3:]: value.decode("utf-8", "replace") for name, value in headers if name.startswith(("ce_", "ce-"))}


def _from_binary(attributes: Mapping[str, str], value: bytes) -> Event[msgspec.Raw]:
    known = {name: text for name, text in attributes.items() if name in Event.__struct_fields__}
    try:
        envelope = msgspec.convert({**known, "data": msgspec.Raw(value)}, Event[msgspec.Raw], strict=False)
    except msgspec.ValidationError as error:
        raise _schema_error(error) from error
    return _checked(envelope)


def _checked(event: Event[msgspec.Raw]) -> Event[msgspec.Raw]:
    if event.specversion != "1.0":
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"specversion {event.specversion!r} is not '1.0'", "$.specversion")
    for name in ("id", "source", "type"):
        if not getattr(event, name):
            raise SchemaError(Reason.UNKNOWN_SHAPE, f"{name} is empty", f"$.{name}")
    return event


def _schema_error(error: msgspec.ValidationError, prefix: str = "$") -> SchemaError:
    text = str(error)
    found = _PATH.search(text)
    path = prefix + found.group(1)[1:] if found else prefix
    reason = Reason.UNKNOWN_SHAPE
    if path.endswith((".time", "_at", ".at")):
        reason = Reason.INVALID_TIME
    elif "got `float`" in text:
        reason = Reason.FLOAT_AMOUNT
    return SchemaError(reason, _PATH.sub("", text), path)
