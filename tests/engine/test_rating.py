"""One line, rounded once; bills in slices that sum to one bill; the sentence that the customer reads."""

import calendar
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period, date_period, month_period
from fakturo.engine.prices import grouped_usage, parse_price, usage_of
from fakturo.engine.rating import RateRequest, RateResult, rate, rate_slices
from tests.engine.strategies import amounts, prices, quantities

D = Decimal
DAY = timedelta(days=1)
NEW_YORK = "America/New_York"
MOVEMENT = {
    "model": "graduated",
    "minimum_amount": "5000",
    "tiers": [
        {"up_to": "500", "unit_amount": "120"},
        {"up_to": "2000", "unit_amount": "110"},
        {"up_to": "5000", "unit_amount": "95"},
        {"up_to": None, "unit_amount": "80"},
    ],
}


def rated(document: dict[str, Any], quantity: str | int = 0, currency: str = "USD", **options: Any) -> RateResult:
    return rate(RateRequest(price=parse_price(document, currency), usage=usage_of(D(quantity)), **options))


def test_a_line_says_how_its_amount_came_about() -> None:
    result = rated(MOVEMENT, 1735, unit="movements")
    assert result.explanation == "1,735 movements: 500 at 120.00, 1,235 at 110.00"
    assert (result.exact, str(result.amount), result.amount_minor) == (195850, "195850.00", 19585000)
    assert [(line.description, line.quantity, line.unit_amount, str(line.amount)) for line in result.lines] == [
        ("500 movements at 120.00", 500, 120, "60000.00"),
        ("1,235 movements at 110.00", 1235, 110, "135850.00"),
    ]
    assert result.next_tier is not None
    assert (result.next_tier.remaining, result.next_tier.unit_amount) == (265, 95)


@pytest.mark.parametrize(
    ("document", "quantity", "sentence"),
    [
        (MOVEMENT, 20, "20 units: 20 at 120.00, raised to the minimum of 5,000.00"),
        ({"model": "per_unit", "unit_amount": "250", "free_units": "5"}, 7, "7 units: 5 free, 2 at 250.00"),
        (
            {"model": "package", "package_size": "1000", "package_amount": "1.75", "free_units": "10000"}
            | {"discount": {"percent": "12.5"}},
            12_345,
            "12,345 units: 10,000 free, 3 packages of 1,000 at 1.75, less 12.5 %",
        ),
        (
            {"model": "per_unit", "unit_amount": "0.0015", "maximum_amount": "1"},
            1000,
            "1,000 units: 1,000 at 0.0015, capped at 1.00",
        ),
        (
            {"model": "volume", "tiers": [{"up_to": None, "unit_amount": "2", "flat_amount": "3"}]},
            4,
            "4 units: 4 at 2.00 + 3.00",
        ),
        (
            {"model": "per_unit", "unit_amount": "2", "transform": {"divide_by": "100", "round": "up"}},
            250,
            "250 units: 3 after division by 100, 3 at 2.00",
        ),
    ],
)
def test_sentences(document: dict[str, Any], quantity: int, sentence: str) -> None:
    assert rated(document, quantity).explanation == sentence


def test_a_matrix_explains_each_cell() -> None:
    price = parse_price(
        {
            "model": "matrix",
            "dimensions": ["origin"],
            "cells": [
                {"match": {"origin": "JFK"}, "price": {"model": "per_unit", "unit_amount": "40.00"}},
                {"match": {"origin": "LGA"}, "price": {"model": "per_unit", "unit_amount": "36.25"}},
            ],
        },
        "USD",
    )
    usage = grouped_usage(("origin",), {("LGA",): D(3), ("JFK",): D(2)})
    result = rate(RateRequest(price=price, usage=usage, unit="movements"))
    assert result.explanation == "5 movements: JFK 2 at 40.00, LGA 3 at 36.25"
    assert str(result.amount) == "188.75"


