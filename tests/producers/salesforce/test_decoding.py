"""Events of the bus, built by hand from the reference, decoded: types, bitmaps, compounds, money, what is broken."""

import base64
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.producers.salesforce.decoding import DecodeFault, WriterSchema, decode_event, entity_of, read_schema
from fakturo.schemas.events.change_data import ChangeRecord, decode_change
from fakturo.schemas.salesforce.avro_fields import INEXACT, FieldTable, decimal_text, field_table, reader_of
from tests.producers.salesforce.change_events import (
    ACCOUNT_ID,
    CHANGE_TYPES,
    ORG,
    account_schema,
    event,
    header,
    payload,
)

SCHEMA = account_schema()
MODIFIED = {"LastModifiedDate": 1793534400000}


def reading(schema: dict[str, Any] = SCHEMA, **scales: int) -> WriterSchema:
    return read_schema("schema-1", json.dumps(schema), scales)


def decoded(head: dict[str, Any], schema: WriterSchema | None = None, **fields: Any) -> ChangeRecord:
    (change,) = decode_event(event(payload(SCHEMA, head, **fields)), schema or reading(), ORG).changes
    return change


def test_an_update_has_its_changed_values_alone_with_every_kind_in_its_canonical_form() -> None:
    # Industry is at position 11, Fax at 7, LastModifiedDate at 19: bits 11, 7, 19 -> 0x080880.
    change = decoded(header(changedFields=["0x080880"]), Industry="Energy", Fax="555", Phone="not changed", **MODIFIED)
    assert change.changed == ("Fax", "Industry", "LastModifiedDate")
    assert change.values == {"Fax": "555", "Industry": "Energy", "LastModifiedDate": "2026-11-01T12:00:00.000Z"}
    assert (change.v, change.org, change.entity, change.recordId) == (1, ORG, "Account", ACCOUNT_ID)
    assert (change.eventId, change.schemaId, change.src, change.full) == ("f1e0", "schema-1", "pubsub", False)
    assert change.replayId == base64.b64encode(b"\x01").decode()
    commit = change.commit
    assert (commit.ts, commit.number, commit.seq) == (1793534400000, "1652977933433528300", 1)
    assert commit.origin == "com/salesforce/api/rest/67.0;client=SfdcInternalAPI/"


@pytest.mark.parametrize(
    ("bitmaps", "names"),
    [
        (["0x080000", "4-0x01"], ("BillingAddress.Street", "LastModifiedDate")),
        (["0x080000", "5-0x06"], ("ShippingAddress.City", "ShippingAddress.State", "LastModifiedDate")),
        (["4-0x01"], ("BillingAddress.Street",)),
    ],
)
def test_a_nested_change_is_named_dotted_also_where_the_record_is_only_referred_to(
    bitmaps: list[str], names: tuple[str, ...]
) -> None:
    address = {"Street": "1 Main", "City": "Berlin", "State": "BE", "Latitude": 52.52}
    change = decoded(
        header(changedFields=bitmaps), BillingAddress=_address(address), ShippingAddress=_address(address), **MODIFIED
    )
    assert change.changed == names
    assert set(change.values) == set(names)


def _address(given: dict[str, Any]) -> dict[str, Any]:
    parts = ("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode")
    return {**dict.fromkeys((*parts, "Latitude", "Longitude", "GeocodeAccuracy")), **given}


def test_a_creation_has_every_field_null_where_it_is_empty_and_compounds_by_their_parts() -> None:
    change = decoded(
        header(changeType="CREATE"),
        Name="Acme",
        BillingAddress=_address({"Street": "1 Main", "Latitude": 52.520008}),
        AnnualRevenue=49.9,
        NumberOfEmployees=7,
        CreatedDate=1712694387123,
        My_Date__c=1793491200000,  # 2026-11-01 00:00Z
        My_Flag__c=False,
        My_Time__c=36_000_000,  # ten in the morning
        My_Odd__c=12,
    )
    values = change.values
    assert change.changed == ()
    assert values["Name"] == "Acme"
    assert (values["BillingAddress.Street"], values["BillingAddress.Latitude"]) == ("1 Main", "52.520008")
    assert values["BillingAddress.City"] is None
    assert values["ShippingAddress.Street"] is None
    assert "BillingAddress" not in values
    assert (values["AnnualRevenue"], values["NumberOfEmployees"]) == ("49.9", 7)
    assert values["CreatedDate"] == "2024-04-09T20:26:27.123Z"
    assert (values["My_Date__c"], values["My_Time__c"]) == ("2026-11-01", "10:00:00.000Z")
    assert values["My_Flag__c"] is False
    assert values["My_Odd__c"] == "12", "a kind that nobody knows is kept as text"
    assert values["Phone"] is None


