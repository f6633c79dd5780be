"""The price list: read whole, or refused whole with everything that is wrong with it."""

import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fakturo.engine.catalog import parse_catalog, price_at
from fakturo.engine.errors import CatalogError

CATALOG: dict[str, Any] = {
    "currency": "USD",
    "meters": {
        "movements": {"event_type": "airport.departure", "aggregation": "count", "group_by": ["origin"]},
        "miles": {"event_type": "airport.departure", "aggregation": "sum", "value": "data.distance"},
    },
    "products": {
        "MOVEMENT": {
            "name": "Movement charge",
            "billing": "arrears",
            "meter": "movements",
            "prices": [
                {"effective_from": date(2013, 1, 1), "model": "per_unit", "unit_amount": "120"},
                {"effective_from": "2013-07-01", "model": "per_unit", "unit_amount": "123.60"},
            ],
        },
        "TERMINAL": {
            "name": "Terminal rent",
            "unit": "terminals",
            "prices": [{"effective_from": "2013-01-01", "model": "per_unit", "unit_amount": "15000", "licensed": True}],
        },
    },
    "tax": {"rate_percent": "8.875", "category": "standard", "prices_include_tax": False},
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(CATALOG)
    found: Any = document
    *steps, last = path.split(".")
    for step in steps:
        found = found[int(step)] if step.isdigit() else found[step]
    found[int(last) if last.isdigit() else last] = value
    return document


def test_a_catalog_is_read() -> None:
    catalog = parse_catalog(CATALOG)
    movement, terminal = catalog.products["MOVEMENT"], catalog.products["TERMINAL"]
    assert (catalog.currency, movement.name, movement.billing, movement.unit) == (
        "USD",
        "Movement charge",
        "arrears",
        "movements",
    )
    assert movement.meter == catalog.meters["movements"]
    assert [version.effective_from for version in movement.prices] == [date(2013, 1, 1), date(2013, 7, 1)]
    assert movement.prices[1].price == {"model": "per_unit", "unit_amount": "123.60"}
    assert (terminal.meter, terminal.unit, str(terminal.tax.rate_percent)) == (None, "terminals", "8.875")


def test_a_price_is_named_by_the_sha_256_of_its_canonical_json() -> None:
    version = parse_catalog(CATALOG).products["MOVEMENT"].prices[0]
    # echo -n '{"model":"per_unit","unit_amount":"120"}' | sha256sum
    assert version.hash == "ac35b9867b7c35f532ad921a3c6481321f57b5e0972b210963cdaa7668aad900"


@pytest.mark.parametrize(
    ("on", "amount"),
    [(date(2012, 12, 31), None), (date(2013, 1, 1), "120"), (date(2013, 6, 30), "120"), (date(2013, 7, 1), "123.60")],
)
def test_a_version_holds_from_its_date_on(on: date, amount: str | None) -> None:
    version = price_at(parse_catalog(CATALOG).products["MOVEMENT"].prices, on)
    assert (version and version.price["unit_amount"]) == amount


SECOND = "products.MOVEMENT.prices[1]"
CELL = {"match": {}, "price": {"model": "flat", "amount": "1"}}
FAULTS = [
    ("currency", "DOLLAR", "currency_unknown", "currency"),
    ("colour", "red", "field_unknown", "colour"),
    ("tax.rate", "1", "field_unknown", "tax.rate"),
    ("tax.rate_percent", 8.875, "number_float", "tax.rate_percent"),
    ("tax.prices_include_tax", "yes", "field_type", "tax.prices_include_tax"),
    ("products", {}, "field_missing", "products"),
    ("products.MOVEMENT", None, "field_missing", "products.MOVEMENT.name"),
    ("products.MOVEMENT.meter", "none", "meter_unknown", "products.MOVEMENT.meter"),
    ("products.MOVEMENT.billing", "advance", "billing_advance_metered", "products.MOVEMENT.billing"),
    ("products.MOVEMENT.price_change", "never", "field_choice", "products.MOVEMENT.price_change"),
    ("products.MOVEMENT.price", [], "field_unknown", "products.MOVEMENT.price"),
    ("products.MOVEMENT.prices.1.effective_from", date(2013, 1, 1), "price_versions_order", SECOND + ".effective_from"),
    ("products.MOVEMENT.prices.1.effective_from", "July", "field_type", SECOND + ".effective_from"),
    ("products.MOVEMENT.prices.1.effective_from", None, "field_missing", SECOND + ".effective_from"),
    ("products.MOVEMENT.prices.1.unit_amount", 123.6, "number_float", SECOND + ".unit_amount"),
    ("products.MOVEMENT.prices.1.licensed", True, "price_licensed_metered", SECOND + ".licensed"),
    ("products.TERMINAL.prices.0.licensed", False, "meter_missing", "products.TERMINAL.prices[0].model"),
    ("meters.miles.aggregation", "median", "aggregation_unknown", "meters.miles.aggregation"),
    ("meters.miles.value", None, "meter_value_missing", "meters.miles.value"),
    ("meters.miles.filter", {"plan": "pro"}, "field_type", "meters.miles.filter.plan"),
    (
        "products.MOVEMENT.prices.1",
        {"effective_from": "2013-07-01", "model": "matrix", "dimensions": ["dest"], "cells": [CELL]},
        "price_matrix_dimension",
        SECOND + ".dimensions",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code", "fault_path"), FAULTS)
def test_a_fault_is_named_by_code_and_path(path: str, value: Any, code: str, fault_path: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(changed(path, value))
    assert (caught.value.faults[0].code, caught.value.faults[0].path) == (code, fault_path)


def test_all_faults_are_listed_at_once() -> None:
    document = changed("products.MOVEMENT.prices.0.unit_amount", "x")
    document["products"]["TERMINAL"]["prices"][0]["unit_amount"] = "-1"
    document["tax"]["rate"] = "1"
    with pytest.raises(CatalogError) as caught:
        parse_catalog(document)
    assert len(caught.value.faults) == 3
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("document", [None, [], "catalog", 3, {}])
def test_what_is_no_catalog_is_refused(document: object) -> None:
    with pytest.raises(CatalogError):
        parse_catalog(document)


def test_the_flights_catalog_of_the_demo_is_valid() -> None:
    import yaml

    path = Path(__file__).resolve().parents[2] / "producers" / "simulate" / "flights_catalog.yaml"
    catalog = parse_catalog(yaml.safe_load(path.read_text()))
    assert set(catalog.products) == {"MOVEMENT", "SLOT", "DISTANCE", "CANCEL", "TERMINAL"}
