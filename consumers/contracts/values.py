"""Values of CRM fields as what they mean: flags, whole numbers, amounts, dates, texts.

Place     accounts, items, lifecycle, agreements -> [this]. What Salesforce has was checked when it came (reducer); a
          formula or a profile's own values may still give something else.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.profile import Fields

DAY = timedelta(days=1)
DayOf = Callable[[datetime], date]
"""The local day of an instant."""

_DECIMAL = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,12})?", re.ASCII)


class Unclear(Exception):
    """A value that cannot be followed; its text ends the sentence "Order 801... <text>."."""


def flag(value: Any) -> bool:
    """Return whether a checkbox is set; an empty one is not."""
    return value is True or str(value).lower() in ("true", "1")


def text_of(value: object) -> str | None:
    """Return a value as text, None where it is empty."""
    return None if value is None else str(value)


def decimal_of(value: Any) -> Decimal | None:
    """Return a number, None where it is empty.

    Raises:
        Unclear: it is no number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not _DECIMAL.fullmatch(str(value)):
        raise Unclear(f"has {value!r} where a number is expected")
    return Decimal(str(value))


def date_in(value: Any, day_of: DayOf) -> date:
    """Return the date that a value is, or the local day of the instant that it is.

    Raises:
        Unclear: it is neither.
    """
    text = str(value)
    at: datetime | None = None
    with suppress(ValueError):
        if len(text) == len("2013-01-01"):
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text)
    if at is None or at.tzinfo is None or not MINYEAR < at.year < MAXYEAR:
        raise Unclear(f"has {value!r} where a date is expected (YYYY-MM-DD)")
    return day_of(at)


def date_of(history: RecordHistory, fields: Fields, day_of: DayOf) -> date | None:
    """Return the newest date in the first of `fields` that is filled, or None.

    Raises:
        Unclear: it is no date.
    """
    value = history.value(fields)
    return date_in(value, day_of) if value else None


def day_after(last_on: date) -> date | None:
    """Return the exclusive end for an inclusive last day; None for 9999-12-31, by which people mean no end."""
    return None if last_on == date.max else last_on + DAY


def whole_of(values: dict[str, Any], fields: Fields, low: int, high: int) -> int | None:
    """Return a whole number from `low` to `high`, None where it is empty.

    Raises:
        Unclear: it is another number.
    """
    number = decimal_of(first_filled(values, fields))
    if number is None:
        return None
    if number != number.to_integral_value() or not low <= number <= high:
        raise Unclear(f"has {number:f} in {fields[0]}; it must be a whole number from {low} to {high}")
    return int(number)


def choice_of(values: dict[str, Any], fields: Fields, known: tuple[str, ...]) -> str | None:
    """Return one of `known`, however it is capitalised, None where it is empty.

    Raises:
        Unclear: it is another text.
    """
    value = text_of(first_filled(values, fields))
    if value is None:
        return None
    found = value.strip().lower().replace(" ", "_")
    if found not in known:
        raise Unclear(f"has {value!r} in {fields[0]}; it must be one of {', '.join(known)}")
    return found


def earliest(*days: date | None) -> date | None:
    """Return the earliest of the days that are set, or None."""
    return min((day for day in days if day is not None), default=None)
