"""Turns a value as a client wrote it into the value that a row holds, or refuses it as Salesforce does.

Place     transactions.py -> [this] -> rows.
Rules     Rows hold: Decimal for currency, double and percent, rounded to the field's scale half away from zero; int;
          bool; text. A date is `2026-11-01`, a datetime `2026-11-01T12:00:00.000+0000` (UTC). Empty text is null.
          CSV gives everything as text, so numbers and booleans are read from text, too.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from fakturo.cli.sandbox.clock import instant_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import NUMBERS, TEXTS, Field, SObject
from fakturo.schemas.salesforce_ids import long_id

_long_id = lru_cache(maxsize=65_536)(long_id)
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_TRUE = frozenset({"true", "1", "yes"})
_DATE_LENGTH = len("2026-11-01")
_FALSE = frozenset({"false", "0", "no", ""})


def field_of(entity: SObject, name: str) -> Field:
    """Return the field of that name.

    Raises:
        OrgError: INVALID_FIELD.
    """
    found = entity.find(name)
    if found is None:
        raise OrgError("INVALID_FIELD", f"No such column '{name}' on sobject of type {entity.name}")
    return found


def clean(entity: SObject, field: Field, value: Any) -> Any:
    """Return `value` as a row holds it; None for null.

    Raises:
        OrgError: it cannot be a value of this field.
    """
    if value is None or value == "":
        if field.type == "boolean":
            return False if value == "" else _refuse_null_boolean(field)
        return None
    return _CLEANERS[_family(field)](entity, field, value)


def _family(field: Field) -> str:
    if field.type in NUMBERS:
        return "number"
    return "text" if field.type in TEXTS else field.type


def _refuse_null_boolean(field: Field) -> Any:
    raise OrgError("INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to set {field.name} to null", (field.name,))


def _unreadable(field: Field, kind: str, value: Any) -> OrgError:
    spoken = "VALUE_STRING" if isinstance(value, str) else "VALUE_NUMBER_INT" if isinstance(value, int) else "VALUE"
    return OrgError(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {kind} from {spoken} value {value} or request may be missing a required "
        f"field at [{field.name}]",
        (field.name,),
    )


def _number(entity: SObject, field: Field, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise _unreadable(field, "double", value)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value))
        rounded = amount.quantize(Decimal(1).scaleb(-field.scale), context=_EXACT)
    except InvalidOperation:
        raise _unreadable(field, "double", value) from None
    if field.precision and rounded.adjusted() >= field.precision - field.scale and rounded:
        raise OrgError(
            "NUMBER_OUTSIDE_VALID_RANGE",
            f"{field.label}: value outside of valid range on numeric field: {value}",
            (field.name,),
        )
    return rounded


def _integer(entity: SObject, field: Field, value: Any) -> int:
    number = None if isinstance(value, bool) else value
    try:
        exact = Decimal(str(number))
        if exact == exact.to_integral_value():
            return int(exact)
    except (InvalidOperation, OverflowError):
        pass
    raise _unreadable(field, "int", value)


def _boolean(entity: SObject, field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _unreadable(field, "boolean", value)


def _text(entity: SObject, field: Field, value: Any) -> str | None:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str | int | Decimal):
        text = str(value)
    else:
        raise _unreadable(field, "string", value)
    text = text if field.type == "textarea" else text.strip()
    if field.length and len(text) > field.length:
        raise OrgError(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {text[:255]} (max length={field.length})",
            (field.name,),
        )
    if field.restricted and field.picklist and text and text not in field.picklist:
        raise OrgError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {text}",
            (field.name,),
        )
    return text or None


def _date(entity: SObject, field: Field, value: Any) -> str:
    try:
        if isinstance(value, datetime):
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        text = str(value)
        day = date.fromisoformat(text) if len(text) <= _DATE_LENGTH else datetime.fromisoformat(text).date()
        return day.isoformat()
    except ValueError:
        raise _unreadable(field, "date", value) from None


def _instant(entity: SObject, field: Field, value: Any) -> str:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise _unreadable(field, "datetime", value) from None
    return instant_text(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))


def _record_id(entity: SObject, field: Field, value: Any) -> str:
    try:
        return _long_id(str(value))
    except ValueError:
        raise OrgError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", (field.name,)) from None


def _compound(entity: SObject, field: Field, value: Any) -> Any:
    raise OrgError(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {field.name}. Please check the security settings of this field and verify "
        "that it is read/write for your profile or permission set.",
        (field.name,),
    )


_CLEANERS: dict[str, Callable[[SObject, Field, Any], Any]] = {
    "number": _number,
    "int": _integer,
    "boolean": _boolean,
    "text": _text,
    "date": _date,
    "datetime": _instant,
    "reference": _record_id,
    "id": _record_id,
    "address": _compound,
    "location": _compound,
}
