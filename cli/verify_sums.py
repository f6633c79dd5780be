"""Ratios for the verification, exact by fractions and rounded once.

Place     verify_kpis, verify_sales -> [this]. Nothing of engine/money.
"""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction


def ratio(numerator: Fraction, denominator: Fraction | int, digits: int) -> Decimal | None:
    """Return the quotient with so many decimals, None where there is nothing to divide by."""
    return rounded(numerator / denominator, digits) if denominator else None


def rounded(value: Fraction, digits: int) -> Decimal:
    """Return `value` half away from zero: the sign apart, the whole part of twice the shifted value plus one."""
    doubled = abs(value) * 10**digits * 2 + 1
    whole = doubled.numerator // doubled.denominator // 2
    return Decimal(whole if value >= 0 else -whole).scaleb(-digits).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
