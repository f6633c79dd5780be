"""The lines of a replay file: JSON Lines of `{topic, key, value, headers?, at?}`, checked before anything is published.

Place     `fakturo replay INPUT.jsonl` -> [this] -> producers/replay.
`value`   any JSON value, published as compact JSON; `{"base64": "..."}` for bytes that are no JSON; null for no value.
`at`      when it was recorded; default the event's own time (CloudEvents `time`, or the commit of a change record),
          else that of the line before.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fakturo.schemas.topics import INPUT_TOPICS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INPUT_NAMES = tuple(topic.name for topic in INPUT_TOPICS)


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topic: str
    value: msgspec.Raw
    key: str | None = None
    headers: dict[str, str] = {}
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLine:
    """One record to publish; `at` becomes its timestamp, so `recorded_at` is the same in every replay."""

    number: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    at: datetime


class ReplayFault(Exception):
    """A line of the file cannot be read; the text names the file, the line and what to mend."""


_decoder = msgspec.json.Decoder(_Line)


def read_lines(path: Path) -> Iterator[ReplayLine]:
    """Yield the lines of `path` in order.

    Raises:
        ReplayFault: at the first line that cannot be read.
    """
    at = EPOCH
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            line = _read_line(path, number, text, at)
            at = line.at
            yield line


def _read_line(path: Path, number: int, text: bytes, previous_at: datetime) -> ReplayLine:
    try:
        line = _decoder.decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ReplayFault(f"{path}:{number}: {error}; a line is {{topic, key, value, headers?, at?}}") from error
    if line.topic not in INPUT_NAMES:
        raise ReplayFault(f"{path}:{number}: topic {line.topic!r} is none of {', '.join(INPUT_NAMES)}")
    if line.at is not None and line.at.tzinfo is None:
        raise ReplayFault(f"{path}:{number}: at has no time zone; write it with an offset, such as Z")
    document = msgspec.json.decode(line.value)
    return ReplayLine(
        number=number,
        topic=line.topic,
        key=line.key.encode() if line.key is not None else None,
        value=_value_bytes(path, number, line.value, document),
        headers=tuple((name, content.encode()) for name, content in line.headers.items()),
        at=(line.at or own_time(document) or previous_at).astimezone(UTC),
    )


def _value_bytes(path: Path, number: int, raw: msgspec.Raw, document: Any) -> bytes | None:
    if document is None:
        return None
    if isinstance(document, dict) and set(document) == {"base64"}:
        try:
            return base64.b64decode(document["base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ReplayFault(f"{path}:{number}: value.base64 is not base64: {error}") from error
    return bytes(raw)


def own_time(document: Any) -> datetime | None:
    """Return the time that an event gives itself: CloudEvents `time`, or `commit.ts` of a change record; else None."""
    if not isinstance(document, dict):
        return None
    commit = document.get("commit")
    if isinstance(commit, dict) and isinstance(commit.get("ts"), int):
        return EPOCH + timedelta(milliseconds=commit["ts"])
    try:
        found = msgspec.convert(document.get("time"), datetime)
    except msgspec.ValidationError:
        return None
    return found if found.tzinfo is not None else None
