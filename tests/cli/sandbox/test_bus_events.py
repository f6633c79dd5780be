"""What a commit is told as: schemas, bodies, bitmaps, merging, gaps. Expectations are the reference's samples."""

import base64
import hashlib
import io
import json
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.pubsub.avro_kinds import converter_of
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from tests.cli.sandbox.bus_world import NOW_MS, logged, object_of
from tests.cli.sandbox.bus_writing import ACME, insert, update, world


def fields_of(bus: EventBus, name: str) -> dict[str, dict[str, Any]]:
    schema = json.loads(bus.schemas.of(bus.org.objects[name]).text)
    return {one["name"]: one for one in schema["fields"]}


def test_the_schema_is_that_of_the_real_account_change_event() -> None:
    _, bus = world()
    schema = json.loads(bus.schemas.of(bus.org.objects["Account"]).text)
    assert (schema["type"], schema["name"], schema["namespace"]) == (
        *("record", "AccountChangeEvent"),
        "com.sforce.eventbus",
    )
    text = {"type": ["null", "string"], "default": None}
    header, name, kind, parent, billing, shipping = schema["fields"][:6]
    assert [one["name"] for one in header["type"]["fields"]] == [
        *("entityName", "recordIds", "changeType", "changeOrigin", "transactionKey", "sequenceNumber"),
        *("commitTimestamp", "commitNumber", "commitUser", "nulledFields", "diffFields", "changedFields"),
    ]
    assert header["doc"] == "Data:ComplexValueType"
    assert name["type"][:2] == ["null", "string"]
    assert name["type"][2]["name"] == "Switchable_PersonName"
    assert [one["name"] for one in name["type"][2]["fields"]] == ["Salutation", "FirstName", "LastName"]
    assert name["doc"] == "Data:Switchable_PersonName"
    assert kind == {"name": "Type", "doc": "Data:DynamicEnum", **text}
    assert parent == {"name": "ParentId", "doc": "ForeignKey:EntityId", **text}
    assert [one["name"] for one in billing["type"][1]["fields"]] == [
        *("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode"),
        *("Latitude", "Longitude", "GeocodeAccuracy"),
    ]
    assert billing["type"][1]["fields"][7] == {"name": "Latitude", "type": ["null", "double"], "default": None}
    # A named reference, not a second definition.
    assert shipping == {
        "name": "ShippingAddress",
        "type": ["null", "Address"],
        "doc": "Data:Address",
        "default": None,
    }


@pytest.mark.parametrize(
    ("entity", "field", "avro", "doc"),
    [
        ("Account", "AnnualRevenue", "double", "Data:Currency"),
        ("Account", "NumberOfEmployees", "int", "Data:Integer"),
        ("Account", "Description", "string", "Data:StringPlusClob"),
        ("Account", "Website", "string", "Data:Url"),
        ("Account", "Phone", "string", "Data:Phone"),
        ("Account", "OwnerId", "string", "ForeignKey:EntityId"),
        ("Account", "CreatedDate", "long", "CreatedDate:DateTime"),
        ("Account", "LastModifiedDate", "long", "Data:DateTime"),
        ("OrderItem", "Quantity", "double", "Data:Double"),
        ("OrderItem", "ServiceDate", "long", "Data:DateOnly"),
        ("OrderItem", "Ends_On__c", "long", "Data:DateOnly:00N5f000004xQ2a"),
        ("OrderItem", "Trial__c", "boolean", "Data:Boolean:00N5f000004xQ1z"),
        ("OrderItem", "Opens_At__c", "long", "Data:TimeOnly:00N5f000004xQ3b"),
    ],
)
def test_only_doc_says_what_a_value_is(entity: str, field: str, avro: str, doc: str) -> None:
    _, bus = world()
    assert fields_of(bus, entity)[field] == {"name": field, "type": ["null", avro], "doc": doc, "default": None}


def test_the_event_lacks_what_the_real_one_lacks() -> None:
    _, bus = world()
    assert not {"Id", "IsDeleted", "SystemModstamp", "TotalPrice"} & fields_of(bus, "OrderItem").keys()


