"""One record with `fakturo.usage.corrected.v1` to one correction: what it corrects, and by which event.

Place     claiming, corrected -> [this]. No I/O.
Identity  a correction is known by the (`source`, `id`) of its own CloudEvent, by the rules of usage events: the same
          payload again is a repeat, another payload is rejected. Its replacement is a usage event with an identity of
          its own, read and checked like any other.
"""

from datetime import datetime
from hashlib import blake2b

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.usage.event_store import Identity
from fakturo.consumers.usage.reading import FINGERPRINT_BYTES, UsageEvent, must_be_short, usage_event_of
from fakturo.schemas.codec import decode_data, decode_envelope, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.usage import USAGE_CORRECTED, EventIdentity

TO_APPLY = "usage correction"
"""What a correction waits for that has just come: to be applied, alone with the contracts."""

_REPLACEMENT = "$.data.replacement"
_WAITS_FOR = "usage event "


def waits_for(identity: Identity) -> str:
    """Return what a correction waits for whose event has not come: the reference that it is parked under."""
    return _WAITS_FOR + encode(identity).decode()


def waited_for(reference: str) -> Identity:
    """Return the event that `reference`, made by `waits_for`, names."""
    source, event_id = msgspec.json.decode(reference.removeprefix(_WAITS_FOR), type=Identity)
    return source, event_id


def is_reserved(reference: str) -> bool:
    """Return whether corrections wait under such references: an account cannot be called so."""
    return reference == TO_APPLY or reference.startswith(_WAITS_FOR)


class Correction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A correction as read. `replacement` is None where it voids; `at` is the CloudEvent's time."""

    record: Record
    identity: Identity
    subject: str
    at: datetime
    corrects: Identity
    replacement: UsageEvent | None
    payload_hash: bytes


class _Data(msgspec.Struct, frozen=True):
    """The data with the replacement unread, so that no number in it is touched."""

    corrects: EventIdentity
    replacement: msgspec.Raw


_decode = msgspec.json.Decoder(_Data).decode


def read_correction(record: Record) -> Correction:
    """Return the correction that `record` holds.

    Raises:
        SchemaError: it is no correction, names no event, its identity or that of the event is too long, or its
            replacement is no usage event.
    """
    envelope = decode_envelope(record.value, record.headers)
    if envelope.type != USAGE_CORRECTED:
        raise SchemaError(Reason.UNKNOWN_TYPE, f"{envelope.type!r} is no correction of usage", "$.type")
    if not envelope.subject:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "subject, the account of the corrected event, is missing", "$.subject")
    decode_data(envelope)  # checks the shape and names the path
    data = _decode(envelope.data)
    for name in ("source", "id"):
        if not getattr(data.corrects, name):
            text = f"{name} of the event to correct is empty: name the source and the id that it was sent with"
            raise SchemaError(Reason.UNKNOWN_SHAPE, text, f"$.data.corrects.{name}")
    must_be_short("source and id", envelope.source + envelope.id, "$.id")
    must_be_short("source and id", data.corrects.source + data.corrects.id, "$.data.corrects.id")
    is_void = bytes(data.replacement).strip() == b"null"
    return Correction(
        record=record,
        identity=(envelope.source, envelope.id),
        subject=envelope.subject,
        at=envelope.time,
        corrects=(data.corrects.source, data.corrects.id),
        replacement=None if is_void else _replacement(data.replacement, record),
        payload_hash=_fingerprint(envelope),
    )


def _replacement(raw: msgspec.Raw, record: Record) -> UsageEvent:
    try:
        return usage_event_of(_no_correction(decode_envelope(bytes(raw))), record)
    except SchemaError as error:
        text = str(error).removesuffix(f" (at {error.path})")
        raise SchemaError(error.reason, text, _REPLACEMENT + error.path.removeprefix("$")) from error


def _no_correction(envelope: Event[msgspec.Raw]) -> Event[msgspec.Raw]:
    if envelope.type == USAGE_CORRECTED:
        text = "a replacement is a usage event, not a correction: name in corrects what is to be corrected"
        raise SchemaError(Reason.UNKNOWN_SHAPE, text, "$.type")
    return envelope


def _fingerprint(envelope: Event[msgspec.Raw]) -> bytes:
    canonical = encode(msgspec.json.decode(envelope.data))
    head = f"{envelope.type}\n{envelope.subject}\n{envelope.time.timestamp()!r}\n"
    return blake2b(head.encode() + canonical, digest_size=FINGERPRINT_BYTES).digest()
