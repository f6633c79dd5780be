"""What is made from the code is up to date, and what we show to others is valid by their own tools."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fakturo.schemas import generate
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.events import EVENT_TYPES
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.registry import CHANGE_DATA, SHAPES, USAGE, Shape, shapes_on
from fakturo.schemas.topics import INPUT_TOPICS, OUTPUT_TOPICS, RESERVED_TOPICS, TOPICS, dead_letter_topics

HERE = Path(__file__).parent
BY_NAME = {shape.name: shape for shape in SHAPES}
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=list(BY_NAME))

# CONTRACTS.md, by hand: what travels on which topic.
PROMISED = {
    "billing.usage": {USAGE, "fakturo.usage.corrected.v1", "fakturo.usage.rerate_requested.v1"},
    "billing.payments": {f"fakturo.payment.{what}.v1" for what in ("received", "failed", "refunded", "charged_back")},
    "billing.contracts": {f"fakturo.subscription.{what}.v1" for what in ("started", "changed", "ended")}
    | {"fakturo.account.changed.v1", "fakturo.opportunity.changed.v1"},
    "billing.rated": {"fakturo.usage.rated.v1"},
    "billing.alerts": {"fakturo.usage.threshold_crossed.v1"},
    "billing.invoices": {
        f"fakturo.invoice.{what}.v1" for what in ("drafted", "finalized", "paid", "voided", "uncollectible")
    }
    | {"fakturo.credit_note.issued.v1", "fakturo.points.expired.v1"}
    | {f"fakturo.credit.{what}.v1" for what in ("granted", "expired", "low_balance")},
    "billing.requests": {f"fakturo.{what}.grant_requested.v1" for what in ("coupon", "credit")}
    | {f"fakturo.invoice.{what}.v1" for what in ("approval_given", "void_requested", "write_off_requested")}
    | {"fakturo.points.redemption_requested.v1", "fakturo.credit_note.requested.v1"},
    "billing.catalog": {"fakturo.catalog.published.v1"},
    "billing.ledger": {"fakturo.journal.posted.v1"},
    "billing.collections": {"fakturo.reminder.sent.v1", "fakturo.instalment_plan.agreed.v1", "fakturo.payer.rated.v1"},
    "billing.kpis": {"fakturo.kpi.updated.v1"},
    "billing.documents": {"fakturo.document.rendered.v1"},
    **{f"sf.cdc.{name}": {CHANGE_DATA} for name in ("Account", "Order", "OrderItem", "Product2")},
    **{f"sf.cdc.{name}": {CHANGE_DATA} for name in ("Contact", "Contract", "PricebookEntry", "ProductSellingModel")},
    **{f"sf.cdc.{name}": {CHANGE_DATA} for name in ("Opportunity", "Asset", "TransactionJournal")},
    **{f"sf.cdc.{name}": {CHANGE_DATA} for name in ("SBQQ__Subscription__c", "other")},
}
CLOCK = "fakturo.clock.advanced.v1"


def schema_of(shape: Shape) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((generate.SCHEMAS / f"{shape.name}.json").read_text())
    return loaded


def example_of(shape: Shape) -> bytes:
    return (generate.EXAMPLES / f"{shape.name}.json").read_bytes()


def test_generated_files_are_up_to_date() -> None:
    assert generate.outdated() == [], "run `make schemas` and look at the difference"


def test_check_names_what_is_out_of_date_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SCHEMAS", "ASYNC_API", "RELEASED"):
        monkeypatch.setattr(generate, name, tmp_path / "schemas" / getattr(generate, name).name)
    monkeypatch.setattr(generate, "FOLDER", tmp_path / "schemas")
    assert generate.main(["--check"]) == 1
    assert "out of date: schemas/jsonschema/usage.json" in capsys.readouterr().out.splitlines()
    assert not (tmp_path / "schemas").exists()
    (tmp_path / "schemas" / "jsonschema").mkdir(parents=True)
    (tmp_path / "schemas" / "jsonschema" / "gone.v1.json").write_text("{}")
    assert generate.main(["--release", "0.1.0"]) == 0
    assert generate.main(["--check"]) == 0
    assert not (tmp_path / "schemas" / "jsonschema" / "gone.v1.json").exists()
    released = {path.name for path in (tmp_path / "schemas" / "released").iterdir()}
    assert released == {f"{name}@0.1.0.json" for name in BY_NAME}
    assert generate.release("0.2.0") == []


def test_every_topic_carries_what_the_contract_promises() -> None:
    topics = (*INPUT_TOPICS, *OUTPUT_TOPICS, *RESERVED_TOPICS)
    found = {topic.name: {shape.name for shape in shapes_on(topic)} - {CLOCK} for topic in topics}
    assert found == PROMISED
    assert all(BY_NAME[CLOCK] in shapes_on(topic) for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS))


def test_every_event_type_has_a_shape() -> None:
    assert set(EVENT_TYPES) | {USAGE, CHANGE_DATA} == set(BY_NAME)


def test_every_topic_has_a_description_and_an_owner_or_is_written_by_others() -> None:
    for topic in (*TOPICS.values(), *RESERVED_TOPICS, *dead_letter_topics()):
        assert topic.description.endswith("."), topic.name
        assert topic.key, topic.name
    written_by_others = {topic.name for topic in TOPICS.values() if topic.owner is None}
    assert written_by_others == {topic.name for topic in INPUT_TOPICS} | {"sf.retry"}


@every_shape
def test_every_schema_is_one_in_both_dialects(shape: Shape) -> None:
    jsonschema.Draft7Validator.check_schema(schema_of(shape))
    jsonschema.Draft202012Validator.check_schema(schema_of(shape))


@every_shape
def test_every_example_fits_its_schema(shape: Shape) -> None:
    example = json.loads(example_of(shape))
    for dialect in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
        dialect(schema_of(shape), format_checker=dialect.FORMAT_CHECKER).validate(example)


@every_shape
def test_every_example_is_decoded_and_encoded_again_without_a_change(shape: Shape) -> None:
    example = json.loads(example_of(shape))
    if shape.name == CHANGE_DATA:
        assert json.loads(encode(decode_change(example_of(shape)))) == example
    elif shape.name != USAGE:
        event = decode_event(example_of(shape))
        assert type(event.data) is EVENT_TYPES[shape.name]
        assert json.loads(encode(event)) == example


def test_there_is_no_example_of_what_is_no_shape() -> None:
    assert {path.stem for path in generate.EXAMPLES.glob("*.json")} == set(BY_NAME)


def test_example_amounts_of_invoices_and_journals_add_up() -> None:
    invoice = json.loads(example_of(BY_NAME["fakturo.invoice.finalized.v1"]))["data"]
    assert sum(line["amount_minor"] for line in invoice["lines"]) == invoice["subtotal_minor"]
    assert sum(tax["tax_minor"] for tax in invoice["taxes"]) == invoice["tax_minor"]
    assert invoice["subtotal_minor"] + invoice["tax_minor"] == invoice["total_minor"]
    journal = json.loads(example_of(BY_NAME["fakturo.journal.posted.v1"]))["data"]
    assert sum(line["amount_minor"] for line in journal["lines"]) == 0


def test_what_we_read_is_closed_and_what_we_write_is_open() -> None:
    payment = json.loads(example_of(BY_NAME["fakturo.payment.received.v1"]))
    payment["data"]["amonut"] = "1"
    with pytest.raises(jsonschema.ValidationError, match="amonut"):
        jsonschema.validate(payment, schema_of(BY_NAME["fakturo.payment.received.v1"]))
    invoice = json.loads(example_of(BY_NAME["fakturo.invoice.finalized.v1"]))
    invoice["data"]["added_later"] = "1"
    jsonschema.validate(invoice, schema_of(BY_NAME["fakturo.invoice.finalized.v1"]))


def test_extension_attributes_are_allowed_on_what_we_read() -> None:
    payment = json.loads(example_of(BY_NAME["fakturo.payment.received.v1"])) | {"tenant": "north", "sampledrate": 3}
    jsonschema.validate(payment, schema_of(BY_NAME["fakturo.payment.received.v1"]))


@pytest.mark.parametrize("value", [1.5, {"Street": "1 Main"}, ["a"]])
def test_the_schema_of_change_records_refuses_what_the_decoder_refuses(value: object) -> None:
    change = json.loads(example_of(BY_NAME[CHANGE_DATA]))
    change["values"]["UnitPrice"] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(change, schema_of(BY_NAME[CHANGE_DATA]))


def test_the_async_api_document_is_valid_by_its_official_schema() -> None:
    official = json.loads((HERE / "asyncapi" / "asyncapi-3.1.0.schema.json").read_text())
    document = yaml.safe_load(generate.ASYNC_API.read_text())
    validator = jsonschema.Draft7Validator(official)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["channels"]["billing.usage"]["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] = "a week"
    assert list(validator.iter_errors(document)), "the official schema would accept anything"


def test_everything_that_the_async_api_document_points_to_is_there() -> None:
    document = yaml.safe_load(generate.ASYNC_API.read_text())
    assert set(document["channels"]) == set(PROMISED)
    pointers = list(_pointers(document))
    assert len(pointers) > 100
    for pointer in pointers:
        if pointer.startswith("#"):
            place: Any = document
            for step in pointer[2:].split("/"):
                place = place[step]
        else:
            assert (generate.FOLDER / pointer).is_file(), pointer


def _pointers(part: Any) -> Any:
    if isinstance(part, dict):
        for name, item in part.items():
            if name in ("$ref", "x-example"):
                yield item
            else:
                yield from _pointers(item)
    elif isinstance(part, list):
        for item in part:
            yield from _pointers(item)
