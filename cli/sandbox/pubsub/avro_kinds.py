"""How a describe type stands in a change event: its Avro type, the kind that `doc` names, and the value's form.

Place     [this] -> schemas (types) and events (values).
Rules     dates are milliseconds at 00:00Z and times milliseconds of the day, both plain `long`; numbers are doubles,
          money too; only `doc` tells them apart.
Source    a real AccountChangeEvent schema (reference 1.7).
"""

from collections.abc import Callable
from datetime import time
from typing import Any, NamedTuple

from fakturo.cli.sandbox.clock import value_ms
from fakturo.cli.sandbox.metadata import Field

CLOB_LENGTH = 256
"""A text area of this length or more is kept as a large object, and may come as a text diff."""


class Kind(NamedTuple):
    """An Avro type and what stands in `doc`, before a custom field's id."""

    avro: str
    doc: str


LARGE_TEXT = Kind("string", "Data:StringPlusClob")

_KINDS = {
    "string": Kind("string", "Data:Text"),
    "textarea": Kind("string", "Data:Text"),
    "encryptedstring": Kind("string", "Data:Text"),
    "combobox": Kind("string", "Data:Text"),
    "picklist": Kind("string", "Data:DynamicEnum"),
    "multipicklist": Kind("string", "Data:MultiEnum"),
    "reference": Kind("string", "ForeignKey:EntityId"),
    "email": Kind("string", "Data:Email"),
    "phone": Kind("string", "Data:Phone"),
    "url": Kind("string", "Data:Url"),
    "boolean": Kind("boolean", "Data:Boolean"),
    "int": Kind("int", "Data:Integer"),
    "long": Kind("long", "Data:Long"),
    "double": Kind("double", "Data:Double"),
    "currency": Kind("double", "Data:Currency"),
    "percent": Kind("double", "Data:Percent"),
    "date": Kind("long", "Data:DateOnly"),
    "datetime": Kind("long", "Data:DateTime"),
    "time": Kind("long", "Data:TimeOnly"),
}
_OF_NAME = {
    "CreatedDate": Kind("long", "CreatedDate:DateTime"),
    **dict.fromkeys(("StatusCode", "CleanStatus", "ForecastCategory"), Kind("string", "Data:StaticEnum")),
}


def kind_of(field: Field) -> Kind | None:
    """Return how a field stands in a change event; None for a type that it leaves out (id, base64, anyType...)."""
    if field.name in _OF_NAME:
        return _OF_NAME[field.name]
    if field.type == "textarea" and field.length >= CLOB_LENGTH:
        return LARGE_TEXT
    return _KINDS.get(field.type)


def converter_of(field: Field) -> Callable[[Any], Any]:
    """Return what turns a row's value (never None) into the event's; numbers become doubles, as on the real bus."""
    return _CONVERTERS.get(field.type, str)


def _time(text: str) -> int:
    moment = time.fromisoformat(text)
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("currency", "double", "percent"), float),
    **dict.fromkeys(("date", "datetime"), value_ms),
    "boolean": bool,
    "int": int,
    "long": int,
    "time": _time,
}