def test_a_persons_name_comes_by_its_parts_and_a_companys_whole() -> None:
    person = {"Salutation": None, "FirstName": "Ada", "LastName": "Lovelace"}
    names = {n: v for n, v in decoded(header(changeType="CREATE"), Name=person).values.items() if "Name" in n}
    assert names == {"Name.Salutation": None, "Name.FirstName": "Ada", "Name.LastName": "Lovelace"}
    whole = decoded(header(changedFields=["0x02"]), Name=person)
    assert whole.changed == ("Name.Salutation", "Name.FirstName", "Name.LastName")
    part = decoded(header(changedFields=["1-0x02"]), Name=person)
    assert part.values == {"Name.FirstName": "Ada"}
    company = decoded(header(changedFields=["0x02"]), Name="Acme")
    assert (company.changed, company.values) == (("Name",), {"Name": "Acme"})


def test_what_was_set_to_null_is_named_and_null() -> None:
    change = decoded(header(changedFields=["0x080800"], nulledFields=["0x80", "4-0x02"]), Industry="Energy", **MODIFIED)
    assert change.nulled == ("BillingAddress.City", "Fax"), "in the schema's order"
    assert change.values["Fax"] is None
    assert change.values["BillingAddress.City"] is None
    assert change.values["Industry"] == "Energy"


def test_a_text_diff_is_named_has_no_value_and_is_to_be_read_again() -> None:
    body = payload(SCHEMA, header(changedFields=["0x090000"], diffFields=["0x010000"]), Description="--- \n+++ x")
    result = decode_event(event(body), reading(), ORG)
    assert result.reread == "text_diff"
    assert result.changes[0].diff == ("Description",)
    assert "Description" not in result.changes[0].values
    assert result.changes[0].changed == ("Description", "LastModifiedDate")


def test_money_that_may_have_lost_digits_has_no_value_and_is_to_be_read_again() -> None:
    # 12,345,678,901,234.56 has 16 digits; as a double it is still "12345678901234.56", but its neighbours are not.
    body = payload(SCHEMA, header(changedFields=["0x0100"]), AnnualRevenue=12345678901234.56)
    result = decode_event(event(body), reading(AnnualRevenue=2), ORG)
    assert (result.reread, result.changes[0].diff, result.changes[0].values) == (
        "inexact_number",
        ("AnnualRevenue",),
        {},
    )


@pytest.mark.parametrize("kind", ["DELETE", *(one for one in CHANGE_TYPES if one.startswith("GAP_"))])
def test_deletions_and_gaps_have_a_header_alone(kind: str) -> None:
    body = payload(SCHEMA, header(changeType=kind), Name="never told")
    result = decode_event(event(body), reading(), ORG)
    assert (result.changes[0].changeType, result.changes[0].values, result.changes[0].changed) == (kind, {}, ())
    expected = {"DELETE": None, "GAP_OVERFLOW": "overflow"}
    assert result.reread == expected.get(kind, "gap")


def test_a_change_type_that_nobody_knows_is_passed_on_and_read_again() -> None:
    schema = account_schema(symbols=(*CHANGE_TYPES, "MERGE"))
    body = payload(schema, header(changeType="MERGE"))
    result = decode_event(event(body), reading(schema), ORG)
    assert (result.changes[0].changeType, result.reread) == ("MERGE", "unknown_change_type")


def test_one_event_of_several_records_gives_one_change_each_with_ids_of_18_characters() -> None:
    ids = [ACCOUNT_ID[:15], "0015f00002AbCdFAAV"]
    body = payload(SCHEMA, header(recordIds=ids, changedFields=["0x80"]), Fax="1")
    changes = decode_event(event(body), reading(), ORG).changes
    assert [change.recordId for change in changes] == [ACCOUNT_ID, "0015f00002AbCdFAAV"]
    assert {json.dumps(change.values) for change in changes} == {'{"Fax": "1"}'}


def test_a_wildcard_stays_what_it_is() -> None:
    assert decoded(header(recordIds=["001*"], changeType="GAP_UPDATE")).recordId == "001*"


