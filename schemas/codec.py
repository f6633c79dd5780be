"""Bytes to events and back; errors name the JSON path.

Place     Kafka record value -> [this] -> agents; agents -> [this] -> outbox.
Two steps `decode_envelope` reads the envelope and leaves `data` raw (what the usage path needs), `decode_event`
          reads `data` as the struct of the event's type.
Source    CloudEvents 1.0 JSON format, and its Kafka binding: a content type of `application/cloudevents...` says
          structured mode whatever other headers there are; else `ce_*` headers say binary mode.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import MAXYEAR, MINYEAR
from typing import Any, TypeVar

import msgspec

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events import EVENT_TYPES

Headers = Iterable[tuple[str, bytes | None]]
Data = TypeVar("Data")

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_envelope_decoder = msgspec.json.Decoder(Event[msgspec.Raw])
_data_decoders = {name: msgspec.json.Decoder(struct) for name, struct in EVENT_TYPES.items()}
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are no JSON, no UTF-8, or nested deeper than anybody means."""
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
    except NOT_JSON as error:
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
    except NOT_JSON as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"data is not JSON: {error}", "$.data") from error


def _binary_attributes(headers: Headers) -> dict[str, str]:
    attributes = {}
    for name, value in headers:
        if value is None:
            continue
        if name.startswith(("ce_", "ce-")):
            attributes[name[3:]] = value.decode("utf-8", "replace")
        elif name.lower() == "content-type":
            if value.startswith(b"application/cloudevents"):
                return {}
            attributes["datacontenttype"] = value.decode("utf-8", "replace")
    return {} if attributes.keys() <= {"datacontenttype"} else attributes


def _from_binary(attributes: Mapping[str, str], value: bytes) -> Event[msgspec.Raw]:
    known = {name: text for name, text in attributes.items() if name in Event.__struct_fields__}
    for name, text in known.items():
        if "\0" in text:
            raise SchemaError(Reason.UNKNOWN_SHAPE, "it holds the character NUL, which cannot be stored", f"$.{name}")
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
    if not MINYEAR < event.time.year < MAXYEAR:  # at the edges a change of zone would leave the calendar
        raise SchemaError(Reason.INVALID_TIME, f"the year {event.time.year} is out of range", "$.time")
    return event


def _schema_error(error: msgspec.ValidationError, prefix: str = "$") -> SchemaError:
    text = str(error)
    found = _PATH.search(text)
    path = prefix + found.group(1)[1:] if found else prefix
    reason = Reason.UNKNOWN_SHAPE
    if path.endswith((".time", "_at", ".at")) or "datetime" in text or text.endswith("field `time`"):
        reason = Reason.INVALID_TIME
    elif "got `float`" in text:
        reason = Reason.FLOAT_AMOUNT
    elif "matching regex" in text:  # DecimalString: the only pattern among what we read
        reason = Reason.NOT_A_NUMBER
    return SchemaError(reason, _PATH.sub("", text), path)
