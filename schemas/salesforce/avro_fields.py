"""Canonical values from a decoded change event: what a field is stands in `doc` alone, its Avro type says too little.

Place     decoded Avro + the writer's schema -> [this] -> values of a ChangeRecord. Pure.
Form      decimals as text, dates `YYYY-MM-DD`, datetimes ISO Z with milliseconds, compounds dotted. A kind that we do
          not know is kept as text.
Money     comes as an IEEE double, exact to 15 digits while Salesforce holds 18: what may have lost digits is INEXACT
          and must be read again over REST. `Decimal(repr(x))`, never `Decimal(x)`; rounded half away from zero to the
          field's scale where describe has told it.
Source    reference 1.7: a real AccountChangeEvent schema; a union of Name is null, text or a person's record.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from types import NoneType
from typing import Any

import msgspec

from fakturo.schemas.events.change_data import FieldValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT_DIGITS = 15
"""Every decimal of at most so many significant digits survives its way through a double (IEEE 754)."""
SCALE_ASSUMED = 2
"""Where nobody has told a field's scale: the one of nearly all currencies."""
DAY_MS = 86_400_000


class Inexact(Enum):
    """The type of INEXACT."""

    INEXACT = "digits may have been lost"


INEXACT = Inexact.INEXACT
"""Stands for a number whose digits may have been lost on its way through a double."""

Read = FieldValue | Inexact
Reader = Callable[[Any], Read]


class FieldFault(ValueError):
    """A value that the writer's schema lets pass and that is none of its kind; the text names the field."""


@dataclass(frozen=True, slots=True)
class Part:
    """A value that stands by itself: `name` as the canonical record has it, `key` as the decoded event has it."""

    name: str
    key: str
    read: Reader


@dataclass(frozen=True, slots=True)
class EventField:
    """A top-level field. `parts` are a compound's; `may_be_text`: its union also takes text (a company's name)."""

    name: str
    read: Reader
    parts: tuple[Part, ...] = ()
    may_be_text: bool = False


