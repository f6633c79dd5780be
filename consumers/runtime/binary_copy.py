"""Rows in the binary form of Postgres's COPY, put together here for less than the driver takes for them.

Place     agents' stores -> [this] -> `copy_binary` -> Postgres.
Form      each field is its length in four bytes and its bytes; the functions here return both. A row is the number of
          its fields and the fields one after the other; rows follow one another.
Woven     rows of numbers alone have all the same length, so they are made a column at a time, whatever their number.
Source    PostgreSQL 18, COPY, "Binary Format"; numeric_send and timestamptz_send say what the bytes of a type mean.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct, pack
from typing import Any

import asyncpg

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_BIGINT_BYTES = 8
_DIGITS = 4
"""Decimal digits in one of `numeric`'s own, which are of base 10,000."""
_NEGATIVE = 0x4000

row_head = Struct(">h").pack
"""The beginning of a row: how many fields follow."""
bigint = Struct(">iq").pack
"""A field of type bigint: `bigint(8, value)`."""


def text(value: str) -> bytes:
    """Return a field of type text."""
    encoded = value.encode()
    return pack(">i", len(encoded)) + encoded


def microseconds(at: datetime) -> int:
    """Return an instant as timestamptz has it: microseconds since 2000, exactly. Its field is that of a bigint."""
    return (at - EPOCH) // MICROSECOND


def numeric(value: Decimal) -> bytes:
    """Return a field of type numeric; zeros that end the fraction are left out, so equal numbers have equal bytes."""
    if not value.is_finite():
        raise ValueError(f"{value} is no number")
    digits = str(value)
    if "E" in digits:
        digits = format(value, "f")
    if len(digits) <= _DIGITS and digits.isdigit() and digits != "0":  # most often
        return pack(">ihhhhh", 10, 1, 0, 0, 0, int(digits))
    whole, _, fraction = digits.lstrip("-").partition(".")
    fraction = fraction.rstrip("0")
    aligned = "0" * (-len(whole) % _DIGITS) + whole + fraction + "0" * (-len(fraction) % _DIGITS)
    groups = [int(aligned[at : at + _DIGITS]) for at in range(0, len(aligned), _DIGITS)]
    weight = (len(whole) - 1) // _DIGITS
    while groups and not groups[0]:
        del groups[0]
        weight -= 1
    sign = _NEGATIVE if groups and digits[0] == "-" else 0
    count = len(groups)
    return pack(f">ihhhh{count}h", 8 + 2 * count, count, weight if groups else 0, sign, len(fraction), *groups)


def woven(columns: Sequence[Sequence[int]]) -> bytes:
    """Return rows of bigints, given as columns of the same length."""
    count, width = len(columns[0]), _BIGINT_BYTES + 4
    row = row_head(len(columns)) + bigint(_BIGINT_BYTES, 0) * len(columns)
    rows = bytearray(row * count)
    for number, column in enumerate(columns):
        packed = pack(f">{count}q", *column)
        first = 2 + number * width + 4
        for byte in range(_BIGINT_BYTES):
            rows[first + byte :: len(row)] = packed[byte::_BIGINT_BYTES]
    return bytes(rows)


async def copy_binary(
    driver: asyncpg.Connection, schema: str, table: str, rows: Iterable[bytes], columns: Sequence[str] | None = None
) -> None:
    """Copy rows, or parts of rows in their order, into a table; without `columns` they have the table's own."""
    # The driver takes a buffer, which its types do not say; bytes it would take for the name of a file.
    source: Any = memoryview(b"".join((_HEADER, *rows, _TRAILER)))
    await driver.copy_to_table(table, schema_name=schema, columns=columns, source=source, format="binary")
