"""Whatever bytes come, the codec gives an event or a SchemaError that says what is wrong and where."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.schemas import generate
from fakturo.schemas.codec import decode_envelope, decode_event, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import decode_change

PAYMENT = json.loads((generate.EXAMPLES / "fakturo.payment.received.v1.json").read_text())
CHANGE = json.loads((generate.EXAMPLES / "sf.cdc.json").read_text())
EXAMPLES: list[Path] = sorted(generate.EXAMPLES.glob("fakturo.*.json"))

GONE = object()


def altered(document: dict[str, Any], path: str, value: object) -> bytes:
    """Return `document` as JSON with `value` at the dotted `path`; GONE takes the key away."""
    copy = json.loads(json.dumps(document))
    *steps, last = path.split(".")
    place = copy
    for step in steps:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return json.dumps(copy).encode()


WRONG: dict[str, tuple[str, object, Reason, str]] = {
    "a float amount": ("data.amount", 12.5, Reason.FLOAT_AMOUNT, "$.data.amount"),
    "a float fee": ("data.fee", 0.1, Reason.FLOAT_AMOUNT, "$.data.fee"),
    "an integer where a decimal string belongs": ("data.amount", 12, Reason.UNKNOWN_SHAPE, "$.data.amount"),
    "NaN as text": ("data.amount", "NaN", Reason.NOT_A_NUMBER, "$.data.amount"),
    "NaN as JSON": ("data.amount", float("nan"), Reason.MALFORMED_JSON, "$"),
    "infinity as text": ("data.amount", "Infinity", Reason.NOT_A_NUMBER, "$.data.amount"),
    "an exponent": ("data.amount", "1e3", Reason.NOT_A_NUMBER, "$.data.amount"),
    "a time without zone": ("time", "2013-02-20T09:30:00", Reason.INVALID_TIME, "$.time"),
    "a time that is none": ("time", "yesterday", Reason.INVALID_TIME, "$.time"),
    "a time as a number": ("time", 1361352600, Reason.INVALID_TIME, "$.time"),
    "a time outside the calendar of another zone": ("time", "0001-01-01T00:00:00+14:00", Reason.INVALID_TIME, "$.time"),
    "a time without zone in the data": (
        "data.received_at",
        "2013-02-20T09:30:00",
        Reason.INVALID_TIME,
        "$.data.received_at",
    ),
    "a recording time that is none": ("recordedat", "now", Reason.INVALID_TIME, "$.recordedat"),
    "no id": ("id", GONE, Reason.UNKNOWN_SHAPE, "$"),
    "an empty id": ("id", "", Reason.UNKNOWN_SHAPE, "$.id"),
    "no source": ("source", GONE, Reason.UNKNOWN_SHAPE, "$"),
    "an empty source": ("source", "", Reason.UNKNOWN_SHAPE, "$.source"),
    "no type": ("type", GONE, Reason.UNKNOWN_SHAPE, "$"),
    "no time": ("time", GONE, Reason.INVALID_TIME, "$"),
    "no data": ("data", GONE, Reason.UNKNOWN_SHAPE, "$"),
    "another specversion": ("specversion", "0.3", Reason.UNKNOWN_SHAPE, "$.specversion"),
    "an unknown type": ("type", "fakturo.payment.received.v9", Reason.UNKNOWN_TYPE, "$.type"),
    "a field of the data missing": ("data.currency", GONE, Reason.UNKNOWN_SHAPE, "$.data"),
    "data that is no object": ("data", [1], Reason.UNKNOWN_SHAPE, "$.data"),
}


@pytest.mark.parametrize(("path", "value", "reason", "where"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_event_is_refused_with_reason_and_path(path: str, value: object, reason: Reason, where: str) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_event(altered(PAYMENT, path, value))
    assert (caught.value.reason, caught.value.path) == (reason, where)
    assert f"(at {where})" in str(caught.value)


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(SchemaError, match="missing required field `source`"):
        decode_event(altered(PAYMENT, "source", GONE))


NO_JSON = {
    "nothing": b"",
    "text": b"hello",
    "half an object": b'{"specversion":"1.0"',
    "no UTF-8": b'{"id":"\xff"}',
    "half a surrogate pair": json.dumps(PAYMENT).replace("pay-received-1", "\\ud800").encode(),
    "brackets without end": b"[" * 200_000,
    "brackets in the data": json.dumps(PAYMENT).encode().replace(b'"USD"', b"[" * 99_999 + b"]" * 99_999),
}


@pytest.mark.parametrize("value", NO_JSON.values(), ids=list(NO_JSON))
def test_what_is_no_json_is_refused_as_such(value: bytes) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_event(value)
    assert caught.value.reason in (Reason.MALFORMED_JSON, Reason.UNKNOWN_SHAPE)


@pytest.mark.parametrize("value", [None, b"null", b"[]", b'"text"', b"12"])
def test_what_is_no_event_is_refused(value: bytes | None) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_envelope(value)
    assert caught.value.reason == Reason.UNKNOWN_SHAPE


@given(st.sampled_from(EXAMPLES), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4))
def test_damaged_events_are_read_or_refused_never_a_surprise(path: Path, damage: list[tuple[int, int]]) -> None:
    body = bytearray(path.read_bytes())
    for place, byte in damage:
        body[place % len(body)] = byte
    try:
        event = decode_event(bytes(body))
    except SchemaError as error:
        assert error.path.startswith("$")
    else:
        assert decode_event(encode(event)) == event


@given(st.lists(st.tuples(st.sampled_from(["ce_id", "ce_time", "ce_type", "content-type", "x"]), st.binary())))
def test_damaged_headers_are_read_or_refused_never_a_surprise(headers: list[tuple[str, bytes | None]]) -> None:
    try:
        decode_event(b"{}", headers)
    except SchemaError as error:
        assert error.reason in Reason


def test_the_same_value_is_always_the_same_bytes() -> None:
    assert encode({"b": Decimal("1.50"), "a": datetime(2013, 1, 1, tzinfo=UTC)}) == encode(
        {"a": datetime(2013, 1, 1, tzinfo=UTC), "b": Decimal("1.50")}
    )
    assert encode({"b": Decimal("1.50"), "a": 1}) == b'{"a":1,"b":"1.50"}'


WRONG_CHANGES: dict[str, tuple[str, object, Reason, str]] = {
    "a float value": ("values.UnitPrice", 49.9, Reason.FLOAT_AMOUNT, "$.values.UnitPrice"),
    "a nested value": ("values.UnitPrice", {"a": 1}, Reason.UNKNOWN_SHAPE, "$.values.UnitPrice"),
    "no record id": ("recordId", GONE, Reason.UNKNOWN_SHAPE, "$"),
    "no time of commit": ("commit.ts", GONE, Reason.UNKNOWN_SHAPE, "$.commit"),
    "a commit outside the calendar": ("commit.ts", 10**17, Reason.INVALID_TIME, "$.commit.ts"),
    "another version": ("v", 2, Reason.UNKNOWN_SHAPE, "$.v"),
    "NaN": ("values.UnitPrice", float("nan"), Reason.MALFORMED_JSON, "$"),
}


@pytest.mark.parametrize(("path", "value", "reason", "where"), WRONG_CHANGES.values(), ids=list(WRONG_CHANGES))
def test_a_wrong_change_record_is_refused(path: str, value: object, reason: Reason, where: str) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_change(altered(CHANGE, path, value))
    assert (caught.value.reason, caught.value.path) == (reason, where)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[" * 200_000])
def test_what_is_no_change_record_is_refused(value: bytes | None) -> None:
    with pytest.raises(SchemaError):
        decode_change(value)


def test_values_of_a_change_record_are_text_integers_booleans_or_null() -> None:
    change = decode_change(altered(CHANGE, "values", {"a": "49.90", "b": 12, "c": True, "d": None}))
    assert change.values == {"a": "49.90", "b": 12, "c": True, "d": None}
    assert change.committed_at == datetime(2013, 3, 1, 12, tzinfo=UTC)