def test_a_contacts_name_is_a_record_of_its_parts() -> None:
    parts = [Field(name=name, type="string", compound="Name") for name in ("FirstName", "LastName")]
    org, bus = world(object_of("Contact", "003", [Field(name="Name", type="string"), *parts]))
    assert fields_of(bus, "Contact")["Name"]["doc"] == "Data:PersonName"
    contact = insert(org, "Contact", FirstName="Ada", LastName="Lovelace")
    update(org, "Contact", contact, FirstName=None)
    created, updated = logged(bus)
    assert created.body["Name"] == {"FirstName": "Ada", "LastName": "Lovelace"}
    assert updated.body["Name"] == {"FirstName": None, "LastName": None}
    assert updated.nulled == ["Name.FirstName"]
    assert sorted(updated.changed) == ["LastModifiedDate", "Name.FirstName"]


def test_a_schema_id_is_the_fingerprint_of_its_text_and_a_field_more_or_less_is_another() -> None:
    org, bus = world()
    before = bus.schemas.of(org.objects["OrderItem"])
    digest = hashlib.md5(before.text.encode(), usedforsecurity=False).hexdigest()
    padded = before.schema_id.replace("-", "+").replace("_", "/") + "=="
    assert base64.b64decode(padded).hex() == digest
    assert len(before.schema_id) == 22
    org.add_field("OrderItem", Field(name="Extra__c", type="string", length=10))
    added = bus.schemas.of(org.objects["OrderItem"])
    assert added.schema_id != before.schema_id
    org.remove_field("OrderItem", "Extra__c")
    assert bus.schemas.of(org.objects["OrderItem"]).schema_id == before.schema_id
    assert bus.schema(added.schema_id) is added


def test_a_create_tells_every_field_and_no_bitmaps() -> None:
    org, bus = world()
    record_id = insert(org, "Account", **ACME, AnnualRevenue=Decimal("1250000"), NumberOfEmployees=12)
    (event,) = logged(bus)
    assert event.header == {
        "entityName": "Account",
        "recordIds": [record_id],
        "changeType": "CREATE",
        "changeOrigin": "com/salesforce/api/rest/67.0;client=acme",
        "transactionKey": event.header["transactionKey"],
        "sequenceNumber": 1,
        "commitTimestamp": NOW_MS,
        "commitNumber": event.header["commitNumber"],
        "commitUser": org.user_id,
        "nulledFields": [],
        "diffFields": [],
        "changedFields": [],
    }
    assert event.header["commitNumber"] > 2**53  # no double holds it
    assert (event.body["Name"], event.body["AnnualRevenue"], event.body["NumberOfEmployees"]) == ("Acme", 1.25e6, 12)
    assert event.body["BillingAddress"]["Street"] == "1 Main"
    assert event.body["BillingAddress"]["City"] is None
    assert event.body["Website"] is None
    assert event.body["LastModifiedDate"] == event.body["CreatedDate"] == NOW_MS


def test_dates_times_and_numbers_stand_in_the_event_as_the_real_bus_writes_them() -> None:
    org, bus = world()
    values = {"Quantity": "3", "UnitPrice": "49.90", "ServiceDate": "2026-11-01", "Trial__c": True}
    insert(org, "OrderItem", **values, Ends_On__c="1969-12-31")
    (event,) = logged(bus)
    assert event.body["UnitPrice"] == 49.9
    assert event.body["Quantity"] == 3.0
    assert event.body["ServiceDate"] == NOW_MS - 12 * 3_600_000  # 00:00Z of that day
    assert event.body["Ends_On__c"] == -86_400_000
    assert event.body["Trial__c"] is True


def test_a_time_of_day_is_milliseconds_of_the_day() -> None:
    convert = converter_of(Field(name="Opens_At__c", type="time"))
    assert convert("08:30:00.250Z") == (8 * 60 + 30) * 60_000 + 250


