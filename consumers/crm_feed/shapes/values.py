"""One value of a field, as the canonical record has it: text, true, false or null.

Place     canonical.py -> [this]. Pure.
Numbers   become decimal text. A float (from Avro) may have lost digits beyond the fifteenth: it is INEXACT then, and
          canonical.py leaves it out and names it in `diff`.
Times     numbers become dates or instants where the field is known to hold some (field_kinds.py); a number in a field
          that nobody has told us about stays a number: it is never taken for a date.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fakturo.consumers.crm_feed.shapes.times import day_text, in_utc, instant_text
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.salesforce.avro_fields import Inexact, datetime_text, decimal_text, reader_of

DATE, INSTANT, PLAIN = "DateOnly", "DateTime", ""
"""Kinds of fields, as Salesforce's own schemas call them."""
_read_number = reader_of(PLAIN)


def canonical_value(value: Any, kind: str, name: str) -> str | bool | Inexact | None:
    """Return `value` of the field `name`.

    Raises:
        SchemaError: NaN, an infinity, a list; a number in a date field that is no date.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return in_utc(value)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return _whole(value, kind, name)
    if isinstance(value, float | Decimal):
        return _number(value, name)
    raise SchemaError(Reason.UNKNOWN_SHAPE, f"{type(value).__name__} is no value of a field", f"$.{name}")


def _whole(value: int, kind: str, name: str) -> str:
    try:
        if kind == DATE:
            return day_text(value)
        if kind == INSTANT:
            return datetime_text(value)
    except (ValueError, OverflowError) as error:
        raise SchemaError(Reason.INVALID_TIME, f"{value} in a date field: {error}", f"$.{name}") from error
    return str(value)


def _number(value: float | Decimal, name: str) -> str | Inexact:
    if not Decimal(value).is_finite():
        raise SchemaError(Reason.NOT_A_NUMBER, f"{value} is no number", f"$.{name}")
    if isinstance(value, Decimal):
        return decimal_text(value)
    read = _read_number(value)
    return read if isinstance(read, Inexact) else str(read)
