"""Models and modifiers: by example, and against an independent computation unit by unit."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import describe
from fakturo.engine.prices import Span, grouped_usage, parse_price, usage_of
from tests.engine.strategies import prices, quantities, tiered

D = Decimal
TIERS = [
    {"up_to": "10", "unit_amount": "10", "flat_amount": "2"},
    {"up_to": "20", "unit_amount": "5", "flat_amount": "3"},
    {"up_to": None, "unit_amount": "4", "flat_amount": "1"},
]


def amount(document: dict[str, Any], quantity: str | int = 0, **options: Any) -> Decimal:
    return parse_price(document, "EUR").charge(usage_of(D(quantity)), **options).amount


@pytest.mark.parametrize(
    ("quantity", "graduated", "volume"),
    [
        ("0", "2", "2"),  # the first tier's flat amount is charged at zero usage
        ("10", "102", "102"),  # up_to is inclusive
        ("10.001", "105.005", "53.005"),  # a fraction enters the next tier
        ("20", "155", "103"),
        ("21", "160", "85"),  # by volume the total may fall
    ],
)
def test_tiers_at_their_bounds(quantity: str, graduated: str, volume: str) -> None:
    assert amount({"model": "graduated", "tiers": TIERS}, quantity) == D(graduated)
    assert amount({"model": "volume", "tiers": TIERS}, quantity) == D(volume)


@pytest.mark.parametrize(
    ("rounding", "quantity", "expected"),
    [("up", "0", "0"), ("up", "1", "5"), ("up", "100", "5"), ("up", "100.001", "10"), ("down", "199.9", "5")],
)
def test_packages_count_when_started_or_when_full(rounding: str, quantity: str, expected: str) -> None:
    price = {"model": "package", "package_size": "100", "package_amount": "5", "round": rounding}
    assert amount(price, quantity) == D(expected)


@pytest.mark.parametrize(("rounding", "expected"), [("up", "6"), ("down", "4"), ("none", "5")])
def test_a_transform_divides_the_quantity(rounding: str, expected: str) -> None:
    price = {"model": "per_unit", "unit_amount": "2", "transform": {"divide_by": "100", "round": rounding}}
    assert amount(price, 250) == D(expected)


def test_free_units_come_after_the_transform() -> None:
    price = {"model": "per_unit", "unit_amount": "2", "free_units": "1", "transform": {"divide_by": "100"}}
    assert [amount(price, 250), amount(price, 50)] == [3, 0]


def test_modifiers_apply_in_the_contracts_order() -> None:
    # 30 units, 10 free: 20 x 10 = 200; less 25 % = 150; capped at 120; a minimum above the cap raises it again.
    price = {"model": "per_unit", "unit_amount": "10", "free_units": "10", "discount": {"percent": "25"}}
    assert amount(price, 30) == 150
    assert amount(price | {"maximum_amount": "120"}, 30) == 120
    assert amount(price | {"maximum_amount": "120", "minimum_amount": "130"}, 30) == 130


def test_a_discount_never_makes_an_amount_negative() -> None:
    assert amount({"model": "per_unit", "unit_amount": "1", "discount": {"amount": "10"}}, 4) == 0
    assert amount({"model": "per_unit", "unit_amount": "1", "discount": {"percent": "100"}}, 4) == 0


def test_the_minimum_waits_for_the_last_slice_and_counts_the_slices_before() -> None:
    price = {"model": "per_unit", "unit_amount": "1", "minimum_amount": "100"}
    assert amount(price, 30, final=False) == 30
    assert amount(price, 30, final=True) == 100
    assert amount(price, 30, final=True, earlier=D(60)) == 40
    assert amount(price, 30, final=True, earlier=D(90)) == 30


HALF = Span(active_days=15, period_days=30, active_seconds=1_300_000, period_seconds=2_592_000)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ({"model": "flat", "amount": "30"}, Fraction(15)),
        ({"model": "flat", "amount": "30", "proration": "none"}, Fraction(30)),
        ({"model": "flat", "amount": "30", "proration": "second"}, Fraction(30 * 1_300_000, 2_592_000)),
        ({"model": "per_unit", "unit_amount": "10", "licensed": True}, Fraction(10)),
        ({"model": "per_unit", "unit_amount": "10", "proration": "day"}, Fraction(20)),
        ({"model": "graduated", "tiers": TIERS}, Fraction(22)),
        ({"model": "graduated", "tiers": TIERS, "proration": "day"}, Fraction(21)),
        ({"model": "graduated", "tiers": TIERS, "licensed": True}, Fraction(11)),
        ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "50"}, Fraction(50)),
        ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "50", "proration": "day"}, Fraction(25)),
        ({"model": "flat", "amount": "30", "maximum_amount": "20"}, Fraction(15)),
        ({"model": "flat", "amount": "30", "discount": {"amount": "10"}}, Fraction(5)),
    ],
)
def test_only_fixed_parts_are_prorated(price: dict[str, Any], expected: Fraction) -> None:
    assert abs(Fraction(amount(price, 2, span=HALF)) - expected) < Fraction(1, 10**50)


SLOT = {
    "model": "matrix",
    "dimensions": ["origin"],
    "cells": [
        {"match": {"origin": "JFK"}, "price": {"model": "per_unit", "unit_amount": "40.00"}},
        {"match": {"origin": "LGA"}, "price": {"model": "per_unit", "unit_amount": "36.25", "free_units": "1"}},
    ],
}


def test_a_matrix_prices_each_cell_by_itself() -> None:
    usage = grouped_usage(("origin", "plan"), {("JFK", "a"): D(2), ("JFK", "b"): D(1), ("LGA", "a"): D(3)})
    charge = parse_price(SLOT, "USD").charge(usage)
    assert charge.amount == D("192.50")
    assert [describe(part.phrase, "slots", 2) for part in charge.parts] == [
        "JFK 3 slots at 40.00",
        "LGA 1 free, 2 slots at 36.25",
    ]


def test_a_group_without_a_cell_takes_the_default_or_is_an_error() -> None:
    usage = grouped_usage(("origin",), {("EWR",): D(2)})
    with pytest.raises(PriceError) as caught:
        parse_price(SLOT, "USD").charge(usage)
    assert caught.value.code == "price_matrix_no_cell"
    with_default = SLOT | {"default": {"model": "flat", "amount": "7"}}
    assert parse_price(with_default, "USD").charge(usage).amount == 7


def test_a_matrix_needs_usage_grouped_by_its_dimensions_and_costs_nothing_at_zero_usage() -> None:
    with pytest.raises(PriceError) as caught:
        parse_price(SLOT, "USD").charge(grouped_usage(("plan",), {("a",): D(2)}))
    assert caught.value.code == "price_matrix_dimension"
    assert parse_price(SLOT, "USD").charge(usage_of(0)).amount == 0


def test_an_own_unit_amount_counts_only_for_flat_and_licensed_per_unit() -> None:
    own = {"unit_amount": D(3), "discount_percent": D(10)}
    cases = [
        ({"model": "flat", "amount": "20"}, D("2.7")),
        ({"model": "per_unit", "unit_amount": "20", "licensed": True}, D("5.4")),
        ({"model": "per_unit", "unit_amount": "20"}, D("36")),
        ({"model": "per_unit", "unit_amount": "20", "discount": {"percent": "50"}}, D("18")),
    ]
    for document, expected in cases:
        assert parse_price(document, "EUR").overridden(**own).charge(usage_of(2)).amount == expected


@pytest.mark.parametrize(
    ("document", "quantity", "expected"),
    [
        ({"model": "graduated", "tiers": TIERS}, "0", (10, 5)),
        ({"model": "graduated", "tiers": TIERS}, "12", (8, 4)),
        ({"model": "graduated", "tiers": TIERS}, "20", (0, 4)),
        ({"model": "graduated", "tiers": TIERS}, "21", None),
        ({"model": "graduated", "tiers": TIERS, "free_units": "7"}, "3", (4, 10)),
        ({"model": "graduated", "tiers": TIERS, "free_units": "7"}, "8", (9, 5)),
        ({"model": "volume", "tiers": TIERS, "transform": {"divide_by": "10", "round": "up"}}, "91", (9, 5)),
        ({"model": "volume", "tiers": TIERS, "transform": {"divide_by": "10", "round": "down"}}, "91", None),
        ({"model": "per_unit", "unit_amount": "250", "free_units": "5"}, "2", (3, 250)),
        ({"model": "per_unit", "unit_amount": "250", "free_units": "5"}, "5", None),
        ({"model": "flat", "amount": "250"}, "5", None),
    ],
)
def test_the_next_step_says_what_a_unit_will_cost(
    document: dict[str, Any], quantity: str, expected: tuple[int, int] | None
) -> None:
    step = parse_price(document, "EUR").step(usage_of(D(quantity)))
    assert (step and (step.remaining, step.unit_amount)) == expected


def test_a_negative_quantity_is_refused() -> None:
    with pytest.raises(PriceError) as caught:
        amount({"model": "per_unit", "unit_amount": "1"}, -1)
    assert caught.value.code == "quantity_negative"


def _tier_of(tiers: list[dict[str, Any]], unit: Fraction) -> int:
    return next(n for n, tier in enumerate(tiers) if tier["up_to"] is None or unit <= Fraction(tier["up_to"]))


def _brute_graduated(tiers: list[dict[str, Any]], tenths: int) -> Fraction:
    """Walk the quantity a tenth of a unit at a time: each costs a tenth of its own tier's unit amount."""
    total = Fraction(0)
    entered = {0}
    for step in range(1, tenths + 1):
        index = _tier_of(tiers, Fraction(step, 10))
        entered.add(index)
        total += Fraction(tiers[index]["unit_amount"]) / 10
    return total + sum(Fraction(tiers[index]["flat_amount"]) for index in range(max(entered) + 1))


