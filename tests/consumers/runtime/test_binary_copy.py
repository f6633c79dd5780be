"""Rows for the binary COPY: what Postgres reads from them is what was written."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from random import Random
from struct import unpack

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.runtime.binary_copy import bigint, copy_binary, microseconds, numeric, row_head, text, woven

NUMBERS = (
    "0", "0.0", "-0", "1", "-1", "9999", "10000", "10001", "0.1", "0.0001", "0.00001", "0.00010", "100.00", "99990000",
    "123456.789", "1E+3", "1.5E+7", "1E-20", "0.5000", "-123456789012345678901234567890.123456", "10000.0001",
)  # fmt: skip


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None, min_value=-(10**36), max_value=10**36))
def test_a_number_is_its_digits_of_base_10000_at_their_weights(value: Decimal) -> None:
    """PostgreSQL, numeric.c: value = sum of digit[i] * 10000 ** (weight - i); the first is not 0, the last may be."""
    field = numeric(value)
    length, count, weight, sign, scale = unpack(">ihhhh", field[:12])
    digits = unpack(f">{count}h", field[12:])
    assert length == 8 + 2 * count == len(field) - 4
    with localcontext() as context:
        context.prec = 1000
        found = sum((Decimal(10_000) ** (weight - place) * digit for place, digit in enumerate(digits)), Decimal(0))
        assert (-found if sign == 0x4000 else found) == value
        assert value == value.quantize(Decimal(1).scaleb(-scale))
    assert all(0 <= digit < 10_000 for digit in digits)
    assert not digits or digits[0]


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        numeric(Decimal(value))


async def test_postgres_reads_numbers_and_texts_as_they_were_written(connection: asyncpg.Connection) -> None:
    rng = Random(1)
    values = [Decimal(number) for number in NUMBERS]
    values += [Decimal(rng.randrange(-(10**30), 10**30)).scaleb(-rng.randrange(30)) for _ in range(500)]
    await connection.execute("CREATE TEMPORARY TABLE written (value numeric, name text)")
    rows = [row_head(2) + numeric(value) + text(f"ä\t\\{value}") for value in values]
    await copy_binary(connection, "pg_temp", "written", rows)
    found = await connection.fetch("SELECT value, name FROM written")
    assert [(row["value"], row["name"]) for row in found] == [(value, f"ä\t\\{value}") for value in values]


async def test_postgres_reads_instants_to_the_microsecond(connection: asyncpg.Connection) -> None:
    instants = [
        datetime(2013, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(9998, 12, 31, tzinfo=UTC),
    ]
    await connection.execute("CREATE TEMPORARY TABLE written (at timestamptz)")
    rows = [row_head(1) + bigint(8, microseconds(at)) for at in instants]
    await copy_binary(connection, "pg_temp", "written", rows, ["at"])
    assert [row["at"] for row in await connection.fetch("SELECT at FROM written")] == instants


async def test_rows_woven_of_columns_are_the_rows(connection: asyncpg.Connection) -> None:
    rng = Random(2)
    pairs = [(rng.randrange(-(2**63), 2**63), rng.randrange(-(2**63), 2**63)) for _ in range(1000)]
    await connection.execute("CREATE TEMPORARY TABLE written (first bigint, second bigint)")
    columns = [first for first, _ in pairs], [second for _, second in pairs]
    await copy_binary(connection, "pg_temp", "written", [woven(columns)])
    assert [tuple(row) for row in await connection.fetch("SELECT first, second FROM written")] == pairs
