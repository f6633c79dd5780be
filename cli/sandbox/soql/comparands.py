"""What a field's values are compared with: a literal, checked against the field's type and brought into its form.

Place     predicates, candidates -> [this].
Rules     ids become 18 characters, texts are folded, dates and instants become the texts that rows hold
          (`2026-11-01`, `2026-11-01T12:00:00.000+0000`), a period a pair (start, end) of such texts.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from fakturo.cli.sandbox.clock import instant_text
from fakturo.cli.sandbox.metadata import NUMBERS
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import SoqlError
from fakturo.cli.sandbox.soql.functions import Value
from fakturo.cli.sandbox.soql.names import Read
from fakturo.cli.sandbox.soql.periods import period
from fakturo.cli.sandbox.soql.tree import Literal
from fakturo.schemas.salesforce_ids import long_id

_IDS = frozenset({"id", "reference"})


@dataclass(frozen=True, slots=True)
class Comparand:
    """A value in the form of the field's own values; a pair of texts is a period; None is null."""

    value: Decimal | bool | str | tuple[str, str] | None


def comparand(literal: Literal, value: Value, now: datetime) -> Comparand:
    """The literal as the field's type has it. Raises INVALID_FIELD (wrong type) or the error of an unreadable id."""
    if literal.kind == "null":
        return Comparand(None)
    kind = value.type
    if kind in _IDS:
        return Comparand(_id(literal, value))
    if kind in NUMBERS or kind == "int":
        return Comparand(_expect(literal, value, "number", "double" if kind != "int" else "int"))
    if kind == "boolean":
        return Comparand(_expect(literal, value, "boolean", "boolean"))
    if kind in ("date", "datetime"):
        return Comparand(_moment(literal, value, now))
    text = _expect(literal, value, "string", "string")
    return Comparand(_folded(str(text), value) or None)


def folded(value: Value) -> Read:
    """How the value is read to be compared: texts without regard to capitals, where the field does so."""
    read = value.read
    if value.type in _IDS or value.type in NUMBERS or value.type in ("int", "boolean", "date", "datetime"):
        return read
    if value.field.case_sensitive:
        return lambda row: read(row) or None

    def fold(row: Row) -> str | None:
        text: str | None = read(row)
        return text.casefold() if text else None

    return fold


def _folded(text: str, value: Value) -> str:
    return text if value.field.case_sensitive else text.casefold()


def _expect(literal: Literal, value: Value, kind: str, name: str) -> Any:
    """The literal's value, if it is of the field's kind."""
    if literal.kind == kind:
        return literal.value
    quotes = "should be enclosed in quotes" if kind == "string" else "should not be enclosed in quotes"
    sentence = f"value of filter criterion for field '{value.column.field.name}' must be of type {name} and {quotes}"
    raise SoqlError("INVALID_FIELD", sentence, literal.at)


def _id(literal: Literal, value: Value) -> str | None:
    """An id in 18 characters."""
    text = str(_expect(literal, value, "string", "string"))
    if not text:
        return None
    try:
        return long_id(text)
    except ValueError:
        raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}", literal.at) from None


def _moment(literal: Literal, value: Value, now: datetime) -> str | tuple[str, str]:
    """A date, an instant or a period in the form of the field."""
    wants_date = value.type == "date"
    if literal.kind == "period":
        start, end = period(str(literal.value), now.date(), literal.at)
        return _text(start, wants_date=wants_date), _text(end, wants_date=wants_date)
    moment = _expect(literal, value, "date" if wants_date else "datetime", "date" if wants_date else "dateTime")
    return _text(moment, wants_date=wants_date)


def _text(moment: date, *, wants_date: bool) -> str:
    """As rows hold it; a day as an instant is its midnight."""
    if isinstance(moment, datetime):
        return instant_text(moment)
    return moment.isoformat() if wants_date else instant_text(datetime.combine(moment, time(), UTC))
