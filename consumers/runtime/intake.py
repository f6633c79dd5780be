"""What of a slice is new: repeats dropped, sequence checked, clock ticks taken out, each record told its time.

Place     processor locks the cursor -> [this] -> the agent's batch, and the cursor as it will stand. No I/O.
Cost      one pass: a search for the tick's type in the bytes, and nothing else for a usage event.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from fakturo.consumers.runtime.cursor import Cursor
from fakturo.consumers.runtime.errors import SequenceLost
from fakturo.consumers.runtime.records import Record, Slice
from fakturo.schemas.codec import decode_data, decode_envelope
from fakturo.schemas.dead_letters import DeadLetterReason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.topics import CLOCK_ADVANCED, INPUT_TOPICS, OUTPUT_TOPICS, SEQUENCE_HEADER, TOPICS

_TICK = CLOCK_ADVANCED.encode()
_TICKED = frozenset(topic.name for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS))
"""Where time passes. In other people's topics a tick is nobody's of ours: it is read as what they wrote."""
_stamp = msgspec.structs.force_setattr


@dataclass(slots=True, kw_only=True)
class Intake:
    """What of one slice goes on; `cursor` is how the cursor stands once it has been applied."""

    cursor: Cursor
    records: list[Record] = field(default_factory=list)
    refused: list[tuple[Record, DeadLetterReason, str]] = field(default_factory=list)
    duplicate_count: int = 0
    tick_count: int = 0


def take_in(found: Slice, cursor: Cursor, event_bytes_max: int) -> Intake:
    """Return what of `found` is new to `cursor`; the slice joins on to the cursor (the caller has seen to that).

    Raises:
        SequenceLost: a record of a topic of ours is missing.
    """
    intake = Intake(cursor=replace(cursor, next_offset=max(found.end_offset, cursor.next_offset)))
    topic = TOPICS.get(found.topic)
    fresh = [record for record in found.records if record.offset >= cursor.next_offset]
    if topic is not None and topic.owner is not None:
        fresh = _in_sequence(fresh, intake, compacted=topic.compacted)
        event_bytes_max = topic.body_bytes_max  # a long invoice is no bad event; the broker has judged its size
    _tell_time(fresh, intake, event_bytes_max, is_ticked=found.topic in _TICKED)
    return intake


def _in_sequence(records: list[Record], intake: Intake, *, compacted: bool) -> list[Record]:
    """Return the records that come next by the owner's numbering; a record without number is nobody's of ours."""
    cursor, last, kept = intake.cursor, intake.cursor.last_sequence, []
    for record in records:
        number = _sequence(record)
        if number is None:
            intake.refused.append((record, DeadLetterReason.UNKNOWN_SHAPE, f"no {SEQUENCE_HEADER} header: not ours"))
        elif number <= last:
            intake.duplicate_count += 1
        elif number > last + 1 and not compacted:
            raise SequenceLost(cursor.topic, cursor.partition, last + 1, number)
        else:
            kept.append(record)
            last = number
    intake.cursor = replace(cursor, last_sequence=last)
    return kept


def _sequence(record: Record) -> int | None:
    stored = record.header(SEQUENCE_HEADER)
    return int(stored) if stored is not None and stored.isdigit() else None


def _tell_time(records: list[Record], intake: Intake, event_bytes_max: int, *, is_ticked: bool) -> None:
    reached_at, recorded_at = intake.cursor.watermark_at, intake.cursor.watermark_recorded_at
    keep = intake.records.append
    for record in records:
        value = record.value
        if value is not None:
            if len(value) > event_bytes_max:
                message = f"{len(value)} bytes, at most {event_bytes_max} are taken"
                intake.refused.append((record, DeadLetterReason.BODY_TOO_LARGE, message))
                continue
            if is_ticked and _TICK in value and (tick := read_tick(record)) is not None:
                intake.tick_count += 1
                if reached_at is None or tick[0] > reached_at:
                    reached_at, recorded_at = tick
                continue
        if record.watermark_at is not reached_at:
            _stamp(record, "watermark_at", reached_at)
        keep(record)
    intake.cursor = replace(intake.cursor, watermark_at=reached_at, watermark_recorded_at=recorded_at)


def read_tick(record: Record) -> tuple[datetime, datetime] | None:
    """Return what time has reached and when we knew, if `record` is a clock tick and not an event that names one."""
    try:
        envelope = decode_envelope(record.value, record.headers)
        if envelope.type != CLOCK_ADVANCED:
            return None
        return decode_data(envelope).at, envelope.recordedat or record.recorded_at
    except SchemaError:
        return None