def test_each_event_is_read_by_the_schema_that_it_was_written_with() -> None:
    wider = account_schema(("New__c", ["null", "string"], "Data:Text:00N"))
    body = payload(wider, header(changedFields=["0x100000"]), New__c="here")  # position 20
    (change,) = decode_event(event(body, schema_id="schema-2"), read_schema("schema-2", json.dumps(wider)), ORG).changes
    assert change.values == {"New__c": "here"}


def test_the_canonical_record_is_what_our_own_readers_take() -> None:
    import msgspec

    change = decoded(header(changeType="CREATE"), AnnualRevenue=1.5, My_Flag__c=True)
    assert decode_change(msgspec.json.encode(change)) == change


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not of schema"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "not of schema"),
        (payload(SCHEMA, header()) + b"\x00", "goes on after the end"),
        (payload(SCHEMA, header(recordIds=[])), "has no recordIds"),
        (payload(SCHEMA, header(changedFields=["0x40000000"])), "beyond the 20"),
        (payload(SCHEMA, header(changeType="CREATE"), My_Date__c=10**17), "My_Date__c"),
    ],
)
def test_what_cannot_be_decoded_says_what_it_is_about(body: bytes, says: str) -> None:
    with pytest.raises(DecodeFault, match=says) as caught:
        decode_event(event(body), reading(), ORG)
    assert caught.value.entity == "Account"


def test_a_broken_bitmap_still_tells_whose_change_was_lost() -> None:
    with pytest.raises(DecodeFault) as caught:
        decode_event(event(payload(SCHEMA, header(changedFields=["nonsense"]))), reading(), ORG)
    assert (caught.value.record_ids, caught.value.commit_ms) == ((ACCOUNT_ID,), 1793534400000)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"type":"record","name":"X","fields":[{"name":"a","type":"nope"}]}'])
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(DecodeFault, match="schema schema-1"):
        read_schema("schema-1", text)


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("AccountChangeEvent", "Account"),
        ("SBQQ__Subscription__ChangeEvent", "SBQQ__Subscription__c"),
        ("ChangeEvents", None),
        ("Order_Placed__e", None),
    ],
)
def test_an_object_is_found_by_the_name_of_its_event(name: str, entity: str | None) -> None:
    assert entity_of({"name": name}) == entity


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (49.9, 2, "49.90"),
        (49.9, None, "49.9"),
        (100.0, None, "100"),
        (100.0, 0, "100"),
        (0.1 + 0.2, 2, "0.30"),  # 0.30000000000000004: a formula's leftover
        (2.675, 2, "2.68"),  # half away from zero of what was meant; Decimal(2.675) would give 2.67
        (-2.675, 2, "-2.68"),
        (-0.001, 2, "0.00"),
        (9999999999999.98, 2, "9999999999999.98"),  # 15 digits
        (1e-7, None, "0.0000001"),
    ],
)
def test_doubles_become_the_decimals_that_were_meant(value: float, scale: int | None, text: str) -> None:
    assert reader_of("Currency", scale)(value) == text


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        (1e13, 2),  # 10,000,000,000,000.00 has 16 digits
        (9999999999999999.99, 2),  # reads 1e16: the cents are gone
        (8589934592.000001, 6),  # reads 8589934592.0
        (0.1 + 0.2, None),
        (float("inf"), 2),
        (float("nan"), None),
    ],
)
def test_numbers_beyond_15_digits_are_not_trusted(value: float, scale: int | None) -> None:
    assert reader_of("Currency", scale)(value) is INEXACT


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**13) + 1, max_value=10**13 - 1))
def test_every_amount_of_15_digits_survives_the_double(amount: Decimal) -> None:
    assert reader_of("Currency", 2)(float(amount)) == decimal_text(amount, 2)
    assert Decimal(str(reader_of("Currency", None)(float(amount)))) == amount


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 8))
def test_a_trusted_number_is_the_shortest_one_rounded_and_never_the_doubles_expansion(value: float, scale: int) -> None:
    text = reader_of("Currency", scale)(value)
    if text is not INEXACT:
        shortest = Decimal(repr(value))
        assert Decimal(str(text)) == shortest.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        assert "E" not in str(text)


def test_a_schema_with_a_field_of_another_records_name_keeps_them_apart() -> None:
    table: FieldTable = field_table(SCHEMA)
    body = {"ShippingAddress": _address({"City": "Rome"})}
    assert table.values_of(body, ["ShippingAddress.City"]) == {"ShippingAddress.City": "Rome"}
