"""Models and modifiers that look at single events, at amounts or at peaks; every value is worked out beside it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import describe
from fakturo.engine.prices import (
    NO_USAGE,
    Span,
    Usage,
    UsageEvent,
    event_usage,
    grouped_usage,
    parse_price,
    peak_usage,
    usage_of,
)

D = Decimal
START = datetime(2026, 8, 1, tzinfo=UTC)
HALF = Span(active_days=15, period_days=30, active_seconds=1_300_000, period_seconds=2_592_000)


def quantities(*numbers: str) -> Usage:
    return event_usage(UsageEvent(quantity=D(number)) for number in numbers)


def amounts(*numbers: str) -> Usage:
    return event_usage(UsageEvent(amount=D(number)) for number in numbers)


def charge(document: dict[str, Any], usage: Usage, **options: Any) -> Decimal:
    return parse_price(document, "EUR").charge(usage, **options).amount


PERCENT = {"model": "percentage", "percent": "1.3", "fixed_amount": "0.10"}


@pytest.mark.parametrize(
    ("fields", "usage", "expected"),
    [
        ({}, amounts("200", "50"), "3.45"),  # 1.3 % of 250 = 3.25, and two fixed amounts
        ({}, quantities("200", "50"), "3.45"),  # without an amount the quantity is read
        ({}, NO_USAGE, "0"),
        ({}, amounts("0"), "0.10"),  # an event of 0 is an event
        ({"free_events": 1}, amounts("200", "50"), "0.75"),  # 1.3 % of 50, one fixed amount
        ({"free_events": 0, "free_amount": "0"}, amounts("200", "50"), "3.45"),  # 0 is the same as absent
        ({"free_amount": "200"}, amounts("200", "50"), "0.75"),  # within it, to the cent
        ({"free_amount": "210"}, amounts("200", "50"), "0.62"),  # 40 above it: 0.52 + 0.10
        ({"free_amount": "250"}, amounts("200", "50"), "0"),
        # Both: the third event ends the free count although 130 of the amount are left.
        ({"free_events": 2, "free_amount": "250"}, amounts("60", "60", "50"), "0.75"),
        # Both: the second event ends the free amount (50 above it), so the third is no free event.
        ({"free_events": 3, "free_amount": "100"}, amounts("100", "50", "10"), "0.98"),  # 1.3 % of 60 + 0.20
        ({"minimum_per_event": "1"}, amounts("10", "200"), "3.70"),  # 0.23 -> 1, and 2.70
        ({"maximum_per_event": "2"}, amounts("10", "200"), "2.23"),  # 0.23, and 2.70 -> 2
        ({"minimum_per_event": "1", "free_events": 1}, amounts("10", "200"), "2.70"),  # a free event is not clamped
        # An event that takes 50 back gives back 0.65 and its fixed amount.
        ({}, amounts("200", "50", "-50"), "2.70"),
        ({"free_amount": "220"}, amounts("200", "50", "-50"), "0"),  # the running amount is 200 again
        # 50 above it, of which the refund takes all; the running amount is 80: 1.3 % of 0, and 0.10 - 0.10.
        ({"free_events": 5, "free_amount": "100"}, amounts("150", "-100", "30"), "0"),
        ({"per_event": True}, amounts("200", "50"), "3.45"),  # it rates each event anyway
        ({"transform": {"divide_by": "100"}}, amounts("20000", "5000"), "3.45"),  # amounts in cents
        ({"free_units": "200"}, amounts("200", "50"), "0.75"),  # what free units cover whole is no event
    ],
)
def test_percentages(fields: dict[str, Any], usage: Usage, expected: str) -> None:
    assert charge(PERCENT | fields, usage) == D(expected)


def test_percentages_go_by_time_and_by_the_list_at_the_same_time() -> None:
    later, sooner = (UsageEvent(amount=D(value), at=START + timedelta(days=day)) for value, day in (("9", 2), ("5", 1)))
    same = UsageEvent(amount=D(1), at=sooner.at)
    price = {"model": "percentage", "percent": "100", "free_events": 1}
    assert charge(price, event_usage([later, sooner, same])) == 10  # the 5 is free
    assert charge(price, event_usage([later, same, sooner])) == 14  # the 1 is


GRADUATED = {
    "model": "graduated_percentage",
    "tiers": [
        {"up_to": "1000", "percent": "2", "flat_amount": "1"},
        {"up_to": None, "percent": "1", "flat_amount": "4"},
    ],
}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (NO_USAGE, "1"),  # the first tier is entered at zero usage
        (amounts("1000"), "21"),
        (amounts("900", "100.01"), "25.0001"),  # 1000 x 2 % + 1, 0.01 x 1 % + 4
        (quantities("1500"), "30"),
        (usage_of(1500), "30"),
    ],
)
def test_graduated_percentages(usage: Usage, expected: str) -> None:
    assert charge(GRADUATED, usage) == D(expected)


def test_graduated_percentages_prorate_flat_amounts_and_know_the_next_tier() -> None:
    assert charge(GRADUATED | {"proration": "day"}, amounts("1500"), span=HALF) == D("27.5")  # 25 + 5 / 2
    step = parse_price(GRADUATED, "EUR").step(amounts("400", "100"))
    assert step is not None
    assert (step.remaining, step.unit_amount) == (500, D("0.01"))


def test_dynamic_prices_add_what_events_say_they_cost() -> None:
    price = {"model": "dynamic", "multiplier": "1.2"}
    assert charge(price, amounts("10", "20.5")) == D("36.6")
    assert charge(price, NO_USAGE) == 0
    with pytest.raises(PriceError) as caught:
        charge(price, quantities("10"))
    assert caught.value.code == "event_amount_missing"


CAPACITY = {
    "model": "capacity",
    "tiers": [
        {"limits": {"bandwidth": "100", "members": "500"}, "amount": "10"},
        {"limits": {"bandwidth": "500", "members": None}, "amount": "30"},
        {"limits": {"bandwidth": "1000"}, "amount": "50"},
    ],
}


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        ([], "10"),
        ([{"bandwidth": D(100), "members": D(500)}], "10"),  # limits are inclusive
        ([{"bandwidth": D("100.1"), "members": D(1)}], "30"),
        ([{"bandwidth": D(1), "members": D(501)}], "30"),
        ([{"bandwidth": D(80)}, {"bandwidth": D(600)}, {"members": D(900)}], "50"),  # peaks, each by itself
        ([{"unheard_of": D(9999)}], "10"),  # no tier limits it
    ],
)
def test_the_highest_tier_that_a_peak_needs_sets_the_amount(peaks: list[dict[str, Decimal]], expected: str) -> None:
    assert charge(CAPACITY, peak_usage(peaks)) == D(expected)


def test_a_peak_that_no_tier_holds_is_an_error_and_quantities_need_their_names() -> None:
    for usage, code, path in [
        (peak_usage([{"bandwidth": D(1001)}]), "price_capacity_exceeded", "quantities.bandwidth"),
        (usage_of(5), "quantities_missing", "quantities"),
    ]:
        with pytest.raises(PriceError) as caught:
            charge(CAPACITY, usage)
        assert (caught.value.code, caught.value.path) == (code, path)


def test_a_meter_feeds_capacity_by_its_groups_or_by_the_only_name() -> None:
    assert charge(CAPACITY, grouped_usage(("resource",), {("bandwidth",): D(90), ("members",): D(501)})) == 30
    one = {"model": "capacity", "tiers": [{"limits": {"seats": "5"}, "amount": "9"}, {"limits": {}, "amount": "20"}]}
    assert [charge(one, usage_of(5)), charge(one, usage_of(6))] == [9, 20]


def test_capacity_is_prorated_where_the_price_says_so_and_rated_reading_by_reading_with_per_event() -> None:
    readings = peak_usage([{"bandwidth": D(1)}, {"bandwidth": D(101)}])
    assert charge(CAPACITY, readings, span=HALF) == 30
    assert charge(CAPACITY | {"proration": "day"}, readings, span=HALF) == 15
    assert charge(CAPACITY | {"per_event": True, "proration": "day"}, readings, span=HALF) == 40  # 10 + 30, whole
    assert charge(CAPACITY | {"transform": {"divide_by": "100"}}, peak_usage([{"bandwidth": D(10_000)}])) == 10


INCREMENTS = {"minimum": "30", "step": "6"}


@pytest.mark.parametrize(
    ("increments", "numbers", "expected"),
    [
        (INCREMENTS, ["0", "1", "30", "30.1", "36", "36.5"], "174"),  # 0 + 30 + 30 + 36 + 36 + 42
        ({"minimum": "30"}, ["1", "45.5"], "75.5"),
        ({"step": "60"}, ["0", "1", "61"], "180"),
        (INCREMENTS, ["31", "40", "-31"], "42"),  # 36 + 42 - 36
    ],
)
def test_event_increments_round_each_event_up(increments: dict[str, str], numbers: list[str], expected: str) -> None:
    price = {"model": "per_unit", "unit_amount": "1", "event_increments": increments}
    assert charge(price, quantities(*numbers)) == D(expected)


@pytest.mark.parametrize(
    ("document", "numbers", "expected"),
    [
        ({"model": "package", "package_size": "10", "package_amount": "2"}, ["1", "11", "10"], "8"),  # 1 + 2 + 1
        ({"model": "flat", "amount": "0.3"}, ["5", "9"], "0.6"),
        ({"model": "flat", "amount": "0.3"}, [], "0"),  # zero events cost nothing
        ({"model": "per_unit", "unit_amount": "2", "free_units": "12"}, ["10", "11", "5"], "28"),
        ({"model": "per_unit", "unit_amount": "1", "transform": {"divide_by": "60", "round": "up"}}, ["1", "61"], "3"),
        # 61 s are 66 by increments, 2 minutes by the transform, one of them free; 1 s is 1 minute.
        (
            {"model": "per_unit", "unit_amount": "5", "free_units": "1", "event_increments": INCREMENTS}
            | {"transform": {"divide_by": "60", "round": "up"}},
            ["61", "1"],
            "10",
        ),
        # The 10 are free, and free again when they are taken back.
        ({"model": "per_unit", "unit_amount": "2", "free_units": "10"}, ["10", "4", "-10"], "0"),
        ({"model": "volume", "tiers": [{"up_to": "10", "unit_amount": "3"}, {"unit_amount": "1"}]}, ["10", "11"], "41"),
        # Minus what an event of 11 costs: 41 - 11.
        (
            {"model": "volume", "tiers": [{"up_to": "10", "unit_amount": "3"}, {"unit_amount": "1"}]},
            ["10", "11", "-11"],
            "30",
        ),
    ],
)  # fmt: skip
def test_per_event_prices_each_event_by_itself(document: dict[str, Any], numbers: list[str], expected: str) -> None:
    assert charge(document | {"per_event": True}, quantities(*numbers)) == D(expected)


def test_per_event_amounts_are_never_prorated_and_discounts_apply_to_their_sum() -> None:
    price = {"model": "flat", "amount": "3", "per_event": True, "discount": {"amount": "1"}, "maximum_amount": "4"}
    assert charge(price, quantities("1", "1"), span=HALF) == 4  # 6 - 1 = 5, capped at 4


def test_free_units_of_events_are_used_up_oldest_first() -> None:
    price = {"model": "package", "package_size": "10", "package_amount": "1", "per_event": True, "free_units": "8"}
    new, old = (UsageEvent(quantity=D(11), at=START + timedelta(days=day)) for day in (2, 1))
    # Of the old one 3 are left: 1 package; of the new one 11: 2 packages.
    assert charge(price, event_usage([new, old])) == 3


def test_a_quantity_alone_is_one_event() -> None:
    price = {"model": "package", "package_size": "10", "package_amount": "2", "per_event": True}
    assert [charge(price, usage_of(11)), charge(price, usage_of(0))] == [4, 0]


def test_what_is_taken_back_beyond_everything_stops_at_0() -> None:
    price = {"model": "volume", "tiers": [{"up_to": "5", "unit_amount": "1"}, {"unit_amount": "10"}], "per_event": True}
    made = parse_price(price, "EUR").charge(quantities("5", "5", "-6"))  # 5 + 5 - 60
    assert made.amount == 0
    assert sum(part.amount for part in made.parts) == 0


MATRIX = {
    "model": "matrix",
    "dimensions": ["zone"],
    "cells": [
        {"match": {"zone": "eu"}, "price": {"model": "package", "package_size": "10", "package_amount": "2"}},
        {"match": {"zone": "us"}, "price": PERCENT},
    ],
    "default": {"model": "per_unit", "unit_amount": "1"},
}


def zoned(*events: tuple[str, str]) -> Usage:
    return event_usage(UsageEvent(quantity=D(number), properties={"zone": zone}) for zone, number in events)


def test_events_of_a_cell_are_totalled_or_rated_singly() -> None:
    usage = zoned(("eu", "11"), ("eu", "5"), ("us", "100"), ("asia", "7"))
    # eu 2 packages; us 1.30 + 0.10; the rest by the default
    assert charge(MATRIX, usage) == D("12.40")
    assert charge(MATRIX | {"per_event": True}, usage) == D("14.40")  # eu 2 packages and 1


def test_quantity_modifiers_of_a_matrix_hold_in_each_cell() -> None:
    usage = zoned(("eu", "11"), ("asia", "7"))
    assert charge(MATRIX | {"free_units": "1"}, usage) == 8  # 10 are one package; 6
    assert charge(MATRIX | {"transform": {"divide_by": "10", "round": "up"}}, usage) == 3  # 2 -> a package; 1
    assert charge(MATRIX | {"event_increments": {"step": "20"}}, usage) == 24  # 20 are 2 packages; 20
    assert charge(MATRIX | {"maximum_amount": "5"}, usage) == 5  # the amount's modifiers hold for the sum
    each = MATRIX | {"free_units": "1", "per_event": True}
    assert charge(each, zoned(("eu", "11"), ("eu", "1"), ("asia", "7"))) == 10  # packages 1 + 1; 6


def test_prices_say_whether_they_need_events() -> None:
    unit = {"model": "per_unit", "unit_amount": "1"}
    needing = [PERCENT, GRADUATED, {"model": "dynamic"}, unit | {"per_event": True}, MATRIX]
    needing.append(unit | {"event_increments": {"step": "6"}})
    plain = [unit, CAPACITY, {"model": "matrix", "cells": [{"match": {}, "price": unit}]}]
    assert [parse_price(one, "EUR").needs_events for one in (*needing, *plain)] == [True] * 6 + [False] * 3


def test_prices_of_events_know_no_next_tier() -> None:
    tiers = [{"up_to": "5", "unit_amount": "1"}, {"up_to": None, "unit_amount": "10"}]
    price = parse_price({"model": "volume", "tiers": tiers, "per_event": True}, "EUR")
    assert price.step(quantities("1")) is None


@pytest.mark.parametrize(
    ("document", "usage", "described"),
    [
        (
            PERCENT | {"free_events": 1, "maximum_per_event": "2"},
            amounts("5", "1000"),
            ["1 event free", "1.3 % of 1,000.00", "1 event at 0.10", "cut to at most 2.00 an event"],
        ),
        (GRADUATED, amounts("1500"), ["2 % of 1,000.00 + 1.00", "1 % of 500.00 + 4.00"]),
        ({"model": "dynamic"}, amounts("10", "2.5"), ["12.50 of the events' own amounts"]),
        (CAPACITY, peak_usage([{"bandwidth": D(101)}]), ["30.00 for bandwidth 101"]),
        (
            {"model": "per_unit", "unit_amount": "0.01", "event_increments": INCREMENTS},
            quantities("1", "31"),
            ["66 after rounding up each event", "66 calls at 0.01"],
        ),
        (
            {"model": "per_unit", "unit_amount": "2", "free_units": "12", "per_event": True},
            quantities("10", "11", "5"),
            ["12 free", "3 events, each by itself"],
        ),
    ],
)
def test_descriptions(document: dict[str, Any], usage: Usage, described: list[str]) -> None:
    parts = parse_price(document, "EUR").charge(usage).parts
    assert [describe(part.phrase, "calls", 2) for part in parts] == described