def test_the_unit_amount_is_told_only_where_it_makes_the_whole_amount() -> None:
    assert rated({"model": "per_unit", "unit_amount": "1.5"}, 3).unit_amount == D("1.5")
    assert rated({"model": "per_unit", "unit_amount": "1.5", "discount": {"percent": "10"}}, 3).unit_amount is None
    assert rated({"model": "per_unit", "unit_amount": "1.5", "free_units": "1"}, 3).unit_amount is None


@pytest.mark.parametrize(
    ("currency", "unit_amount", "quantity", "amount"),
    [("EUR", "0.345", 7, "2.42"), ("EUR", "0.335", 1, "0.34"), ("JPY", "0.5", 3, "2"), ("BHD", "0.0005", 1, "0.001")],
)
def test_the_amount_is_rounded_half_away_from_zero(currency: str, unit_amount: str, quantity: int, amount: str) -> None:
    assert str(rated({"model": "per_unit", "unit_amount": unit_amount}, quantity, currency).amount) == amount


# The terminals of the flights year: 15,000 a month, by days. Cents worked out by hand from the calendar.
@pytest.mark.parametrize(
    ("start", "end", "terminals", "expected", "note"),
    [
        (date(2013, 6, 10), date(2014, 1, 1), 1, "10500.00", "21 of 30 days"),
        (date(2013, 3, 15), date(2014, 1, 1), 1, "8225.81", "17 of 31 days"),
        (date(2013, 1, 1), date(2013, 11, 20), 1, "9500.00", "19 of 30 days"),
        (date(2013, 9, 16), date(2014, 1, 1), 2, "15000.00", "15 of 30 days"),
    ],
)
def test_a_month_begun_or_ended_early_is_billed_by_days(
    start: date, end: date, terminals: int, expected: str, note: str
) -> None:
    month = month_period(end if end.year == 2013 else start, NEW_YORK)
    price = {"model": "per_unit", "unit_amount": "15000", "licensed": True, "proration": "day"}
    result = rated(price, terminals, period=month, active=date_period(start, end, NEW_YORK), zone=NEW_YORK)
    assert str(result.amount) == expected
    assert result.explanation.endswith(f" at 15,000.00, {note}")


def test_the_worked_example_of_the_contract_prorates_a_flat_price_in_tokyo() -> None:
    month = month_period(date(2026, 3, 1), "Asia/Tokyo")
    active = date_period(date(2026, 3, 22), date(2026, 4, 1), "Asia/Tokyo")
    result = rated({"model": "flat", "amount": "1000"}, 0, "JPY", period=month, active=active, zone="Asia/Tokyo")
    assert (str(result.amount), str(result.exact)) == ("323", "322.580645161290322580645161")


def test_the_second_of_a_25_hour_day_is_shorter_than_that_of_a_24_hour_day() -> None:
    day = date_period(date(2026, 10, 25), date(2026, 10, 26), "Europe/Berlin")
    first_hour = Period(start_at=day.start_at, end_at=day.start_at.replace(hour=23))
    price = {"model": "flat", "amount": "25", "proration": "second"}
    assert rated(price, period=day, active=first_hour, zone="Europe/Berlin").exact == 1


def test_a_stretch_outside_of_the_period_costs_nothing_fixed() -> None:
    month, later = month_period(date(2026, 1, 1), "UTC"), month_period(date(2026, 2, 1), "UTC")
    assert rated({"model": "flat", "amount": "25"}, period=month, active=later).amount == 0


def test_an_active_stretch_needs_its_period() -> None:
    with pytest.raises(PriceError) as caught:
        rated({"model": "flat", "amount": "25"}, active=month_period(date(2026, 1, 1), "UTC"))
    assert caught.value.code == "period_missing"


