"""Makes record ids: three characters of the object, two of the instance, then a number in base 62.

Place     transactions.py, deploy.py -> [this]; ids are given out in their 18-character form.
Source    Salesforce help 000385585 for the form; the numbers rise by one, so that a seeded run has the same ids.
"""

import string

from fakturo.schemas.salesforce_ids import long_id

INSTANCE = "5f"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_WIDTH = 9


def record_id(key_prefix: str, number: int) -> str:
    """Return the 18-character id of record `number` (from 1) of the object with that prefix."""
    text = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return long_id(f"{key_prefix}{INSTANCE}0{text:0>{_WIDTH}}")
