"""What the usage client refuses before it sends: everything that would be a dead letter, with the same reason."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from fakturo.producers.usage_event import EVENT_BYTES_MAX, UsageEvent, correction, encode_usage
from fakturo.schemas import generate
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

AT = datetime(2013, 1, 1, 10, tzinfo=UTC)
GOOD = UsageEvent(account="UA", type="airport.departure", id="1", time=AT, data={"distance": 1400}, source="flights")
SCHEMA = json.loads((generate.SCHEMAS / "usage.json").read_text())


def sent(data: Mapping[str, Any]) -> Any:
    return json.loads(encode_usage(replace(GOOD, data=data)))["data"]


def test_an_event_is_a_structured_cloud_event_of_the_published_schema() -> None:
    event = json.loads(encode_usage(replace(GOOD, time=AT.astimezone(timezone(timedelta(hours=-5))))))
    assert event == {
        "specversion": "1.0",
        "id": "1",
        "source": "flights",
        "type": "airport.departure",
        "subject": "UA",
        "time": "2013-01-01T05:00:00-05:00",
        "datacontenttype": "application/json",
        "data": {"distance": 1400},
    }
    jsonschema.validate(event, SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.250"), "1.25"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.000000000001"), "-0.000000000001"),
        (Decimal(0), "0"),
        (Decimal("100"), "100"),
        (Decimal(10) ** 24 - 1, "9" * 24),
    ],
)
def test_decimals_are_sent_as_plain_text(value: Decimal, text: str) -> None:
    assert sent({"a": value}) == {"a": text}


def test_other_values_are_sent_as_they_are() -> None:
    data = {"i": 3, "b": True, "n": None, "s": "Ærø", "l": [1, ("x",)], "o": {"d": date(2013, 1, 1), "t": AT}}
    assert sent(data) == {
        "i": 3,
        "b": True,
        "n": None,
        "s": "Ærø",
        "l": [1, ["x"]],
        "o": {"d": "2013-01-01", "t": "2013-01-01T10:00:00Z"},
    }


deep: dict[str, Any] = {}
for _ in range(20):
    deep = {"a": deep}

REFUSED: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "a float": ({"data": {"a": 1.5}}, Reason.FLOAT_AMOUNT, "$.data.a"),
    "a float in a list": ({"data": {"a": [1, 2.0]}}, Reason.FLOAT_AMOUNT, "$.data.a[1]"),
    "a float NaN": ({"data": {"a": float("nan")}}, Reason.FLOAT_AMOUNT, "$.data.a"),
    "a decimal NaN": ({"data": {"a": {"b": Decimal("NaN")}}}, Reason.NOT_A_NUMBER, "$.data.a.b"),
    "infinity": ({"data": {"a": Decimal("-Infinity")}}, Reason.NOT_A_NUMBER, "$.data.a"),
    "too many decimals": ({"data": {"a": Decimal("0.0000000000001")}}, Reason.INVALID_AMOUNT, "$.data.a"),
    "too many digits": ({"data": {"a": Decimal(10) ** 24}}, Reason.INVALID_AMOUNT, "$.data.a"),
    "an enormous exponent": ({"data": {"a": Decimal("1E-999999")}}, Reason.INVALID_AMOUNT, "$.data.a"),
    "a huge integer": ({"data": {"a": 2**63}}, Reason.INVALID_AMOUNT, "$.data.a"),
    "bytes": ({"data": {"a": b"x"}}, Reason.UNKNOWN_SHAPE, "$.data.a"),
    "a set": ({"data": {"a": {1}}}, Reason.UNKNOWN_SHAPE, "$.data.a"),
    "a key that is no text": ({"data": {1: "a"}}, Reason.UNKNOWN_SHAPE, "$.data"),
    "a NUL": ({"data": {"a": "x\0"}}, Reason.UNKNOWN_SHAPE, "$.data.a"),
    "half a surrogate pair": ({"data": {"a": "\ud800"}}, Reason.UNKNOWN_SHAPE, "$.data.a"),
    "depth": ({"data": deep}, Reason.UNKNOWN_SHAPE, "$.data" + 16 * ".a"),
    "data that is a list": ({"data": [1]}, Reason.UNKNOWN_SHAPE, "$.data"),
    "a time without zone": ({"time": datetime(2013, 1, 1)}, Reason.INVALID_TIME, "$.time"),  # noqa: DTZ001
    "a time as text": ({"time": "2013-01-01T00:00:00Z"}, Reason.INVALID_TIME, "$.time"),
    "a time without zone in the data": ({"data": {"a": datetime(2013, 1, 1)}}, Reason.INVALID_TIME, "$.data.a"),  # noqa: DTZ001
    "no account": ({"account": ""}, Reason.UNKNOWN_SHAPE, "$.subject"),
    "an account that is a number": ({"account": 7}, Reason.UNKNOWN_SHAPE, "$.subject"),
    "no id": ({"id": ""}, Reason.UNKNOWN_SHAPE, "$.id"),
    "no source": ({"source": ""}, Reason.UNKNOWN_SHAPE, "$.source"),
    "no type": ({"type": ""}, Reason.UNKNOWN_SHAPE, "$.type"),
    "a tick of the clock": ({"type": "fakturo.clock.advanced.v1"}, Reason.UNKNOWN_TYPE, "$.type"),
    "a body above a megabyte": ({"data": {"a": "x" * EVENT_BYTES_MAX}}, Reason.BODY_TOO_LARGE, "$"),
    "a correction of nothing": (
        {"type": "fakturo.usage.corrected.v1", "data": {"replacement": None}},
        Reason.UNKNOWN_SHAPE,
        "$.data",
    ),
}


@pytest.mark.parametrize(("change", "reason", "path"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_event_is_refused_with_the_dead_letters_reason(
    change: dict[str, Any], reason: Reason, path: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        encode_usage(replace(GOOD, **change))
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_a_correction_of_another_event_is_taken() -> None:
    data = {"corrects": {"source": "flights", "id": "1"}, "replacement": None}
    event = json.loads(encode_usage(replace(GOOD, type="fakturo.usage.corrected.v1", id="2", data=data)))
    assert event["data"] == data


def test_a_correction_carries_the_right_event_whole_under_the_account_of_the_wrong_one() -> None:
    by = replace(GOOD, id="1-right", account="AA", data={"mb": Decimal("1.50")})
    at = datetime(2013, 2, 1, 8, tzinfo=UTC)
    sent = correction(account="UA", id="c-1", time=at, source="mender", corrects=("flights", "1"), by=by)
    event = json.loads(encode_usage(sent))
    assert {name: event[name] for name in ("id", "source", "type", "subject", "time")} == {
        "id": "c-1",
        "source": "mender",
        "type": "fakturo.usage.corrected.v1",
        "subject": "UA",
        "time": "2013-02-01T08:00:00Z",
    }
    assert event["data"]["corrects"] == {"source": "flights", "id": "1"}
    replacement = event["data"]["replacement"]
    assert (replacement["id"], replacement["subject"], replacement["data"]) == ("1-right", "AA", {"mb": "1.5"})


def test_a_correction_without_a_replacement_voids() -> None:
    at = datetime(2013, 2, 1, 8, tzinfo=UTC)
    sent = correction(account="UA", id="c-1", time=at, source="mender", corrects=("flights", "1"), by=None)
    assert json.loads(encode_usage(sent))["data"]["replacement"] is None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"account": ""}, "$.data.replacement.subject"),
        ({"id": ""}, "$.data.replacement.id"),
        ({"type": "fakturo.usage.corrected.v1"}, "$.data.replacement.type"),
        ({"data": {"a": 1.5}}, "$.data.replacement.data.a"),
    ],
)
def test_a_wrong_replacement_is_refused_and_says_where(change: dict[str, Any], path: str) -> None:
    at = datetime(2013, 2, 1, 8, tzinfo=UTC)
    by = replace(GOOD, **change)
    with pytest.raises(SchemaError) as caught:
        encode_usage(correction(account="UA", id="c", time=at, source="m", corrects=("flights", "1"), by=by))
    assert caught.value.path == path
