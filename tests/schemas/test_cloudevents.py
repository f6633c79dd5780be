"""The CloudEvents SDK as the judge: what it writes we read, what we write it reads, in both Kafka modes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from fakturo.schemas import generate
from fakturo.schemas.codec import decode_envelope, decode_event, encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events import EVENT_TYPES
from fakturo.schemas.events.payments import PAYMENT_RECEIVED, Payment
from fakturo.schemas.registry import SHAPES

AT = datetime(2013, 2, 20, 9, 30, 0, 123456, tzinfo=UTC)
PAYMENT = {
    "payment_id": "p-1",
    "account": "Ærø 1",
    "currency": "DKK",
    "amount": "1361.36",
    "method": "bank_transfer",
    "received_at": "2013-02-20T09:30:00Z",
}
ATTRIBUTES = {"specversion": "1.0", "id": "p-1", "source": "/bank", "type": PAYMENT_RECEIVED, "subject": "Ærø 1"}


def sdk_event(**more: Any) -> CloudEvent:
    attributes = {**ATTRIBUTES, "time": AT, "datacontenttype": "application/json", "partitionkey": "k", **more}
    return CloudEvent(attributes=attributes, data=PAYMENT)


def headers_of(message: KafkaMessage) -> list[tuple[str, bytes | None]]:
    return list(message.headers.items())


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_we_read_what_the_sdk_writes(write: Any) -> None:
    message = write(sdk_event())
    event = decode_event(message.value, headers_of(message))
    assert (event.id, event.source, event.subject, event.time) == ("p-1", "/bank", "Ærø 1", AT)
    assert event.datacontenttype == "application/json"
    assert isinstance(event.data, Payment)
    assert event.data.account == "Ærø 1"
    assert event.data.received_at == datetime(2013, 2, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_offsets_of_time_are_kept_as_the_same_instant(write: Any) -> None:
    message = write(sdk_event(time=AT.astimezone(timezone(timedelta(hours=-5)))))
    assert decode_envelope(message.value, headers_of(message)).time == AT


def test_the_sdk_reads_what_we_write() -> None:
    data = Payment(**{**PAYMENT, "received_at": AT})  # type: ignore[arg-type]
    ours = event_of(agent="bank", event_type=PAYMENT_RECEIVED, id="p-1", subject="Ærø 1", time=AT, data=data)
    theirs = from_kafka_event(KafkaMessage({"content-type": b"application/cloudevents+json"}, None, encode(ours)))
    attributes = theirs.get_attributes()
    assert attributes["id"] == "p-1"
    assert attributes["source"] == "fakturo/bank"
    assert attributes["time"] == AT
    assert attributes["subject"] == "Ærø 1"
    empty = {"invoice_id": None, "invoice_number": None, "fee": None}
    assert theirs.get_data() == {**PAYMENT, **empty, "received_at": "2013-02-20T09:30:00.123456Z"}


@pytest.mark.parametrize("name", [shape.name for shape in SHAPES if shape.is_event])
def test_the_sdk_reads_every_example(name: str) -> None:
    text = (generate.EXAMPLES / f"{name}.json").read_bytes()
    theirs = from_kafka_event(KafkaMessage({"content-type": b"application/cloudevents+json"}, None, text))
    example = json.loads(text)
    assert theirs.get_data() == example["data"]
    assert theirs.get_attributes()["id"] == example["id"]
    if name in EVENT_TYPES:
        binary = to_binary_event(theirs)
        assert decode_event(binary.value, headers_of(binary)) == decode_event(text)


def test_the_content_type_decides_the_mode_whatever_other_headers_say() -> None:
    message = to_structured_event(sdk_event())
    headers = [("ce_type", b"routing.hint"), *headers_of(message), ("traceparent", None)]
    assert decode_envelope(message.value, headers).type == PAYMENT_RECEIVED


def test_headers_without_a_value_are_as_if_not_there() -> None:
    message = to_binary_event(sdk_event())
    headers = [(name, None if name == "ce_subject" else value) for name, value in headers_of(message)]
    event: Event[Any] = decode_envelope(message.value, headers)
    assert event.subject is None
