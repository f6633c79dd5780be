"""How products are billed, and sellers, coupons, loyalty and tax of a price list: what is read, what is refused."""

import copy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fakturo.engine.catalog import Catalog, parse_catalog
from fakturo.engine.errors import CatalogError
from fakturo.schemas.events.contracts import AlertThreshold, Coupon, LoyaltyProgramme, Seller, TaxRate

D = Decimal
SEAT = {"effective_from": "2026-01-01", "model": "per_unit", "unit_amount": "20", "licensed": True}
CALLS = {"effective_from": "2026-01-01", "model": "per_unit", "unit_amount": "0.01", "free_units": "12000"}
CATALOG: dict[str, Any] = {
    "currency": "EUR",
    "meters": {"calls": {"event_type": "api.call", "aggregation": "count"}},
    "products": {
        "SEAT": {
            "name": "Seat", "billing": "advance", "billing_period": {"months": 3}, "anchor": "2026-01-31",
            "trial_days": 14, "price_change": "next_period", "tax_category": "reduced",
            "prices": [SEAT, SEAT | {"currency": "DKK", "unit_amount": "150"},
                       SEAT | {"effective_from": date(2026, 7, 1), "unit_amount": "22"}],
        },
        "CALLS": {"name": "Calls", "meter": "calls", "allowance": {"months": 12},
                  "prices": [CALLS, CALLS | {"currency": "DKK"}],
                  "alerts": [{"quantity": "1000"}, {"amount": "500.00"}, {"amount": 3750, "currency": "DKK"}]},
        "SETUP": {"name": "Set-up", "billing_period": "once",
                  "prices": [{"effective_from": "2026-01-01", "model": "flat", "amount": "500"}]},
    },
    "sellers": {
        "DK": {"name": "Fakturo ApS", "country": "DK", "timezone": "Europe/Copenhagen", "currency": "DKK",
               "vat_id": "DK12345674", "address": "Aarhus", "invoice_series": "F", "credit_note_series": "K",
               "tax_registrations": ["DE"], "tax_rounding": "line"},
    },
    "coupons": {
        "SPRING": {"description": "Spring", "percent": "10", "duration": "periods", "periods": 3, "priority": 5,
                   "stackable": False, "budget": "1000.50", "products": ["SEAT"], "expires_on": "2026-06-30"},
        "TEN": {"description": "Ten off", "amount": "10", "currency": "DKK"},
    },
    "loyalty": {"MILES": {"points_per_unit": "2", "point_amount": "0.005", "redemption_percent": "80",
                          "expires_months": 24}},
    "tax": {"by_country": True, "prices_include_tax": True,
            "rates": [{"country": "DK", "effective_from": "1992-01-01", "rate_percent": "25"}]},
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(CATALOG)
    found: Any = document
    *steps, last = path.split(".")
    for step in steps:
        found = found[int(step)] if step.isdigit() else found[step]
    found[int(last) if last.isdigit() else last] = value
    return document


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_catalog(CATALOG)


def test_a_product_says_how_it_is_billed(catalog: Catalog) -> None:
    seat, calls, setup = (catalog.products[code] for code in ("SEAT", "CALLS", "SETUP"))
    assert (seat.billing, seat.billing_months, seat.anchor, seat.trial_days) == ("advance", 3, date(2026, 1, 31), 14)
    assert (seat.price_change, seat.tax.category, seat.tax.by_country) == ("next_period", "reduced", True)
    assert (calls.billing, calls.billing_months, calls.anchor, calls.allowance_months) == ("arrears", 1, "calendar", 12)
    assert (setup.billing_months, setup.tax.category) == (0, "standard")


def test_alerts_are_quantities_and_amounts_in_minor_units_of_their_currency(catalog: Catalog) -> None:
    assert catalog.products["CALLS"].alerts == (
        AlertThreshold(quantity=D(1000)),
        AlertThreshold(amount_minor=50_000, currency="EUR"),
        AlertThreshold(amount_minor=375_000, currency="DKK"),
    )
    assert catalog.products["SEAT"].alerts == ()


def test_versions_are_ordered_by_currency(catalog: Catalog) -> None:
    seat = catalog.products["SEAT"]
    assert [(one.effective_from, one.price["unit_amount"]) for one in seat.prices] == [
        (date(2026, 1, 1), "20"),
        (date(2026, 7, 1), "22"),
    ]
    assert [one.price["unit_amount"] for one in seat.other_prices["DKK"]] == ["150"]


def test_sellers_coupons_loyalty_and_rates_are_read(catalog: Catalog) -> None:
    assert catalog.sellers["DK"] == Seller(
        code="DK", name="Fakturo ApS", country="DK", timezone="Europe/Copenhagen", currency="DKK", vat_id="DK12345674",
        address="Aarhus", invoice_series="F", credit_note_series="K", tax_registrations=("DE",), tax_rounding="line",
    )  # fmt: skip
    assert catalog.coupons["SPRING"] == Coupon(
        code="SPRING", description="Spring", percent=D(10), currency="EUR", duration="periods", periods=3, priority=5,
        stackable=False, budget_minor=100_050, products=("SEAT",), expires_on=date(2026, 6, 30),
    )  # fmt: skip
    assert catalog.coupons["TEN"] == Coupon(code="TEN", description="Ten off", amount_minor=1000, currency="DKK")
    assert catalog.loyalty["MILES"] == LoyaltyProgramme(
        code="MILES", points_per_unit=D(2), point_amount=D("0.005"), redemption_percent=D(80), expires_months=24
    )
    tax = catalog.products["CALLS"].tax
    assert tax.prices_include_tax
    assert tax.rates == (
        TaxRate(country="DK", category="standard", effective_from=date(1992, 1, 1), rate_percent=D(25)),
    )


THIRD = "products.SEAT.prices[2]"
ONE = "products.CALLS.alerts[1]"
FAULTS = [
    ("products.SEAT.prices.2.effective_from", "2025-01-01", "price_versions_order", THIRD + ".effective_from"),
    ("products.SEAT.prices.1.currency", "DKR", "currency_unknown", "products.SEAT.prices[1].currency"),
    ("products.SEAT.billing_period", {"months": 0}, "number_range", "products.SEAT.billing_period.months"),
    ("products.SEAT.billing_period", {"weeks": 1}, "field_missing", "products.SEAT.billing_period.months"),
    ("products.SEAT.billing_period", "weekly", "field_type", "products.SEAT.billing_period"),
    ("products.SEAT.anchor", "monday", "field_type", "products.SEAT.anchor"),
    ("products.CALLS.billing_period", {"months": 5}, "billing_anchor", "products.CALLS.anchor"),
    ("products.SEAT.trial_days", "1.5", "number_range", "products.SEAT.trial_days"),
    ("products.CALLS.billing_period", "once", "billing_once", "products.CALLS.billing_period"),
    ("products.CALLS.allowance", {"months": 1}, "allowance_months", "products.CALLS.allowance"),
    ("products.SETUP.allowance", {"months": 12}, "billing_once", "products.SETUP.billing_period"),
    ("products.SEAT.allowance", {"months": 12}, "allowance_meter", "products.SEAT.allowance"),
    ("products.SEAT.alerts", [{"quantity": "5"}], "alerts_meter", "products.SEAT.alerts"),
    ("products.CALLS.alerts", [], "field_type", "products.CALLS.alerts"),
    ("products.CALLS.alerts", [{"quantity": str(n)} for n in range(1, 22)], "alerts_too_many", "products.CALLS.alerts"),
    ("products.CALLS.alerts.0", {}, "alert_kind", "products.CALLS.alerts[0].quantity"),
    ("products.CALLS.alerts.0", {"quantity": "1", "amount": "1"}, "alert_kind", "products.CALLS.alerts[0].quantity"),
    ("products.CALLS.alerts.0", {"quantity": "0"}, "number_zero", "products.CALLS.alerts[0].quantity"),
    ("products.CALLS.alerts.0", {"quantity": "-1"}, "number_negative", "products.CALLS.alerts[0].quantity"),
    ("products.CALLS.alerts.0", {"percent": "80"}, "field_unknown", "products.CALLS.alerts[0].percent"),
    ("products.CALLS.alerts.1", {"quantity": "1000.0"}, "alert_repeated", ONE + ".quantity"),
    ("products.CALLS.alerts.1", {"amount": "0.001"}, "number_decimals", ONE + ".amount"),
    ("products.CALLS.alerts.1", {"amount": 1, "currency": "USD"}, "alert_currency", ONE + ".currency"),
    ("sellers.DK.timezone", "Europe/Aarhus", "zone_unknown", "sellers.DK.timezone"),
    ("sellers.DK.country", "Denmark", "country_code", "sellers.DK.country"),
    ("sellers.DK.credit_note_series", "F", "series_repeated", "sellers.DK.credit_note_series"),
    ("sellers.DK.tax_rounding", "total", "field_choice", "sellers.DK.tax_rounding"),
    ("sellers.DK.currency", "KR", "currency_unknown", "sellers.DK.currency"),
    ("coupons.SPRING.amount", "5", "coupon_discount", "coupons.SPRING.percent"),
    ("coupons.SPRING.percent", "101", "number_range", "coupons.SPRING.percent"),
    ("coupons.SPRING.budget", "1000.505", "number_decimals", "coupons.SPRING.budget"),
    ("coupons.SPRING.periods", None, "coupon_periods", "coupons.SPRING.periods"),
    ("coupons.SPRING.products", ["SEATS"], "product_unknown", "coupons.SPRING.products"),
    ("coupons.SPRING.expires_on", "soon", "field_type", "coupons.SPRING.expires_on"),
    ("coupons.TEN.colour", "red", "field_unknown", "coupons.TEN.colour"),
    ("loyalty.MILES.point_amount", "0", "number_zero", "loyalty.MILES.point_amount"),
    ("loyalty.MILES.redemption_percent", "120", "number_range", "loyalty.MILES.redemption_percent"),
    ("tax.rate_percent", "25", "tax_rate_by_country", "tax.rate_percent"),
    ("tax.rates.0.country", "dk", "country_code", "tax.rates[0].country"),
    ("tax.rates.0.rate_percent", "250", "number_range", "tax.rates[0].rate_percent"),
    ("tax.by_country", False, "tax_rate_by_country", "tax.rates"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code", "fault_path"), FAULTS)
def test_a_fault_is_named_by_code_and_path(path: str, value: Any, code: str, fault_path: str) -> None:
    with pytest.raises(CatalogError) as caught:
        parse_catalog(changed(path, value))
    assert (code, fault_path) in [(fault.code, fault.path) for fault in caught.value.faults]


def test_rates_of_one_country_must_ascend() -> None:
    rate = {"country": "DK", "effective_from": "1992-01-01", "rate_percent": "25"}
    with pytest.raises(CatalogError, match="tax_rates_order"):
        parse_catalog(changed("tax.rates", [rate, rate]))


def test_faults_of_every_part_are_listed_at_once() -> None:
    document = changed("sellers.DK.country", "dk")
    document["coupons"]["TEN"]["amount"] = "x"
    document["loyalty"]["MILES"]["points"] = "1"
    document["tax"]["rate_percent"] = "25"
    document["products"]["SEAT"]["anchor"] = "monday"
    with pytest.raises(CatalogError) as caught:
        parse_catalog(document)
    paths = {fault.path.partition(".")[0] for fault in caught.value.faults}
    assert paths == {"sellers", "coupons", "loyalty", "tax", "products"}
