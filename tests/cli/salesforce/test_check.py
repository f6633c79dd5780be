"""What `fakturo salesforce check` says of an org that lacks something."""

from typing import Any

from fakturo.cli.salesforce.check import NeededValue, check_channel, check_read, check_written
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS

TYPES = {
    "Text": "string",
    "LongTextArea": "textarea",
    "Name": "string",
    "Number": "double",
    "Date": "date",
    "DateTime": "datetime",
    "Picklist": "picklist",
    "Lookup": "reference",
    "MasterDetail": "reference",
}


def described(*names: str, **rights: Any) -> dict[str, Any]:
    fields = [{"name": name, "type": "string", "updateable": True, "externalId": False} for name in names]
    return {"fields": fields, "createable": True, "updateable": True, **rights}


def complete() -> dict[str, Any]:
    """Return the describes of an org that has all we write."""
    return {
        written.name: {
            "createable": True,
            "updateable": True,
            "fields": [
                {
                    "name": field.name,
                    "type": TYPES[field.kind],
                    "updateable": field.kind != "MasterDetail",
                    "externalId": field.external_id,
                    "unique": field.unique,
                }
                for field in written.fields
            ],
        }
        for written in WRITTEN_OBJECTS
    }


def field_of(describes: dict[str, Any], entity: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(field for field in describes[entity]["fields"] if field["name"] == name)
    return found


def test_an_org_with_everything_has_nothing_to_mend() -> None:
    assert check_written(complete()) == []


def test_one_of_several_alternatives_is_enough_and_an_address_is_found_by_its_flat_name() -> None:
    values = [
        NeededValue(entity="Account", fields=("BillingStreet", "BillingAddress.Street")),
        NeededValue(entity="Account", fields=("BillingAddress.City",)),
    ]
    assert check_read(values, {"Account": described("BillingStreet", "BillingCity")}) == []


def test_a_standard_field_that_cannot_be_read_is_an_error_and_one_of_ours_a_note() -> None:
    values = [
        NeededValue(entity="Order", fields=("StatusCode",)),
        NeededValue(entity="Order", fields=("Fakturo_Coupons__c",)),
        NeededValue(entity="Order", fields=("CurrencyIsoCode",)),
    ]
    found = check_read(values, {"Order": described("Id")})
    assert [(one.field, one.is_error) for one in found] == [
        ("StatusCode", True),
        ("Fakturo_Coupons__c", False),
        ("CurrencyIsoCode", False),
    ]
    assert found[0].sentence == (
        "Order.StatusCode cannot be read: make it visible to the integration user (field-level security)"
    )


def test_an_object_that_cannot_be_seen_is_said_once() -> None:
    values = [NeededValue(entity="Asset", fields=(name,)) for name in ("AccountId", "Quantity")]
    (found,) = check_read(values, {"Asset": None})
    assert found.entity == "Asset"
    assert "permission set" in found.mend


def test_what_we_write_must_be_there_writable_and_of_the_right_kind() -> None:
    describes = complete()
    del describes["Fakturo_Invoice_Line__c"]
    field_of(describes, "Account", "Fakturo_MRR__c")["type"] = "string"
    field_of(describes, "Fakturo_Invoice__c", "Fakturo_Invoice_Id__c")["externalId"] = False
    field_of(describes, "Fakturo_Invoice__c", "Total__c")["updateable"] = False
    describes["Account"]["updateable"] = False
    said = {(one.entity, one.field): one.what for one in check_written(describes)}
    assert said == {
        ("Account", None): "cannot be updated by the integration user",
        ("Account", "Fakturo_MRR__c"): "is of the type string, where Number is needed",
        ("Fakturo_Invoice__c", "Fakturo_Invoice_Id__c"): "is no external id",
        ("Fakturo_Invoice__c", "Total__c"): "cannot be written by the integration user",
        ("Fakturo_Invoice_Line__c", None): "is not there, or not visible",
    }


def test_an_object_that_the_channel_does_not_tell_of_is_named() -> None:
    (found,) = check_channel(["Account", "Order"], frozenset({"AccountChangeEvent"}), "/data/ChangeEvents")
    assert found.sentence.startswith("Order is not selected for Change Data Capture on /data/ChangeEvents: ")
