"""How Salesforce writes a number: as few digits as it takes, and always one after the point.

Place     rows -> [this] -> REST answers, Bulk CSV
Rules     12.50 is `12.5`, 100 is `100.0`: so a client that reads floats as Decimals never gets an int for an amount.
          Exact: nothing goes through a float.
"""

from decimal import Decimal
from functools import lru_cache

_TENTH = Decimal("0.1")
_ONE_DIGIT = -1


@lru_cache(maxsize=65_536)
def plain(value: Decimal) -> Decimal:
    """Return `value` so that its text is what Salesforce writes."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{value} is no number")
    while exponent < _ONE_DIGIT and digits[-1] == 0:
        digits, exponent = digits[:-1] or (0,), exponent + 1
    whole = Decimal((sign, digits, exponent))
    return whole if exponent < 0 else Decimal((sign, (*digits, *([0] * (exponent + 1))), _ONE_DIGIT))
