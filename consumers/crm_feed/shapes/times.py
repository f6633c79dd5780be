"""Instants and dates as other connectors write them: milliseconds, days, ISO 8601 with any offset.

Place     shapes and canonical.py -> [this]. Pure.
Days      Kafka Connect's Date counts days since 1970, Salesforce's DateOnly milliseconds at midnight. No date lies so
          that one could be taken for the other: a million days is the year 4707, a million milliseconds is no midnight.
"""

import re
from datetime import UTC, date, datetime, timedelta

from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.salesforce.avro_fields import DAY_MS, date_text, datetime_text

DAYS_MAX = 1_000_000
MILLISECONDS_MAX = 253_370_764_800_000
"""The year 9999 begins: later than that a change of zone would leave the calendar."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d:?\d\d", re.ASCII)


def milliseconds_of(value: object, path: str) -> int:
    """Return an instant in milliseconds since 1970: a number, its digits, or ISO 8601 with an offset.

    Raises:
        SchemaError: it is none, or lies outside of the years 1970 to 9998.
    """
    found = _milliseconds(value)
    if found is None or not 0 <= found < MILLISECONDS_MAX:
        raise SchemaError(Reason.INVALID_TIME, f"{value!r:.40} is no instant", path)
    return found


def _milliseconds(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if at.tzinfo is None else round((at - _EPOCH) / timedelta(milliseconds=1))


def in_utc(text: str) -> str:
    """Return a datetime as REST and Bulk write it (`...+0000`) as the canonical record has it; other text as it is."""
    if _WITH_OFFSET.fullmatch(text) is None:
        return text
    try:
        return instant_text(datetime.fromisoformat(text))
    except ValueError:
        return text


def instant_text(at: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with milliseconds."""
    return datetime_text((at - _EPOCH) // timedelta(milliseconds=1))


def day_text(number: int) -> str:
    """Return the date that is so many days since 1970, or that begins so many milliseconds since 1970.

    Raises:
        ValueError: milliseconds that are no midnight; a date out of the calendar.
    """
    if abs(number) < DAYS_MAX:
        return (date(1970, 1, 1) + timedelta(days=number)).isoformat()
    if number % DAY_MS:
        raise ValueError(f"{number} is neither a number of days nor a midnight")
    return date_text(number)
