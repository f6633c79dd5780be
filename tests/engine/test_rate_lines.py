"""A line of `fakturo rate` is answered whatever is in it; times are read as people mean them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import PriceError
from fakturo.engine.rate_lines import RateLines
from fakturo.engine.rate_lines.line import _CACHE_BYTES_MAX
from fakturo.engine.rate_lines.times import read_instant
from tests.engine.strategies import models

UNIT = {"model": "per_unit", "unit_amount": "1"}
RATER = RateLines(with_explanations=True)


def answer(document: Any) -> dict[str, Any]:
    content = document if isinstance(document, bytes) else msgspec.json.encode(document)
    answered = RATER.answer(content, 7)
    assert b"\n" not in answered.content
    decoded: dict[str, Any] = msgspec.json.decode(answered.content)
    assert answered.rated == ("error" not in decoded)
    return decoded


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
words = st.sampled_from(
    ["0", "1", "-1", "12.5", "2026-08-01", "2026-08-01T00:00", "0001-01-01", "9999-12-31T23:59:59-14:00", "sum", "zone"]
)
parts = words | json_values
events = st.lists(
    st.dictionaries(st.sampled_from(["quantity", "amount", "value", "at", "properties"]), parts, max_size=4) | parts,
    max_size=3,
)
stretches = st.dictionaries(st.sampled_from(["start", "end", "timezone"]), parts | st.just("Europe/Berlin"), max_size=3)
meters = st.fixed_dictionaries(
    {"aggregation": st.sampled_from(["sum", "max", "unique", "weighted_sum", "last"])},
    optional={"group_by": st.just(["zone"]), "filter": parts, "value": parts, "code": parts},
)
documents = st.fixed_dictionaries(
    {"price": st.sampled_from(["per_unit", "percentage", "capacity", "matrix", "flat"]).flatmap(models) | parts},
    optional={
        "id": parts,
        "currency": st.sampled_from(["EUR", "JPY"]) | parts,
        "quantity": parts,
        "events": events,
        "meter": meters | parts,
        "quantities": parts | st.lists(parts, max_size=2),
        "period": stretches | parts,
        "active": stretches | parts,
        "billed_active": stretches,
        "billed_quantity": parts,
        "billed_events": parts,
        "billed_quantities": parts,
        "final": parts,
        "unit": parts,
    },
)


@given(documents)
def test_any_document_is_answered_by_an_amount_or_by_what_is_wrong(document: dict[str, Any]) -> None:
    answered = answer(document)
    assert answered.get("id") == document.get("id")
    if "error" in answered:
        assert answered["error"]["code"]
        assert answered["error"]["message"]
    else:
        assert not answered["amount"].startswith("-0") or answered["amount"].strip("-0.")
        assert answered["explanation"]


@given(st.binary(max_size=60).filter(lambda content: b"\n" not in content))
def test_any_bytes_are_answered(content: bytes) -> None:
    assert answer(content)["error"]["code"]


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-08-01", "UTC", "2026-08-01T00:00:00Z"),
        ("2026-08-01", "Asia/Tokyo", "2026-07-31T15:00:00Z"),
        ("2026-08-01T12:30", "Europe/Berlin", "2026-08-01T10:30:00Z"),
        ("2026-08-01T12:30:15.250", "UTC", "2026-08-01T12:30:15.250Z"),
        ("2026-08-01T12:30:00+05:30", "Europe/Berlin", "2026-08-01T07:00:00Z"),
        ("2026-08-01t12:30:00z", "Europe/Berlin", "2026-08-01T12:30:00Z"),
        # 29 March 2026, 02:00 to 03:00 do not exist in Berlin: the clock skips them at 01:00 UTC.
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"),
        # 25 October 2026, 02:30 comes twice: the first is summer time.
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"),
        # Midnight does not exist where the clock is set forward across it.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ],
)
def test_dates_local_times_and_instants(text: str, zone: str, instant: str) -> None:
    assert read_instant(text, "at", zone) == datetime.fromisoformat(instant).astimezone(UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2026", "20260801", "2026-W31-6", "2026-08-01T25:00", "2026-02-29", "2026-08-01T12", " 2026-08-01", 1, None],
)
def test_what_is_no_time_is_refused(text: Any) -> None:
    with pytest.raises(PriceError) as caught:
        read_instant(text, "at", "UTC")
    assert (caught.value.code, caught.value.path) == ("instant_invalid", "at")


def test_a_stretch_may_leave_out_a_bound_and_is_clipped_to_the_period() -> None:
    line = {"currency": "EUR", "price": {"model": "flat", "amount": "31"}}
    line["period"] = {"start": "2026-03-01", "end": "2026-04-01"}
    assert answer(line | {"active": {"start": "2026-03-22"}})["amount"] == "10.00"
    assert answer(line | {"active": {"start": "2025-01-01", "end": "2026-03-04"}})["amount"] == "3.00"


def test_events_outside_of_the_period_do_not_count_and_groups_are_told() -> None:
    made = answer(
        {
            "currency": "EUR",
            "price": UNIT,
            "meter": {"aggregation": "sum", "group_by": ["zone"], "filter": {"plan": ["pro"]}},
            "period": {"start": "2026-08-01", "end": "2026-09-01"},
            "events": [
                {"at": "2026-08-31T23:59:59Z", "value": "3", "properties": {"zone": "eu", "plan": "pro"}},
                {"at": "2026-09-01", "value": "50", "properties": {"zone": "eu", "plan": "pro"}},
                {"at": "2026-08-02", "value": "4", "properties": {"zone": "us", "plan": "pro"}},
                {"at": "2026-08-02", "value": "60", "properties": {"zone": "us", "plan": "free"}},
            ],
        }
    )
    assert made["amount"] == "7.00"
    assert made["explanation"] == "7 units: 7 at 1.00, of which eu 3, of which us 4"


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({"quantity": "9", "billed_quantity": "4"}, "5.00"),
        ({"events": [{"quantity": 4}, {"quantity": 5}], "billed_events": 1}, "5.00"),
        ({"events": [{"quantity": 4}, {"quantity": 5}], "billed_events": 0}, "9.00"),
        ({"events": [{"quantity": 4}, {"quantity": -4}], "billed_events": 1}, "-4.00"),
        ({"events": [{}, {"value": "3"}, {"quantity": "2", "amount": "9"}]}, "6.00"),  # 1 + 3 + 2
        ({}, "0.00"),
    ],
)
def test_what_was_used_and_what_was_billed(fields: dict[str, Any], amount: str) -> None:
    assert answer({"currency": "EUR", "price": UNIT, **fields})["amount"] == amount


def test_zero_billed_is_a_bill_and_no_billed_events_are_none() -> None:
    line = {"currency": "EUR", "price": {"model": "flat", "amount": "5"}}
    assert answer(line | {"quantity": "1", "billed_quantity": "0"})["amount"] == "0.00"
    assert answer(line | {"events": [{}], "billed_events": 0})["amount"] == "5.00"


def test_the_price_may_tell_the_currency_and_a_price_seen_before_is_still_checked_against_it() -> None:
    price = UNIT | {"currency": "JPY"}
    assert answer({"price": price, "quantity": "2.5"})["amount"] == "3"
    assert answer({"price": price, "quantity": "2.5", "currency": "EUR"})["error"]["code"] == "currency_mismatch"
    assert answer({"price": price, "quantity": "2.5", "currency": 1})["error"]["code"] == "field_type"


def test_the_cache_of_prices_is_bounded() -> None:
    rater = RateLines()
    for number in range(5000):
        price = UNIT | {"unit_amount": f"1.{1000 + number}"}
        rater.answer(msgspec.json.encode({"currency": "EUR", "price": price, "quantity": "1"}), 1)
    held = sum(len(raw) for _, raw in rater._prices)
    assert 0 < held == rater._cached_bytes <= _CACHE_BYTES_MAX
