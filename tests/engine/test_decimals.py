"""Numbers of the price language: what is one, and what is not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.decimals import parse_decimal
from fakturo.engine.errors import PriceError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12.50", "12.50"),
        ("0", "0"),
        (7, "7"),
        ("-0", "0"),
        ("9" * 24 + "." + "9" * 12, "9" * 24 + "." + "9" * 12),
        (Decimal("1.5"), "1.5"),
    ],
)
def test_decimal_strings_and_integers_are_read(value: object, expected: str) -> None:
    assert str(parse_decimal(value, "quantity")) == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (12.5, "number_float"),
        (True, "number_type"),
        (None, "number_type"),
        ([], "number_type"),
        ("", "number_invalid"),
        ("1e3", "number_invalid"),
        ("1_000", "number_invalid"),
        ("1,5", "number_invalid"),
        ("NaN", "number_invalid"),
        ("Infinity", "number_invalid"),
        (Decimal("NaN"), "number_invalid"),
        (Decimal("1E+999999"), "number_invalid"),
        ("+5", "number_invalid"),
        (" 5", "number_invalid"),
        ("5\n", "number_invalid"),
        (".5", "number_invalid"),
        ("5.", "number_invalid"),
        ("٣", "number_invalid"),  # an Arabic-Indic digit, which Decimal() would take
        ("0." + "1" * 13, "number_too_long"),
        ("1" * 25, "number_too_long"),
        pytest.param(10**5000, "number_too_long", id="enormous"),
        ("-1", "number_negative"),
        (-1, "number_negative"),
    ],
)
def test_all_else_is_refused_with_its_own_code(value: object, code: str) -> None:
    with pytest.raises(PriceError) as caught:
        parse_decimal(value, "price.amount")
    assert (caught.value.code, caught.value.path) == (code, "price.amount")


def test_negative_numbers_are_read_where_they_may_be() -> None:
    assert parse_decimal("-1.5", "quantity", negative=True) == Decimal("-1.5")


@given(st.text())
def test_any_text_is_a_number_or_a_price_error(text: str) -> None:
    try:
        assert parse_decimal(text, "quantity", negative=True).is_finite()
    except PriceError as error:
        assert error.code.startswith("number_")
