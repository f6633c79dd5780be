"""One record of `billing.usage` to one usage event: checked, its data as a dict, its payload as a fingerprint.

Place     handler -> [this] -> matching. Runs once an event: no I/O, no copy that is not needed.
Payload   the fingerprint covers type, subject, time and data in canonical form, so that the order of keys, the offset
          of the time or the headers do not make another payload of the same event.
"""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.codec import NOT_JSON, decode_envelope, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.usage import RERATE_REQUESTED, USAGE_CORRECTED

_decode_data = msgspec.json.Decoder(dict[str, Any]).decode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
FINGERPRINT_BYTES = 16


class IsRequest(Exception):
    """The record asks for a re-rating (rerate.py). Said so, it costs all others nothing."""


class UsageEvent(msgspec.Struct, frozen=True, gc=False):
    """A usage event as read. `subject` is the account as given; `data_text` is the canonical JSON of `data`."""

    record: Record
    source: str
    id: str
    type: str
    subject: str
    at: datetime
    data: dict[str, Any]
    data_text: str
    payload_hash: bytes


class IsCorrection(Exception):
    """The record corrects usage. Said so, it costs all others nothing."""


def read_usage(record: Record) -> UsageEvent:
    """Return the event that `record` holds.

    Raises:
        SchemaError: no CloudEvent, no subject, no time, or data that is no object.
        IsRequest: it asks for a re-rating.
        IsCorrection: it corrects usage (corrected_reading.py).
    """
    value = record.value
    if value is not None and b"\\u0000" in value and _NUL.search(value):
        raise SchemaError(Reason.UNKNOWN_SHAPE, "a text holds the character NUL, which cannot be stored")
    envelope = decode_envelope(value, record.headers)
    if envelope.type == USAGE_CORRECTED:
        raise IsCorrection
    if envelope.type == RERATE_REQUESTED:
        raise IsRequest
    return usage_event_of(envelope, record)


def usage_event_of(envelope: Event[msgspec.Raw], record: Record) -> UsageEvent:
    """Return the event that `envelope` holds, which came with `record`.

    Raises:
        SchemaError: no subject, or data that is no object.
    """
    subject = envelope.subject
    if not subject:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "subject, the account, is missing", "$.subject")
    try:
        data = _decode_data(envelope.data)
    except msgspec.ValidationError as error:
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"data is not an object: {error}", "$.data") from error
    except NOT_JSON as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"data is not JSON: {error}", "$.data") from error
    canonical = encode(data)
    head = f"{envelope.type}\n{subject}\n{envelope.time.timestamp()!r}\n"
    payload_hash = blake2b(head.encode() + canonical, digest_size=FINGERPRINT_BYTES).digest()
    return UsageEvent(
        record,
        envelope.source,
        envelope.id,
        envelope.type,
        subject,
        envelope.time,
        data,
        canonical.decode(),
        payload_hash,
    )
