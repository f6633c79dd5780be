"""One record of `billing.usage` to one usage event: checked, its data as a dict, its identity as a fingerprint.

Place     handler -> [this] -> matching. Runs once an event: no I/O, no copy that is not needed.
Ahead     depends on the record alone, so it is done while the database works on the batch before (`Reader`).
Fast      an event in structured mode is decoded at once, its data too; what that refuses is read again step by step,
          which finds the reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.usage import identities
from fakturo.consumers.usage.segments import utc
from fakturo.schemas.codec import NOT_JSON, decode_envelope
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.usage import RERATE_REQUESTED, USAGE_CORRECTED

FINGERPRINT_BYTES = 16
"""Of the payload of a correction."""
IDENTITY_BYTES_MAX = 2000
"""Of source and id together, and of the subject: more cannot be found by in an index of Postgres."""
NESTING_MAX = 100
"""Of the data's levels. The decoder's own limit is what its caller has left of the stack: what one part of Fakturo
reads, another might not."""
AHEAD_MAX = 100_000
"""So much is kept of what was read ahead, more than two batches; what of it is never asked for (records of a partition
that was lost) goes first."""

_decode = msgspec.json.Decoder(Event[dict[str, Any]]).decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode
_SHORT = IDENTITY_BYTES_MAX // 4
"""Characters, of four bytes at most."""
_NO_USAGE = frozenset(("", USAGE_CORRECTED, RERATE_REQUESTED))
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class IsRequest(Exception):
    """The record asks for a re-rating (rerate.py). Said so, it costs all others nothing."""


class IsCorrection(Exception):
    """The record corrects usage (corrected_reading.py). Said so, it costs all others nothing."""


class UsageEvent(msgspec.Struct, frozen=True, gc=False):
    """A usage event as read. `subject` is the account as given; `at` is in UTC."""

    record: Record
    source: str
    id: str
    type: str
    subject: str
    at: datetime
    data: dict[str, Any]
    fingerprint: int


Refusal = SchemaError | IsRequest | IsCorrection

Unread = tuple[Record, Refusal]
"""A record that holds no usage event, and what it is instead."""


@dataclass(slots=True)
class Reader:
    """Reads records, ahead if it can."""

    ahead: dict[int, UsageEvent] = field(default_factory=dict)
    """By `id` of the record, which the event holds: as long as it stands here no other record has that number."""

    def read_ahead(self, records: Iterable[Record]) -> None:
        """Read records of the usage topic that `read` will be asked for; what is no usage event is left to it."""
        ahead = self.ahead
        for record in records:
            try:
                ahead[id(record)] = read_usage(record)
            except (SchemaError, IsRequest, IsCorrection):
                continue
        for oldest in list(islice(ahead, max(len(ahead) - AHEAD_MAX, 0))):
            del ahead[oldest]

    def read(self, records: Iterable[Record]) -> tuple[list[UsageEvent], list[Unread]]:
        """Return the events that `records` hold, in order, and what else there was."""
        events: list[UsageEvent] = []
        unread: list[Unread] = []
        keep, take_out = events.append, self.ahead.pop
        for record in records:
            event = take_out(id(record), None)
            try:
                keep(read_usage(record) if event is None or event.record is not record else event)
            except (SchemaError, IsRequest, IsCorrection) as error:
                unread.append((record, _bare(error)))
        return events, unread


def read_usage(record: Record) -> UsageEvent:
    """Return the event that `record` holds: decoded at once where nothing is to be said against it.

    Raises:
        SchemaError: no CloudEvent, no subject, no time, data that is no object or too deep, ids too long.
        IsRequest: it asks for a re-rating.
        IsCorrection: it corrects usage.
    """
    value = record.value
    if value is None or record.headers or (b"\\" in value and b"\\u0000" in value):
        return _read_by_steps(record)
    try:
        event = _decode(value)
    except NOT_JSON:
        return _read_by_steps(record)
    source, id_, at = event.source, event.id, event.time
    if (
        event.specversion != "1.0"
        or not (source and id_ and event.subject)
        or event.type in _NO_USAGE
        or (len(value) > _SHORT and (len(source) + len(id_) > _SHORT or len(event.subject) > _SHORT))
        or value.count(b"{") + value.count(b"[") > NESTING_MAX
        or not MINYEAR < at.year < MAXYEAR
    ):
        return _read_by_steps(record)
    if at.tzinfo is not UTC:
        at = utc(at)
    number = identities.fingerprint(source, id_)
    return UsageEvent(record, source, id_, event.type, event.subject, at, event.data, number)


def _bare(error: Refusal) -> Refusal:
    """Return `error` without what led to it.

    Tracebacks hold the frames that read, and so every event of the batch, in rings that the collector finds late.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _read_by_steps(record: Record) -> UsageEvent:
    """Return the event, or find what is wrong with it."""
    value = record.value
    if value is not None and b"\\u0000" in value and _NUL.search(value):
        raise SchemaError(Reason.UNKNOWN_SHAPE, "a text holds the character NUL, which cannot be stored")
    envelope = decode_envelope(record.value, record.headers)
    if envelope.type == USAGE_CORRECTED:
        raise IsCorrection
    if envelope.type == RERATE_REQUESTED:
        raise IsRequest
    return _read(record, _with_data(envelope))


def _with_data(envelope: Event[Any]) -> Event[dict[str, Any]]:
    try:
        return msgspec.structs.replace(envelope, data=_decode_data(envelope.data))
    except msgspec.ValidationError as error:
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"data is not an object: {error}", "$.data") from error
    except NOT_JSON as error:
        raise SchemaError(Reason.MALFORMED_JSON, f"data is not JSON: {error}", "$.data") from error


def usage_event_of(envelope: Event[msgspec.Raw], record: Record) -> UsageEvent:
    """Return the event that `envelope` holds, which came with `record`.

    Raises:
        SchemaError: no subject, data that is no object or too deep, a subject or an identity too long.
    """
    if not envelope.subject:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "subject, the account, is missing", "$.subject")
    return _read(record, _with_data(envelope))


def _read(record: Record, event: Event[dict[str, Any]]) -> UsageEvent:
    source, id_, subject = event.source, event.id, event.subject
    if not subject:
        raise SchemaError(Reason.UNKNOWN_SHAPE, "subject, the account, is missing", "$.subject")
    must_be_short("source and id", source + id_, "$.id")
    must_be_short("subject", subject, "$.subject")
    value = record.value or b""
    if value.count(b"{") + value.count(b"[") > NESTING_MAX and _is_too_deep(event.data):
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"data has more than {NESTING_MAX} levels", "$.data")
    number = identities.fingerprint(source, id_)
    return UsageEvent(record, source, id_, event.type, subject, utc(event.time), event.data, number)


def must_be_short(what: str, text: str, path: str) -> None:
    """Raise SchemaError if `text` is longer than what an index holds."""
    if len(text) * 4 > IDENTITY_BYTES_MAX and len(text.encode()) > IDENTITY_BYTES_MAX:
        problem = f"{what}: more than {IDENTITY_BYTES_MAX} bytes, and nothing so long can be found again"
        raise SchemaError(Reason.UNKNOWN_SHAPE, problem, path)


def _is_too_deep(data: dict[str, Any]) -> bool:
    """Return whether objects and arrays lie deeper in each other than `NESTING_MAX`."""
    level: list[Any] = [data]
    for _ in range(NESTING_MAX):
        inner = [one for found in level for one in (found.values() if isinstance(found, dict) else found)]
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True
