"""Salesforce record ids: the 15 case-sensitive characters and the 18 that add a checksum of their capitals.

Place     change records and the simulator -> [this]. An id is always handled in its 18-character form.
Source    Salesforce help 000385585 (formerly 000319308): each group of five characters gives five bits, bit i set
          where character i is a capital; the bits index A-Z then 0-5.
"""

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
SHORT_LENGTH = 15
LONG_LENGTH = 18


def long_id(record_id: str) -> str:
    """Return the 18-character form of a record id of 15 or 18 characters.

    Raises:
        ValueError: another length, other characters than ASCII letters and digits, or a wrong checksum.
    """
    if len(record_id) not in (SHORT_LENGTH, LONG_LENGTH) or not (record_id.isascii() and record_id.isalnum()):
        raise ValueError(f"{record_id!r} is no Salesforce record id: 15 or 18 letters and digits are expected")
    short = record_id[:SHORT_LENGTH]
    whole = short + "".join(_suffix(short[start : start + 5]) for start in (0, 5, 10))
    if len(record_id) == LONG_LENGTH and record_id.upper() != whole.upper():
        raise ValueError(f"{record_id!r} has a wrong checksum: its last three characters should be {whole[15:]!r}")
    return whole


def _suffix(group: str) -> str:
    return _SUFFIX[sum(1 << position for position, character in enumerate(group) if "A" <= character <= "Z")]