@given(tiered("graduated"), st.integers(0, 400))
def test_graduated_agrees_with_walking_the_tiers_a_tenth_at_a_time(document: dict[str, Any], tenths: int) -> None:
    assert Fraction(amount(document, str(D(tenths) / 10))) == _brute_graduated(document["tiers"], tenths)


@given(tiered("volume"), quantities)
def test_volume_agrees_with_the_one_tier_looked_up(document: dict[str, Any], quantity: Decimal) -> None:
    tier = document["tiers"][_tier_of(document["tiers"], Fraction(quantity))]
    expected = Fraction(quantity) * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
    assert Fraction(amount(document, str(quantity))) == expected


@given(prices(), quantities)
def test_a_charge_is_the_sum_of_its_parts_and_never_below_zero(document: dict[str, Any], quantity: Decimal) -> None:
    charge = parse_price(document, "EUR").charge(usage_of(quantity))
    assert sum(Fraction(part.amount) for part in charge.parts) == Fraction(charge.amount)
    assert charge.amount >= 0


@given(prices(), quantities, quantities)
def test_models_that_are_monotone_never_fall(document: dict[str, Any], one: Decimal, two: Decimal) -> None:
    if document["model"] != "volume":
        price = parse_price(document, "EUR")
        low, high = sorted((one, two))
        assert price.charge(usage_of(low)).amount <= price.charge(usage_of(high)).amount
