"""Fields that catalog parts have in common: currencies, countries, dates, whole numbers, amounts in minor units.

Place     catalog, products, sellers, coupons, loyalty, tax -> [this] -> prices/reading. A faulty field is noted, and
          what is returned for it is a stand-in: the catalog is refused anyway.
"""

import re
from datetime import MAXYEAR, MINYEAR, date, datetime

from fakturo.engine.errors import PriceError
from fakturo.engine.money import exponent_of, round_amount, to_minor
from fakturo.engine.prices.reading import Reader

_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_STAND_IN = "EUR"


def currency_of(reader: Reader, default: str | None = None) -> str:
    """Return the currency of ISO 4217 that stands in `currency`."""
    currency = reader.text("currency", default=default)
    try:
        exponent_of(currency)
    except PriceError as error:
        if currency:
            reader.fault(error.code, "currency", f"{currency!r} is not a currency of ISO 4217")
        return default or _STAND_IN
    return currency


def optional_text(row: Reader, field: str) -> str | None:
    """Return a text, None where absent."""
    return row.text(field) if row.has(field) else None


def check_country(row: Reader, field: str, country: str) -> None:
    """Note a country that is no code of ISO 3166 (two capital letters)."""
    if country and not _COUNTRY.fullmatch(country):
        row.fault("country_code", field, f"{country!r} is not a country code of two capital letters, such as DK")


def whole(row: Reader, field: str, *, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number from `low` to `high`; without a default the field must be there."""
    if default is not None and not row.has(field):
        return default
    if not row.has(field):
        row.fault("field_missing", field, "is missing")
        return low
    number = row.decimal(field)
    if number != number.to_integral_value() or not low <= number <= high:
        row.fault("number_range", field, f"{number:f} is not a whole number from {low} to {high}")
        return low
    return int(number)


def optional_whole(row: Reader, field: str, *, low: int, high: int) -> int | None:
    """Return a whole number from `low` to `high`, None where absent."""
    return whole(row, field, low=low, high=high) if row.has(field) else None


def optional_minor(row: Reader, field: str, currency: str) -> int | None:
    """Return an amount above 0 in minor units of `currency`, None where absent; more digits than it has are a fault."""
    if not row.has(field):
        return None
    amount = row.decimal(field, above_zero=True)
    if amount != round_amount(amount, currency):
        row.fault(
            "number_decimals", field, f"{amount:f} has more than the {exponent_of(currency)} decimals of {currency}"
        )
    return to_minor(amount, currency)


def date_of(row: Reader, field: str) -> date | None:
    """Return the date that stands there, as YAML or text; a missing one is a fault, and gives None."""
    value = row.take(field)
    if value is None:
        row.fault("field_missing", field, "is missing")
        return None
    found = _date(value)
    if found is None:
        row.fault("field_type", field, f"{value!r} is not a date such as 2013-01-31")
    return found


def optional_date(row: Reader, field: str) -> date | None:
    """Return the date that stands there, None where absent."""
    return date_of(row, field) if row.has(field) else None


def _date(value: object) -> date | None:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime) or not isinstance(value, date):
        return None
    return value if MINYEAR < value.year < MAXYEAR else None
