"""Numbers of the price language: decimal strings and integers, and nothing else.

Place     a JSON or YAML document -> [this] -> Decimal, for prices, quantities and percentages.
Accepted  a text such as "12.50" (ASCII, at most 24 digits before and 12 after the point), an integer, or a Decimal
          that has been read that way. Refused: floats, exponents, underscores, blanks, a plus sign, NaN, infinities.
Source    PRICING.md, Numbers.
"""

import re
from decimal import Decimal

from fakturo.engine.errors import PriceError

INTEGER_DIGITS_MAX = 24
DECIMALS_MAX = 12

_ZERO = Decimal(0)
_NOT_NEGATIVE = re.compile(rf"[0-9]{{1,{INTEGER_DIGITS_MAX}}}(?:\.[0-9]{{1,{DECIMALS_MAX}}})?", re.ASCII).fullmatch
_PLAIN = re.compile(r"-?[0-9]+(?:\.([0-9]+))?", re.ASCII)


def parse_decimal(value: object, path: str, *, negative: bool = False, name: str | None = None) -> Decimal:
    """Return `value` as a Decimal; below 0 only where `negative`. Messages call it `name`, by default its path.

    Raises:
        PriceError: `number_float`, `number_type`, `number_invalid`, `number_too_long`, `number_negative`.
    """
    plain = plain_decimal(value)
    if plain is not None:
        return plain
    name = path if name is None else name
    text = _text_of(value, path, name)
    if not _PLAIN.fullmatch(text):
        raise PriceError("number_invalid", f"{name} {text[:40]!r} is not a plain decimal number", path)
    whole, _, decimals = text.lstrip("-").partition(".")
    if len(whole) > INTEGER_DIGITS_MAX or len(decimals) > DECIMALS_MAX:
        raise PriceError(
            "number_too_long",
            f"{name} {text[:40]} has more than {INTEGER_DIGITS_MAX} digits before or {DECIMALS_MAX} after the point",
            path,
        )
    number = Decimal(text)
    if number < 0 and not negative:
        raise PriceError("number_negative", f"{name} {text} is below 0", path)
    return number if number else Decimal(0)


def plain_decimal(value: object) -> Decimal | None:
    """Return a text of digits, with or without decimals, as a Decimal; None for all that needs a closer look."""
    if type(value) is str and _NOT_NEGATIVE(value) is not None:
        return Decimal(value) or _ZERO
    return None


def _text_of(value: object, path: str, name: str) -> str:
    match value:
        case bool() | None:
            pass
        case str():
            return value
        case int():
            # str() of an enormous integer is refused by Python itself; the bound comes first.
            if abs(value) < 10**INTEGER_DIGITS_MAX:
                return str(value)
            raise PriceError("number_too_long", f"{name} has more than {INTEGER_DIGITS_MAX} digits", path)
        case Decimal():
            if value.is_finite() and abs(value.adjusted()) <= INTEGER_DIGITS_MAX + DECIMALS_MAX:
                return f"{value:f}"
            raise PriceError("number_invalid", f"{name} {value} is not a plain decimal number", path)
        case _ if type(value).__name__ == "float":
            raise PriceError("number_float", f'{name} {value!r} is a float; write it as a string, as in "12.50"', path)
        case _:
            pass
    raise PriceError("number_type", f"{name} {value!r} is not a decimal string", path)