@given(st.integers(2000, 2030), st.integers(1, 12), st.sampled_from([NEW_YORK, "Europe/Berlin", "UTC"]), amounts)
def test_the_days_of_a_month_sum_to_the_month(year: int, month: int, zone: str, amount: Decimal) -> None:
    days_in_month = calendar.monthrange(year, month)[1]
    period = month_period(date(year, month, 1), zone)
    price = {"model": "flat", "amount": f"{amount:f}"}
    shares = [
        rated(price, period=period, zone=zone, active=date_period(on, on + DAY, zone))
        for on in (date(year, month, day) for day in range(1, days_in_month + 1))
    ]
    whole = sum(Fraction(share.exact) for share in shares)
    assert abs(whole - Fraction(amount)) <= days_in_month * Fraction(1, 2 * 10**24)


# -- what was billed before


def test_what_was_billed_is_taken_off_and_tiers_are_not_charged_twice() -> None:
    tiers = [
        {"up_to": "10", "unit_amount": "10", "flat_amount": "2"},
        {"up_to": "20", "unit_amount": "5", "flat_amount": "3"},
        {"up_to": None, "unit_amount": "5", "flat_amount": "3"},
    ]
    result = rated({"model": "graduated", "tiers": tiers}, 22, "EUR", billed=usage_of(12))
    assert (str(result.amount), result.exact) == ("53.00", 53)
    assert result.explanation.endswith("less 115.00 already billed")


def test_a_bill_at_zero_usage_is_a_bill_and_none_is_none() -> None:
    price = {"model": "graduated", "tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "7"}]}
    assert rated(price, 3).amount == 10
    assert rated(price, 3, billed=usage_of(0)).amount == 3


def test_a_started_package_is_not_charged_again_and_a_correction_may_be_negative() -> None:
    price = {"model": "package", "package_size": "100", "package_amount": "5"}
    assert rated(price, 199, billed=usage_of(101)).amount == 0
    assert str(rated(price, 99, billed=usage_of(101)).amount) == "-5.00"


def test_an_advance_charge_is_credited_for_the_days_that_were_not_used() -> None:
    month = month_period(date(2026, 4, 1), "UTC")
    used = date_period(date(2026, 4, 1), date(2026, 4, 11), "UTC")
    result = rated({"model": "flat", "amount": "30"}, period=month, active=used, billed_active=month)
    assert str(result.amount) == "-20.00"


def test_the_rounded_difference_is_the_difference_of_the_rounded() -> None:
    # 0.005 and 0.010 both round up to 0.01: what is left to bill is 0.00 although 0.005 was used since.
    result = rated({"model": "per_unit", "unit_amount": "0.005"}, 2, billed=usage_of(1))
    assert (str(result.amount), str(result.exact)) == ("0.00", "0.005")


@given(prices(), st.lists(quantities, min_size=1, max_size=6), st.sampled_from(["EUR", "JPY", "BHD"]))
def test_bills_in_slices_sum_to_the_cent_to_one_bill_at_the_end(
    document: dict[str, Any], totals: list[Decimal], currency: str
) -> None:
    """Whatever the order of the totals (corrections fall), price(total) - price(billed) telescopes."""
    bills, billed = [], None
    for index, total in enumerate(totals):
        final = index == len(totals) - 1
        bills.append(rated(document, str(total), currency, billed=billed, final=final))
        billed = usage_of(total)
    whole = rated(document, str(totals[-1]), currency)
    assert sum(bill.amount_minor for bill in bills) == whole.amount_minor
    exact = sum(Fraction(bill.exact) for bill in bills)
    assert abs(exact - Fraction(whole.exact)) <= len(bills) * Fraction(1, 10**24)


@given(prices(), quantities)
def test_one_rounding_of_the_exact_amount_is_the_amount(document: dict[str, Any], quantity: Decimal) -> None:
    result = rated(document, str(quantity), "EUR")
    assert abs(result.exact - result.amount) <= D("0.005")
    assert result.amount * 100 == result.amount_minor


def test_slices_of_a_period_share_one_minimum() -> None:
    price = parse_price({"model": "per_unit", "unit_amount": "1", "minimum_amount": "100"}, "EUR")
    slices = [RateRequest(price=price, usage=usage_of(quantity)) for quantity in (30, 25)]
    assert [result.amount for result in rate_slices(slices)] == [30, 70]
    assert rate_slices([]) == ()
