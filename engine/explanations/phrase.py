"""A phrase: a key of the phrasebooks with its arguments, and how numbers, money and dates stand in it.

Place     models, modifiers, invoice lines -> [this] -> phrasebook.
Holds     a settled phrase holds texts and phrases only, so it is JSON as it is and comes back from JSON the same (as
          lists). Nothing is rounded here but what lies beyond 24 decimals.
"""

from datetime import date
from decimal import Decimal
from typing import Any

from fakturo.engine.money import EXACT_DECIMALS, rounded

Phrase = tuple[Any, ...]
"""(key, argument, ...); before it is settled numbers may be Decimals, which are told as quantities or as money by the
place in the template where they stand."""


def number_argument(value: Decimal | int) -> str:
    """Return a quantity as a phrase has it: 1735 -> "1735", 10.50 -> "10.5"."""
    text = str(value)
    if "E" in text:
        text = f"{value:f}"
    if "." not in text:
        return text
    if isinstance(value, Decimal) and len(text) - text.index(".") - 1 > EXACT_DECIMALS:
        text = f"{rounded(value, EXACT_DECIMALS):f}"
    text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def money_argument(amount: Decimal, digits: int) -> str:
    """Return an amount as a phrase has it, with at least `digits` decimals: 120 -> "120.00", 0.0015 -> "0.0015"."""
    text = number_argument(amount)
    missing = digits - (len(text) - text.index(".") - 1 if "." in text else 0)
    if missing <= 0:
        return text
    return text + "0" * missing if "." in text else f"{text}.{'0' * missing}"


def date_argument(on: date) -> str:
    """Return a date as a phrase has it: "2013-06-10"."""
    return on.isoformat()