class FieldTable:
    """The fields of one writer's schema, ready to be read."""

    def __init__(self, fields: Sequence[EventField]) -> None:
        self._fields = tuple(fields)
        self._by_name = {field.name: field for field in fields}
        self._parts = {part.name: (field, part) for field in fields for part in field.parts}

    def all_values(self, body: Mapping[str, Any]) -> dict[str, Read]:
        """Return every value of `body`, null where it is empty.

        Raises:
            FieldFault: a date or a time that is none.
        """
        values: dict[str, Read] = {}
        for field in self._fields:
            _read_whole(field, body[field.name], values)
        return values

    def names_in(self, body: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
        """Return `names` as the canonical record has them: a whole compound by its parts, a company's name whole."""
        found: dict[str, None] = {}
        for name in names:
            if field := self._by_name.get(name):
                is_whole = _is_whole(field, body[name])
                found.update(dict.fromkeys((name,) if is_whole else (part.name for part in field.parts)))
            elif known := self._parts.get(name):
                field, _ = known
                found[name if isinstance(body[field.name], Mapping | NoneType) else field.name] = None
            else:
                found[name] = None
        return tuple(found)

    def values_of(self, body: Mapping[str, Any], names: Iterable[str]) -> dict[str, Read]:
        """Return the values of the fields called `names`, as `names_in` gives them; unknown names are left out.

        Raises:
            FieldFault: a date or a time that is none.
        """
        values: dict[str, Read] = {}
        for name in names:
            if field := self._by_name.get(name):
                values[name] = _read_one(name, field.read, body[name])
            elif known := self._parts.get(name):
                field, part = known
                inner = body[field.name]
                values[name] = None if inner is None else _read_one(name, part.read, inner[part.key])
        return values


def _is_whole(field: EventField, value: Any) -> bool:
    """Return whether the field stands in the canonical record under its own name, and not by its parts."""
    return not field.parts or (value is None and field.may_be_text) or not isinstance(value, Mapping | NoneType)


def _read_whole(field: EventField, value: Any, into: dict[str, Read]) -> None:
    if _is_whole(field, value):
        into[field.name] = _read_one(field.name, field.read, value)
    else:
        for part in field.parts:
            into[part.name] = None if value is None else _read_one(part.name, part.read, value[part.key])


def _read_one(name: str, read: Reader, value: Any) -> Read:
    if value is None:
        return None
    try:
        return read(value)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise FieldFault(f"{name}: {value!r:.60} is no value of its kind: {error}") from error


def field_table(schema: Mapping[str, Any], scales: Mapping[str, int] | None = None) -> FieldTable:
    """Return the fields of a change event's Avro schema (as parsed JSON), its header left out.

    `scales` are the digits after the point by canonical name, as describe tells them. Parts of a compound are names,
    lines of an address and coordinates, which are measured and no money: they are never INEXACT.
    """
    known = scales or {}
    records: dict[str, Mapping[str, Any]] = {}
    fields = []
    for field in schema["fields"]:
        kind, name = kind_of(field.get("doc")), str(field["name"])
        record = _record_in(field["type"], records)
        if name == "ChangeEventHeader":
            continue
        parts = () if record is None else _parts_of(name, record, known)
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        fields.append(EventField(name, reader_of(kind, known.get(name)), parts, "string" in branches))
    return FieldTable(fields)


def kind_of(doc: str | None) -> str:
    """Return the kind of a field from its `doc`: `Data:DateOnly:00N…` is `DateOnly`; "" where it says nothing."""
    _, _, rest = (doc or "").partition(":")
    return rest.partition(":")[0]


def reader_of(kind: str, scale: int | None = None) -> Reader:
    """Return what turns a decoded value (never None) of `kind` into its canonical form."""
    if kind in _READERS:
        return _READERS[kind]
    numbers = _number_reader(scale)
    integers = _integer if kind in ("Integer", "Long", "Int") else str

    def read(value: Any) -> Read:
        if isinstance(value, str | bool):
            return value
        if isinstance(value, float):
            return numbers(value)
        if isinstance(value, int):
            return integers(value)
        return _other(value)

    return read


def decimal_text(number: Decimal, scale: int | None = None) -> str:
    """Return `number` in plain digits: with `scale` digits after the point (rounded half away from zero), or as many
    as it needs where the scale is not known.
    """
    step = None if scale is None else Decimal(1).scaleb(-scale)
    number = number.normalize() if step is None else number.quantize(step, ROUND_HALF_UP)
    return format(number if number else abs(number), "f")


def datetime_text(milliseconds: int) -> str:
    """Return an instant, in milliseconds since 1970, as ISO 8601 in UTC: `2026-11-01T12:00:00.000Z`."""
    return f"{(EPOCH + timedelta(milliseconds=milliseconds)).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def date_text(milliseconds: int) -> str:
    """Return the date that begins at an instant in milliseconds since 1970: `2026-11-01`."""
    return (EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()


def _time_text(milliseconds: int) -> str:
    if not 0 <= milliseconds < DAY_MS:
        raise ValueError("not within a day")
    return datetime_text(milliseconds)[11:]


_READERS: dict[str, Reader] = {"DateOnly": date_text, "DateTime": datetime_text, "TimeOnly": _time_text}


def _number_reader(scale: int | None) -> Callable[[float], str | Inexact]:
    limit = Decimal(1).scaleb(EXACT_DIGITS - (SCALE_ASSUMED if scale is None else scale))

    def read(value: float) -> str | Inexact:
        number = Decimal(repr(value))
        if not number.is_finite() or abs(number) >= limit:
            return INEXACT
        if scale is None and len(number.normalize().as_tuple().digits) > EXACT_DIGITS:
            return INEXACT
        return decimal_text(number, scale)

    return read


def _part_reader(kind: str, scale: int | None) -> Reader:
    plain = reader_of(kind)

    def read(value: Any) -> Read:
        if isinstance(value, float):
            return decimal_text(Decimal(repr(value)), scale)
        return plain(value)

    return read


def _integer(value: int) -> int:
    return value


def _other(value: Any) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return msgspec.json.encode(value).decode()


def _record_in(kind: Any, records: dict[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the record in `kind`, anywhere in a union, defined there or by the name of one before."""
    for branch in kind if isinstance(kind, list) else [kind]:
        if isinstance(branch, dict) and branch.get("type") == "record":
            records[str(branch["name"]).rpartition(".")[2]] = branch
            return branch
        if isinstance(branch, str) and (found := records.get(branch.rpartition(".")[2])):
            return found
    return None


def _parts_of(parent: str, record: Mapping[str, Any], scales: Mapping[str, int]) -> tuple[Part, ...]:
    parts = []
    for field in record["fields"]:
        key = str(field["name"])
        name = f"{parent}.{key}"
        parts.append(Part(name, key, _part_reader(kind_of(field.get("doc")), scales.get(name))))
    return tuple(parts)
