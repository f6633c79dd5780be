"""Numbers in the English of an explanation: thousands by commas, no zeros that say nothing.

Place     models and modifiers -> [this] -> the sentence on the invoice line. Nothing is rounded here.
"""

from decimal import Decimal

from fakturo.engine.money import exact_amount, rounded


def number_text(value: Decimal) -> str:
    """Return a quantity: 1735 -> "1,735", 10.50 -> "10.5"."""
    return f"{exact_amount(value):,f}"


def money_text(amount: Decimal, digits: int) -> str:
    """Return an amount with at least the currency's digits: 120 -> "120.00", 0.0015 -> "0.0015"."""
    short = exact_amount(amount)
    if rounded(short, digits) == short:
        return f"{rounded(short, digits):,f}"
    return f"{short:,f}"
