"""The tier that a usage has reached, and what the next units cost: worked out by hand."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.money import exact_context
from fakturo.engine.prices import parse_price, usage_of
from fakturo.engine.prices.standing import NextUnits, TierReached, next_units, tier_reached

D = Decimal
TIERS = [
    {"up_to": "500", "unit_amount": "120"},
    {"up_to": "2000", "unit_amount": "110"},
    {"up_to": None, "unit_amount": "95"},
]
GRADUATED = {"model": "graduated", "tiers": TIERS}
VOLUME = {"model": "volume", "tiers": TIERS}
UNIT = {"model": "per_unit", "unit_amount": "2"}
PACKAGE = {"model": "package", "package_size": "1000", "package_amount": "1.75"}


def _next(document: dict[str, Any], used: str) -> tuple[str, str, str | None] | None:
    """Return (amount, per units, remaining) of the next units as texts."""
    price, usage = parse_price(document, "EUR"), usage_of(D(used))
    found = next_units(price, usage, price.charge(usage, final=False).amount)
    if found is None:
        return None
    left = None if found.remaining is None else f"{found.remaining.normalize():f}"
    return f"{found.amount.normalize():f}", f"{found.per_units:f}", left


@pytest.mark.parametrize(
    ("document", "used", "expected"),
    [
        (UNIT, "7", ("2", "1", None)),
        (GRADUATED, "0", ("120", "1", "500")),
        (GRADUATED, "499.5", ("120", "1", "0.5")),
        (GRADUATED, "500", ("110", "1", "1500")),  # the 501st costs 110
        (GRADUATED, "2000", ("95", "1", None)),
        (VOLUME, "1735", ("110", "1", "265")),
        # 100 free units move every bound: 120 holds up to 600.
        (GRADUATED | {"free_units": "100"}, "40", ("0", "1", "60")),
        (GRADUATED | {"free_units": "100"}, "100", ("120", "1", "500")),
        (UNIT | {"free_units": "5"}, "5", ("2", "1", None)),
        (UNIT | {"discount": {"percent": "10"}}, "7", ("1.8", "1", None)),
        (UNIT | {"maximum_amount": "10"}, "4", ("2", "1", None)),
        (UNIT | {"maximum_amount": "10"}, "5", ("0", "1", None)),
        (PACKAGE, "0", ("1.75", "1000", None)),
        (PACKAGE, "400", ("0", "1", "600")),  # the package that has begun holds 600 more
        (PACKAGE, "2000", ("1.75", "1000", None)),
        (PACKAGE | {"free_units": "10000"}, "9000", ("0", "1", "1000")),
        (PACKAGE | {"free_units": "10000"}, "10400", ("0", "1", "600")),
        (UNIT | {"transform": {"divide_by": "60", "round": "up"}}, "61", ("0", "1", "59")),
        (UNIT | {"transform": {"divide_by": "60", "round": "up"}}, "120", ("2", "60", None)),
        (UNIT | {"transform": {"divide_by": "60", "round": "down"}}, "61", None),
        ({"model": "flat", "amount": "9"}, "3", ("0", "1", None)),
        ({"model": "percentage", "percent": "1"}, "3", None),
        (UNIT | {"licensed": True}, "3", None),
    ],
)
def test_what_the_next_units_cost(document: dict[str, Any], used: str, expected: object) -> None:
    assert _next(document, used) == expected


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ("0", TierReached(number=1, count=3, after=D(0), up_to=D(500), unit_amount=D(120))),
        ("500", TierReached(number=1, count=3, after=D(0), up_to=D(500), unit_amount=D(120))),
        ("500.001", TierReached(number=2, count=3, after=D(500), up_to=D(2000), unit_amount=D(110))),
        ("9000", TierReached(number=3, count=3, after=D(2000), up_to=None, unit_amount=D(95))),
    ],
)
def test_the_tier_that_is_reached(used: str, expected: TierReached) -> None:
    for document in (GRADUATED, VOLUME):
        assert tier_reached(parse_price(document, "EUR"), usage_of(D(used))) == expected
    moved = tier_reached(parse_price(GRADUATED | {"free_units": "100"}, "EUR"), usage_of(D(550)))
    assert moved == TierReached(number=1, count=3, after=D(0), up_to=D(600), unit_amount=D(120))
    assert tier_reached(parse_price(UNIT, "EUR"), usage_of(D(1))) is None


@given(
    document=st.sampled_from([UNIT, GRADUATED, PACKAGE, UNIT | {"maximum_amount": "700"}]),
    free=st.integers(0, 600),
    percent=st.integers(0, 100),
    used=st.integers(0, 3000),
)
def test_the_next_units_cost_what_they_add_to_the_bill(
    document: dict[str, Any], free: int, percent: int, used: int
) -> None:
    with_more = document | {"free_units": str(free), "discount": {"percent": str(percent)}}
    price = parse_price(with_more, "EUR")
    before = price.charge(usage_of(used), final=False)
    found = next_units(price, usage_of(used), before.amount)
    assert isinstance(found, NextUnits)
    step = found.per_units if found.per_units > 1 else D(1)
    after = price.charge(usage_of(used + step), final=False)
    with exact_context():
        added = after.amount - before.amount
    assert added == found.amount or (price.modifiers.maximum_amount is not None and added < found.amount)
