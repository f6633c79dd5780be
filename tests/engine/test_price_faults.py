"""A price document with anything wrong in it is refused, with a code, a path and a sentence."""

from typing import Any

import pytest

from fakturo.engine.errors import PriceError
from fakturo.engine.prices import parse_price, read_price

UNIT = {"model": "per_unit", "unit_amount": "1"}
CELL = {"match": {}, "price": UNIT}
MATRIX = {"model": "matrix", "cells": [CELL]}
LAST = {"up_to": None, "unit_amount": "1"}
BOTH = {"model": "graduated_percentage", "tiers": [LAST | {"percent": "1"}]}


def tiers(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"model": "graduated", "tiers": list(rows)}


@pytest.mark.parametrize(
    ("document", "code", "path"),
    [
        (None, "field_type", "price"),
        ({}, "field_missing", "price.model"),
        ({"model": 3}, "field_type", "price.model"),
        ({"model": "percentile", "percent": "1"}, "price_model_unknown", "price.model"),
        ({"model": "per_unit"}, "field_missing", "price.unit_amount"),
        ({"model": "per_unit", "unit_amount": 1.5}, "number_float", "price.unit_amount"),
        ({"model": "per_unit", "unit_amount": "-1"}, "number_negative", "price.unit_amount"),
        (UNIT | {"maximum_amonut": "5"}, "field_unknown", "price.maximum_amonut"),
        (UNIT | {"tiers": []}, "field_unknown", "price.tiers"),
        (UNIT | {"currency": "USD"}, "currency_mismatch", "price.currency"),
        (UNIT | {"currency": "EURO"}, "currency_unknown", "price.currency"),
        (UNIT | {"licensed": "yes"}, "field_type", "price.licensed"),
        (UNIT | {"proration": "week"}, "field_choice", "price.proration"),
        (UNIT | {"transform": {"divide_by": "0"}}, "number_zero", "price.transform.divide_by"),
        (UNIT | {"transform": {"divide_by": "2", "rond": "up"}}, "field_unknown", "price.transform.rond"),
        (UNIT | {"transform": {"round": "up"}}, "field_missing", "price.transform.divide_by"),
        (UNIT | {"discount": {}}, "price_discount", "price.discount"),
        (UNIT | {"discount": {"percent": "1", "amount": "1"}}, "price_discount", "price.discount"),
        (UNIT | {"discount": {"percent": "101"}}, "price_discount", "price.discount.percent"),
        (UNIT | {"per_event": "true"}, "field_type", "price.per_event"),
        (UNIT | {"event_increments": {}}, "price_event_increments", "price.event_increments"),
        (UNIT | {"event_increments": {"step": "0"}}, "number_zero", "price.event_increments.step"),
        (UNIT | {"event_increments": {"increment": "6"}}, "field_unknown", "price.event_increments.increment"),
        ({"model": "percentage"}, "field_missing", "price.percent"),
        ({"model": "percentage", "percent": "1", "free_events": "1.5"}, "number_not_whole", "price.free_events"),
        (
            {"model": "percentage", "percent": "1", "minimum_per_event": "2", "maximum_per_event": "1"},
            "price_clamp",
            "price.maximum_per_event",
        ),
        ({"model": "graduated_percentage", "tiers": [{"up_to": None}]}, "field_missing", "price.tiers[0].percent"),
        (BOTH, "field_unknown", "price.tiers[0].unit_amount"),
        ({"model": "dynamic", "multiplier": "-1"}, "number_negative", "price.multiplier"),
        ({"model": "capacity", "tiers": [{"limits": {"a": "1"}}]}, "field_missing", "price.tiers[0].amount"),
        (
            {"model": "capacity", "tiers": [{"limits": {"a": 5}, "amount": "1"}, {"limits": {"a": 4}, "amount": "2"}]},
            "price_tier_order",
            "price.tiers[1].limits.a",
        ),
        ({"model": "package", "package_size": "0", "package_amount": "1"}, "number_zero", "price.package_size"),
        ({"model": "package", "package_size": "1"}, "field_missing", "price.package_amount"),
        (tiers(), "field_type", "price.tiers"),
        ({"model": "volume"}, "field_missing", "price.tiers"),
        (tiers({"up_to": "5", "unit_amount": "1"}), "price_tier_last", "price.tiers[0].up_to"),
        (tiers({"unit_amount": "1"}, LAST), "price_tier_order", "price.tiers[0].up_to"),
        (tiers({"up_to": "0", "unit_amount": "1"}, LAST), "price_tier_order", "price.tiers[0].up_to"),
        (tiers({"up_to": None}), "field_missing", "price.tiers[0].unit_amount"),
        (tiers(LAST | {"flat_amonut": "1"}), "field_unknown", "price.tiers[0].flat_amonut"),
        ({"model": "matrix", "dimensions": ["a"]}, "field_missing", "price.cells"),
        ({"model": "matrix", "dimensions": "a", "cells": [CELL]}, "field_type", "price.dimensions"),
        ({"model": "matrix", "cells": [CELL | {"match": {"b": "x"}}]}, "field_unknown", "price.cells[0].match.b"),
        ({"model": "matrix", "cells": [{}]}, "field_type", "price.cells[0].price"),
        (MATRIX | {"default": {"model": "flat"}}, "field_missing", "price.default.amount"),
    ],
)  # fmt: skip
def test_a_fault_has_a_code_and_a_path(document: Any, code: str, path: str) -> None:
    with pytest.raises(PriceError) as caught:
        parse_price(document, "EUR")
    assert (caught.value.code, caught.value.path) == (code, path)
    assert caught.value.message


def test_the_message_of_the_contract() -> None:
    document = tiers({"up_to": "10", "unit_amount": "1"}, {"up_to": "5", "unit_amount": "1"}, LAST)
    with pytest.raises(PriceError) as caught:
        parse_price(document, "EUR")
    assert caught.value.code == "price_tier_order"
    assert caught.value.message == "tiers[1].up_to 5 is not above 10"
    assert caught.value.path == "price.tiers[1].up_to"


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(PriceError, match="flat, per_unit, graduated, volume, package, percentage, graduated_"):
        parse_price({"model": "dynamics"}, "EUR")


def test_all_faults_are_found_at_once() -> None:
    faults: list[PriceError] = []
    document = tiers({"up_to": "5", "unit_amount": "x"}, {"up_to": "4", "unit_amount": "1"}) | {
        "free_units": -1,
        "a": 1,
    }
    assert read_price(document, "EUR", "price", faults) is None
    assert [fault.code for fault in faults] == [
        "number_invalid",
        "price_tier_last",
        "price_tier_order",
        "number_negative",
        "field_unknown",
    ]
