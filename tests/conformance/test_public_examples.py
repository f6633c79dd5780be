"""Prices that other systems publish with their result: each case names its source, and none is computed here.

Input and expected figures are facts of the source, put into our price language by hand.
"""

from decimal import Decimal
from typing import Any

import pytest

from fakturo.engine.prices import parse_price, usage_of
from fakturo.engine.rating import RateRequest, rate


def tiers(model: str, *rows: tuple[str | None, str, str]) -> dict[str, Any]:
    return {
        "model": model,
        "tiers": [{"up_to": up_to, "unit_amount": unit, "flat_amount": flat} for up_to, unit, flat in rows],
    }


def unit(amount: str, **modifiers: Any) -> dict[str, Any]:
    return {"model": "per_unit", "unit_amount": amount, **modifiers}


def package(size: str, amount: str, **fields: Any) -> dict[str, Any]:
    return {"model": "package", "package_size": size, "package_amount": amount, **fields}


CONTRACT = tiers("graduated", ("10", "10", "2"), ("20", "5", "3"), (None, "5", "3"))
LAGO_VOLUME = tiers(
    "volume", ("10000", "0.0010", "10"), ("50000", "0.0008", "10"), ("100000", "0.0006", "10"), (None, "0.0004", "10")
)
LAGO_GRADUATED = tiers("graduated", ("100", "1", "0"), ("200", "0.50", "0"), (None, "0.10", "0"))
ZUPLO = ("1000", "0.10", "0"), ("10000", "0.05", "0"), (None, "0.01", "0")
ORACLE_UNIT = ("250", "1", "0"), ("500", "2", "0"), (None, "3", "0")
ORACLE_SLAB = ("250", "0", "10"), ("500", "0", "20"), (None, "0", "30")
AUTUMN = tiers("graduated", ("1000", "0.01", "0"), ("10000", "0.008", "0"), (None, "0.005", "0"))
FLEXPRICE_PACKAGE = package("1000", "1.00")
BETWEEN = tiers("volume", ("100", "1", "0"), (None, "2", "0"))

CASES = [
    # Fakturo's own contract: PRICING.md, `fakturo rate`, c1 and c2.
    ("PRICING.md c1", CONTRACT, "21", "163.00"),
    # getlago.com/docs/guide/plans/charges/charge-models/standard: 1,000 calls at $0.05.
    ("Lago standard", unit("0.05"), "1000", "50.00"),
    # .../charge-models/volume: 65,000 calls at $0.0006 and $10 = $49.
    ("Lago volume", LAGO_VOLUME, "65000", "49.00"),
    # .../charge-models/package: $5 for 100 units, the first 100 free: 201 units cost $10.
    ("Lago package", package("100", "5", free_units="100"), "201", "10.00"),
    # .../charge-models/graduated: $1 for the first 100, $0.50 for the next 100, $0.10 after.
    ("Lago graduated, end of the first tier", LAGO_GRADUATED, "100", "100.00"),
    ("Lago graduated, end of the second tier", LAGO_GRADUATED, "200", "150.00"),
    # zuplo.com/docs/articles/monetization/pricing-models: 15,000 units, 100,000 calls.
    ("Zuplo graduated", tiers("graduated", *ZUPLO), "15000", "600.00"),
    ("Zuplo volume", tiers("volume", *ZUPLO), "15000", "150.00"),
    ("Zuplo per unit", unit("0.001"), "100000", "100.00"),
    # Oracle Banking Liquidity Management, "Examples for Tier Based Amount": count 1,000.
    ("Oracle slab with unit", tiers("graduated", *ORACLE_UNIT), "1000", "2250.00"),
    ("Oracle slab without unit", tiers("graduated", *ORACLE_SLAB), "1000", "60.00"),
    ("Oracle variable with unit", tiers("volume", *ORACLE_UNIT), "1000", "3000.00"),
    ("Oracle variable without unit", tiers("volume", *ORACLE_SLAB), "1000", "30.00"),
    # docs.useautumn.com/documentation/modelling-pricing/graduated-pricing: 15,000 requests.
    ("Autumn graduated", AUTUMN, "15000", "107.00"),
    # docs.flexprice.io, Tiered: 4,500 calls in packages of 1,000 make 5 packages; 65,000 calls by volume at $0.0006.
    ("Flexprice package", FLEXPRICE_PACKAGE, "4500", "5.00"),
    ("Flexprice volume", tiers("volume", ("50000", "0.0008", "0"), (None, "0.0006", "0")), "65000", "39.00"),
    # OpenMeter, tiered price tests: 5.001 enters the second tier and with it its flat amount.
    ("OpenMeter entered tier", tiers("graduated", ("5", "0", "1"), (None, "0", "10")), "5.001", "11.00"),
    ("OpenMeter tier not entered", tiers("graduated", ("5", "0", "1"), (None, "0", "10")), "5", "1.00"),
    # Bounds are inclusive in Stripe, Lago, OpenMeter and Flexprice: 100 is in the first tier, 100.5 in the second.
    ("inclusive bound", BETWEEN, "100", "100.00"),
    ("fraction above a bound", BETWEEN, "100.5", "201.00"),
    # Zero usage, Lago and OpenMeter: the first tier's flat amount is charged.
    ("zero usage, graduated", tiers("graduated", ("10", "1", "4"), (None, "1", "9")), "0", "4.00"),
    ("zero usage, volume", tiers("volume", ("10", "1", "4"), (None, "1", "9")), "0", "4.00"),
    # HMRC VATREC12030: 0.5 of a penny goes up, below goes down.
    ("HMRC half a penny", unit("0.005"), "1", "0.01"),
    ("HMRC below half a penny", unit("0.0049"), "1", "0.00"),
]


@pytest.mark.parametrize(
    ("price", "quantity", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_published_example_comes_out_to_the_cent(price: dict[str, Any], quantity: str, expected: str) -> None:
    result = rate(RateRequest(price=parse_price(price, "USD"), usage=usage_of(Decimal(quantity))))
    assert str(result.amount) == expected


def test_the_contracts_example_of_a_progressive_bill() -> None:
    """PRICING.md c2: 22 units of which 12 are billed; 168 - 115 by the table of the three tiers."""
    request = RateRequest(price=parse_price(CONTRACT, "EUR"), usage=usage_of(Decimal(22)), billed=usage_of(Decimal(12)))
    assert str(rate(request).amount) == "53.00"


def test_the_contracts_example_explains_its_lines() -> None:
    result = rate(RateRequest(price=parse_price(CONTRACT, "EUR"), usage=usage_of(Decimal(21))))
    first = result.lines[0]
    assert (first.description, str(first.quantity), str(first.unit_amount), str(first.amount)) == (
        "10 units at 10.00 + 2.00",
        "10",
        "10",
        "102.00",
    )
    assert str(result.exact) == "163"
