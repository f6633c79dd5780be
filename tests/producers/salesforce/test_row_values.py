"""Rows of REST and Bulk as canonical values; the describes are shaped as Salesforce's REST guide shows them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.producers.salesforce.row_values import ReadRow, RowFault, is_compared, plan_rows
from fakturo.schemas.salesforce.compounds import dotted_name, dotted_to_flat


def field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "scale": 0, "compoundFieldName": None, "calculated": False, **more}


ACCOUNT = {
    "name": "Account",
    "queryable": True,
    "fields": [
        field("Id", "id"),
        field("IsDeleted", "boolean"),
        field("Name", "string"),
        field("BillingStreet", "textarea", compoundFieldName="BillingAddress"),
        field("BillingLatitude", "double", scale=15, compoundFieldName="BillingAddress"),
        field("BillingAddress", "address"),
        field("AnnualRevenue", "currency", scale=0),
        field("Rate__c", "percent", scale=3),
        field("Since__c", "date"),
        field("Seats__c", "int"),
        field("Active__c", "boolean"),
        field("IsPersonAccount", "boolean"),
        field("Score__c", "double", scale=2, calculated=True),
        field("Fakturo_MRR__c", "double", scale=4),
        field("Logo__c", "base64"),
        field("SystemModstamp", "datetime"),
        field("LastModifiedDate", "datetime"),
        field("LastViewedDate", "datetime"),
    ],
}


def test_read_is_what_an_event_can_tell_and_we_do_not_write() -> None:
    plan = plan_rows(ACCOUNT)
    assert plan.soql("WHERE Id IN ('x')") == (
        "SELECT Id, SystemModstamp, Name, BillingStreet, BillingLatitude, AnnualRevenue, Rate__c, Since__c, "
        "Seats__c, Active__c, Score__c, LastModifiedDate, IsDeleted FROM Account WHERE Id IN ('x')"
    )


REST = {
    "Id": "001000000000001",
    "IsDeleted": False,
    "Name": "Käse",
    "BillingStreet": "Allee 1",
    "BillingLatitude": Decimal("47.25"),
    "AnnualRevenue": Decimal("1E+6"),
    "Rate__c": Decimal("7.7"),
    "Since__c": "2026-11-01",
    "Seats__c": 12,
    "Active__c": True,
    "Score__c": Decimal("0.125"),
    "SystemModstamp": "2026-11-01T12:00:00.000+0000",
    "LastModifiedDate": "2026-11-01T13:59:59.000+0200",
}
BULK = {
    "Id": "001000000000001AAA",
    "IsDeleted": "false",
    "Name": "Käse",
    "BillingStreet": "Allee 1",
    "BillingLatitude": "47.25",
    "AnnualRevenue": "1000000.0",
    "Rate__c": "7.7",
    "Since__c": "2026-11-01",
    "Seats__c": "12.0",
    "Active__c": "true",
    "Score__c": "0.125",
    "SystemModstamp": "2026-11-01T12:00:00.000Z",
    "LastModifiedDate": "2026-11-01T11:59:59.000Z",
}


@pytest.mark.parametrize("row", [REST, BULK])
def test_a_row_of_rest_and_one_of_bulk_say_the_same(row: dict[str, Any]) -> None:
    assert plan_rows(ACCOUNT).read(row) == ReadRow(
        record_id="001000000000001AAA",
        stamp_ms=1_793_534_400_000,  # the reference's own example of 2026-11-01T12:00:00Z (section 3.3)
        is_deleted=False,
        values={
            "IsDeleted": False,
            "Name": "Käse",
            "BillingAddress.Street": "Allee 1",
            "BillingAddress.Latitude": "47.250000000000000",
            "AnnualRevenue": "1000000",
            "Rate__c": "7.700",
            "Since__c": "2026-11-01",
            "Seats__c": 12,
            "Active__c": True,
            "Score__c": "0.13",  # half away from zero, to the field's scale
            "LastModifiedDate": "2026-11-01T11:59:59.000Z",
        },
    )


def test_an_empty_cell_is_null_and_a_missing_column_is_nothing() -> None:
    row = {"Id": "001000000000001AAA", "SystemModstamp": BULK["SystemModstamp"], "IsDeleted": "true", "Name": ""}
    read = plan_rows(ACCOUNT).read(row)
    assert read.values == {"IsDeleted": True, "Name": None}
    assert read.is_deleted


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("Seats__c", "1.5"), ("Active__c", "yes"), ("Since__c", "soon"), ("AnnualRevenue", "much"), ("Id", "001")],
)
def test_a_value_that_is_none_names_its_record(column: str, wrong: str) -> None:
    with pytest.raises(RowFault, match="Account 001"):
        plan_rows(ACCOUNT).read({**BULK, column: wrong})


def test_an_object_that_does_not_say_when_it_changed_is_not_read() -> None:
    with pytest.raises(RowFault, match="has no SystemModstamp"):
        plan_rows({"name": "Odd__x", "queryable": True, "fields": [field("Id", "id"), field("Name", "string")]})


def test_compared_are_no_formulas_and_nothing_that_every_write_sets() -> None:
    compared = [one["name"] for one in ACCOUNT["fields"] if is_compared("Account", one)]  # type: ignore[attr-defined,index]
    assert compared == [
        *("Name", "BillingStreet", "BillingLatitude", "AnnualRevenue", "Rate__c", "Since__c", "Seats__c", "Active__c"),
    ]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**16), max_value=10**16, places=2))
def test_an_amount_of_two_decimals_is_exact_to_eighteen_digits(amount: Decimal) -> None:
    described = {"name": "X__c", "fields": [field("A__c", "currency", scale=2), field("SystemModstamp", "datetime")]}
    row = {"Id": "a00000000000001", "SystemModstamp": BULK["SystemModstamp"], "A__c": amount}
    told = plan_rows(described).read(row).values["A__c"]
    assert isinstance(told, str)
    assert Decimal(told) == amount
    assert "E" not in told


@pytest.mark.parametrize(
    ("name", "compound", "dotted"),
    [
        ("BillingCountryCode", "BillingAddress", "BillingAddress.CountryCode"),
        ("City", "Address", "Address.City"),
        ("LastName", "Name", "Name.LastName"),
        ("Name", "Name", "Name"),
        ("Home__Street__s", "Home__c", "Home__c.Street"),
        ("Place__Latitude__s", "Place__c", "Place__c.Latitude"),
        ("HomeCity__c", None, "HomeCity__c"),
    ],
)
def test_describe_says_what_is_a_part_of_what(name: str, compound: str | None, dotted: str) -> None:
    assert dotted_name({"name": name, "compoundFieldName": compound}) == dotted
    assert dotted_to_flat(dotted) == name