@pytest.mark.parametrize(
    ("values", "changed", "nulled"),
    [
        ({"Industry": "Banking"}, ["0x400800"], []),
        ({"Fax": "2"}, ["0x400080"], []),
        ({"BillingStreet": "2 Main"}, ["0x400000", "4-0x01"], []),
        ({"ShippingCity": "Basel", "ShippingState": "BS"}, ["0x400000", "5-0x06"], []),
        ({"Fax": None}, ["0x400080"], ["0x80"]),
        ({"BillingStreet": None, "Fax": None}, ["0x400080", "4-0x01"], ["0x80", "4-0x01"]),
    ],
    ids=["industry", "fax", "billing street", "shipping city and state", "fax to null", "street and fax to null"],
)
def test_an_update_has_the_bitmaps_of_the_official_samples(
    values: dict[str, Any], changed: list[str], nulled: list[str]
) -> None:
    org, bus = world()
    record_id = insert(org, "Account", **ACME)
    update(org, "Account", record_id, **values)
    event = logged(bus)[1]
    assert (event.kind, event.header["changedFields"], event.header["nulledFields"]) == ("UPDATE", changed, nulled)
    flat = {**event.body, **{f"Billing{name}": value for name, value in (event.body["BillingAddress"] or {}).items()}}
    flat |= {f"Shipping{name}": value for name, value in (event.body["ShippingAddress"] or {}).items()}
    told = {name for name, value in flat.items() if value is not None and not name.endswith("Address")}
    assert told == {name for name, value in values.items() if value is not None} | {"LastModifiedDate"}
    assert all(flat[name] == value for name, value in values.items())


def test_plain_fastavro_reads_an_event_with_its_own_schema() -> None:
    org, bus = world()
    record_id = insert(org, "Account", **ACME)
    update(org, "Account", record_id, ShippingCity="Basel")
    response = pb.FetchResponse.FromString(b"".join(bus.log.read(0, None, 10, 10**6).events))
    event = response.events[1].event
    schema = bus.schema(event.schema_id)
    assert schema is not None
    parsed = fastavro.parse_schema(json.loads(schema.text))
    record = fastavro.schemaless_reader(io.BytesIO(event.payload), parsed, None)
    assert isinstance(record, dict)
    assert record["ShippingAddress"]["City"] == "Basel"
    assert record["BillingAddress"] is None


def test_long_text_may_come_as_a_difference_that_diff_fields_names() -> None:
    org, bus = world()
    org.faults.apply({"text_diff": True})
    before, after = "\n".join(["a line of the text"] * 80), "\n".join(["a line of the text"] * 80 + ["one more"])
    record_id = insert(org, "Account", Name="Acme", Description=before)
    update(org, "Account", record_id, Description=after)
    event = logged(bus)[1]
    assert (event.header["diffFields"], event.header["changedFields"]) == (["0x010000"], ["0x410000"])
    lines = event.body["Description"].splitlines()
    assert lines[:2] == ["--- ", f"+++ {hashlib.sha256(after.encode()).hexdigest()}"]
    assert lines[2].startswith("@@ ")
    assert lines[-1] == "+one more"


def test_short_text_comes_whole_and_so_does_any_without_the_fault() -> None:
    org, bus = world()
    record_id = insert(org, "Account", Name="Acme", Description="short")
    update(org, "Account", record_id, Description="x" * 2000)
    org.faults.apply({"text_diff": True})
    update(org, "Account", record_id, Description="short again")
    assert [event.body["Description"] for event in logged(bus)] == ["short", "x" * 2000, "short again"]
    assert [event.diff for event in logged(bus)] == [[], [], []]


def test_a_delete_tells_the_header_alone_and_an_undelete_everything() -> None:
    org, bus = world()
    record_id = insert(org, "Account", **ACME)
    with org.transaction() as writing:
        writing.delete("Account", record_id)
    with org.transaction() as writing:
        writing.undelete("Account", record_id)
    _, deleted, undeleted = logged(bus)
    assert (deleted.kind, undeleted.kind) == ("DELETE", "UNDELETE")
    assert set(deleted.body.values()) == {None}
    assert undeleted.body["Name"] == "Acme"
    assert undeleted.changed == []
