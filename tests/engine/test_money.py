"""Rounding, exponents, minor units, shares."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine import money
from fakturo.engine.errors import PriceError


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("EUR", 2), ("USD", 2), ("JPY", 0), ("ISK", 0), ("BHD", 3), ("IQD", 3), ("CLF", 4), ("UYW", 4), ("HUF", 2)],
)
def test_exponents_are_those_of_iso_4217_not_of_cldr(currency: str, digits: int) -> None:
    assert money.exponent_of(currency) == digits


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XTS", "BTC", "XAU"])
def test_what_is_no_currency_of_iso_4217_is_refused(currency: str) -> None:
    with pytest.raises(PriceError) as caught:
        money.exponent_of(currency)
    assert caught.value.code == "currency_unknown"


# What Postgres answers to round(numeric, n): half away from zero, computed there and listed by hand.
POSTGRES_ROUND = [
    ("2.345", 2, "2.35"),
    ("-2.345", 2, "-2.35"),
    ("0.125", 2, "0.13"),
    ("2.5", 0, "3"),
    ("-2.5", 0, "-3"),
    ("1.005", 2, "1.01"),
    ("0.5", 0, "1"),
    ("-0.4", 0, "0"),
    ("2.3449999999999999999999999", 2, "2.34"),
    ("0.0005", 3, "0.001"),
    ("999999999999999999999999.995", 2, "1000000000000000000000000.00"),
]


@pytest.mark.parametrize(("value", "decimals", "expected"), POSTGRES_ROUND)
def test_rounding_is_half_away_from_zero_as_in_postgres(value: str, decimals: int, expected: str) -> None:
    assert f"{money.rounded(Decimal(value), decimals):f}" == expected


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.345", "EUR", 1235), ("-12.345", "EUR", -1235), ("12.5", "JPY", 13), ("1.2345", "BHD", 1235), ("0", "USD", 0)],
)
def test_minor_units_are_rounded_once(amount: str, currency: str, minor: int) -> None:
    assert money.to_minor(Decimal(amount), currency) == minor


def test_minor_units_come_back_with_the_currencys_digits() -> None:
    assert [money.amount_text(16300, "EUR"), money.amount_text(-5, "BHD"), money.amount_text(7, "JPY")] == [
        "163.00",
        "-0.005",
        "7",
    ]


@given(st.integers(min_value=-(10**18), max_value=10**18), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_minor_units_survive_the_way_there_and_back(minor: int, currency: str) -> None:
    assert money.to_minor(money.from_minor(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("163.000", "163"),
        ("100", "100"),
        ("0.00", "0"),
        ("-0", "0"),
        ("0.0015", "0.0015"),
        ("0.3333333333333333333333335", "0.333333333333333333333334"),
        ("-0.3333333333333333333333335", "-0.333333333333333333333334"),
    ],
)
def test_exact_amounts_have_24_decimals_at_most_and_no_trailing_zeros(value: str, expected: str) -> None:
    assert str(money.exact_amount(Decimal(value))) == expected


def test_plain_text_never_has_an_exponent() -> None:
    assert money.plain_text(Decimal("1E+20")) == "100000000000000000000"
    assert money.plain_text(Decimal("1E-12")) == "0.000000000001"


def test_products_of_the_longest_numbers_stay_exact() -> None:
    longest = Decimal("9" * 24 + "." + "9" * 12)
    with money.exact_context():
        product = longest * longest
    assert int(product.scaleb(24, context=money.EXACT)) == (10**36 - 1) ** 2


# reference: 100.00 / 3 and 10.01 over 333:333:334 by the method of largest remainders (Hamilton).
@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10000, [1, 1, 1], (3334, 3333, 3333)),
        (1001, [333, 333, 334], (333, 333, 335)),
        (-10000, [1, 1, 1], (-3334, -3333, -3333)),
        (5, [0, 0], (3, 2)),
        (7, [0, 1], (0, 7)),
    ],
)
def test_shares_follow_the_largest_remainders(total: int, weights: list[int], shares: tuple[int, ...]) -> None:
    assert money.allocate(total, weights) == shares


@given(
    st.integers(min_value=-(10**12), max_value=10**12),
    st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20),
)
def test_sharing_loses_no_cent_and_no_share_is_off_by_one(total: int, weights: list[int]) -> None:
    shares = money.allocate(total, weights)
    assert sum(shares) == total
    if whole := sum(weights):
        assert all(abs(share * whole - total * weight) < whole for share, weight in zip(shares, weights, strict=True))


totals = st.integers(min_value=-(10**12), max_value=10**12)
weightings = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20)


@given(totals, weightings)
def test_a_greater_weight_never_gets_less(total: int, weights: list[int]) -> None:
    shares = money.allocate(abs(total), weights)
    for (weight, share), (other, others_share) in itertools.combinations(zip(weights, shares, strict=True), 2):
        if weight != other:
            assert (share - others_share) * (weight - other) >= 0
        else:
            assert others_share <= share <= others_share + 1  # of equal ones the first gets the spare unit


@given(totals, weightings)
def test_a_weight_of_nothing_gets_nothing_and_a_negative_total_is_mirrored(total: int, weights: list[int]) -> None:
    shares = money.allocate(total, weights)
    assert money.allocate(-total, weights) == tuple(-share for share in shares)
    if any(weights):
        assert [share for share, weight in zip(shares, weights, strict=True) if not weight and share] == []


@given(totals, weightings, st.integers(min_value=1, max_value=1000))
def test_only_the_proportion_of_the_weights_counts(total: int, weights: list[int], factor: int) -> None:
    assert money.allocate(total, [weight * factor for weight in weights]) == money.allocate(total, weights)


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_shares_without_weights_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        money.allocate(1, weights)
