"""One value as Salesforce keeps it, as text: what is compared, hashed and stored; and as it is sent.

Place     documents, account_fields -> [this] -> rows; pusher and comparison read the texts back.
Texts     a number plain and without trailing zeros, with at most the field's scale; a date `2026-11-26`; an instant
          `2026-11-26T12:00:00Z`, to the second; text without blanks at its ends (Salesforce trims them), cut to what
          the field holds, lines ended by a newline alone. None is empty, and so is text of nothing.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fakturo.engine.money import plain_text, rounded
from fakturo.schemas.salesforce.written_fields import WrittenField

ELLIPSIS = "…"


def text_of(field: WrittenField, value: object) -> str | None:
    """Return `value` as the field holds it.

    Raises:
        TypeError: a value of a kind that the field cannot hold; our own mistake.
    """
    if value is None:
        return None
    match field.kind:
        case "Number":
            return _number(field, value)
        case "Date":
            return _date(value)
        case "DateTime":
            return _instant(value)
        case _:
            return _text(field, value)


def sent_value(field: WrittenField, text: str | None) -> Any:
    """Return what is sent for a text of `text_of`: a number for a number, else the text."""
    return Decimal(text) if text is not None and field.kind == "Number" else text


def _number(field: WrittenField, value: object) -> str:
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise TypeError(f"{field.name}: {type(value).__name__} is no exact number")
    return plain_text(rounded(Decimal(value), field.scale))


def _date(value: object) -> str:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError(f"{type(value).__name__} is no date")
    return value.isoformat()


def _instant(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} is no instant")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(field: WrittenField, value: object) -> str | None:
    text = str(value).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()
    if field.length and len(text) > field.length and not field.external_id:
        text = text[: field.length - 1].rstrip() + ELLIPSIS
    return text or None
