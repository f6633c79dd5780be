"""Values of CRM fields as what they mean: flags, whole numbers, amounts, texts.

Place     accounts, items, lifecycle, agreements -> [this]. Numbers and dates were checked by the reducer before.
"""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.profile import Fields

DAY = timedelta(days=1)


class Unclear(Exception):
    """A value that cannot be followed; its text ends the sentence "Order 801... <text>."."""


def flag(value: Any) -> bool:
    """Return whether a checkbox is set; an empty one is not."""
    return value is True or str(value).lower() in ("true", "1")


def text_of(value: object) -> str | None:
    """Return a value as text, None where it is empty."""
    return None if value is None else str(value)


def decimal_of(value: Any) -> Decimal | None:
    """Return a number, None where it is empty."""
    return None if value is None else Decimal(str(value))


def date_of(history: RecordHistory, fields: Fields) -> date | None:
    """Return the newest date in the first of `fields` that is filled, or None."""
    value = history.value(fields)
    return date.fromisoformat(value) if value else None


def day_after(last_day: str) -> date | None:
    """Return the exclusive end for an inclusive last day; None for 9999-12-31, by which people mean no end."""
    last_on = date.fromisoformat(last_day)
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
