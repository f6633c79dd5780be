"""What we write into an org is what Salesforce lets be deployed and written."""

import re

import pytest

from fakturo.schemas.salesforce.written_fields import (
    ACCOUNT,
    INVOICE,
    INVOICE_LINE,
    OBJECT_BY_NAME,
    WRITTEN_OBJECTS,
    WrittenField,
    WrittenObject,
    written_names,
)

FIELDS = [(found, field) for found in WRITTEN_OBJECTS for field in found.fields]


@pytest.mark.parametrize(("owner", "field"), FIELDS, ids=lambda value: getattr(value, "name", ""))
def test_a_field_is_within_what_the_metadata_api_takes(owner: WrittenObject, field: WrittenField) -> None:
    # Salesforce: a custom API name is letters, digits and single underscores, at most 40 characters and `__c`.
    assert field.kind == "Name" or re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|_(?!_))*[A-Za-z0-9]__c", field.name)
    assert len(field.name) <= 43
    assert len(field.label) <= 40
    limits = {"Name": 80, "Text": 255, "LongTextArea": 131_072}
    assert field.length <= limits.get(field.kind, 0)
    assert (field.length > 0) == (field.kind in limits)
    assert (field.precision, field.scale) == (0, 0) if field.kind != "Number" else field.scale <= field.precision <= 18
    assert bool(field.values) == (field.kind == "Picklist")
    assert bool(field.target) == field.is_reference
    assert owner.field(field.name) is field


def test_on_the_companys_own_account_every_field_carries_our_name() -> None:
    assert all(name.startswith("Fakturo_") and name.endswith("__c") for name in written_names(ACCOUNT))


def test_each_of_our_objects_is_found_by_a_unique_external_id() -> None:
    for name in (INVOICE, INVOICE_LINE):
        ours = OBJECT_BY_NAME[name]
        key = ours.field(ours.key_field)
        assert (key.external_id, key.unique, key.kind) == (True, True, "Text")


def test_an_object_stands_after_those_that_it_refers_to() -> None:
    order = [found.name for found in WRITTEN_OBJECTS]
    for owner, field in FIELDS:
        if field.target and field.target != owner.name:
            assert order.index(field.target) < order.index(owner.name)


def test_an_object_that_is_not_ours_has_no_written_fields() -> None:
    assert written_names("Opportunity") == frozenset()
    with pytest.raises(KeyError, match="Opportunity__c"):
        OBJECT_BY_NAME[INVOICE].field("Opportunity__c")
