"""Money: exponents, the one rounding, minor units, exact texts, and shares that lose no cent.

Place     everything that turns an exact Decimal into an amount of a currency comes through here.
Units     amounts are Decimal in the major unit, or integer minor units (`*_minor`).
Rounding  half away from zero, everywhere in the engine; `decimal` calls it ROUND_HALF_UP.
Context   `exact_context()` carries 160 digits: products of the longest numbers allowed (24 + 12 digits) stay exact,
          and only divisions are cut, far below the 24 decimals of an exact amount.
Source    ISO 4217 (SIX, list one); Babel's table is CLDR's and differs for 13 currencies. PRICING.md, Numbers.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    InvalidOperation,
    Overflow,
    localcontext,
)
from types import MappingProxyType

from fakturo.engine.errors import PriceError

EXACT = Context(prec=160, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation])
EXACT_DECIMALS = 24
ZERO = Decimal(0)
ONE = Decimal(1)

_QUANTA = tuple(Decimal(1).scaleb(-digits) for digits in range(EXACT_DECIMALS + 1))

_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Mapping[str, int] = MappingProxyType(
    {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
)
"""Digits after the point of every ISO 4217 currency that has them; BGN, retired in 2026, stays for old books."""


def exact_context() -> AbstractContextManager[Context]:
    """Return the arithmetic of the engine: inside of it `+ - * /` on Decimals carry 160 digits."""
    return localcontext(EXACT)


def exponent_of(currency: str, path: str = "currency") -> int:
    """Return the digits after the point: 2 for EUR, 0 for JPY, 3 for BHD.

    Raises:
        PriceError: `currency_unknown`.
    """
    digits = EXPONENTS.get(currency)
    if digits is None:
        raise PriceError("currency_unknown", f"{currency!r} is not a currency of ISO 4217", path)
    return digits


def rounded(amount: Decimal, decimals: int) -> Decimal:
    """Return `amount` half away from zero with exactly `decimals` (at most 24) decimals; never "-0"."""
    result = amount.quantize(_QUANTA[decimals], context=EXACT)
    return result if result else result.copy_abs()


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """Return `amount` rounded once to the currency's digits: 2.345 EUR -> 2.35, -2.345 EUR -> -2.35."""
    return rounded(amount, exponent_of(currency))


def to_minor(amount: Decimal, currency: str) -> int:
    """Return `amount` rounded once, in minor units: 12.345 EUR -> 1235, 12.5 JPY -> 13."""
    digits = exponent_of(currency)
    return int(rounded(amount, digits).scaleb(digits, context=EXACT))


def from_minor(amount_minor: int, currency: str) -> Decimal:
    """Return minor units in the major unit, with the currency's digits: 1235 EUR -> 12.35."""
    return Decimal(amount_minor).scaleb(-exponent_of(currency), context=EXACT)


def exact_amount(amount: Decimal) -> Decimal:
    """Return `amount` rounded half away from zero to 24 decimals, trailing zeros dropped."""
    return _trimmed(rounded(amount, EXACT_DECIMALS))


def plain_text(value: Decimal) -> str:
    """Return `value` without exponent and without trailing zeros: 100, 0.0015, never "-0" or "1E+2"."""
    return f"{_trimmed(value):f}"


def amount_text(amount_minor: int, currency: str) -> str:
    """Return minor units as text in the major unit with the currency's digits: 16300 EUR -> "163.00"."""
    return f"{from_minor(amount_minor, currency):f}"


def allocate(total_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return `total_minor` shared by `weights`: largest remainders get the spare units, ties the lower index.

    The shares add up to `total_minor`; of a negative total they are the negated shares of its absolute value. With
    weights that are all 0 the total is shared evenly.

    Raises:
        ValueError: no weights, or one below 0.
    """
    if not weights or min(weights) < 0:
        raise ValueError(f"weights {list(weights)} must be at least one, and none below 0")
    if total_minor < 0:
        return tuple(-share for share in allocate(-total_minor, weights))
    parts = list(weights) if any(weights) else [1] * len(weights)
    whole = sum(parts)
    shares = [total_minor * part // whole for part in parts]
    remainders = [total_minor * part % whole for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: total_minor - sum(shares)]:
        shares[index] += 1
    return tuple(shares)


def _trimmed(value: Decimal) -> Decimal:
    if not value:
        return ZERO
    # normalize() alone would turn 100 into 1E+2.
    if value == value.to_integral_value():
        return value.quantize(ONE, context=EXACT)
    return value.normalize(context=EXACT)
