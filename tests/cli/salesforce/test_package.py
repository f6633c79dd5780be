"""The metadata package: what the Metadata API guide says of each kind stands in the files."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from fakturo.cli.salesforce.package import SOURCE, event_name, package_files
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS

NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
READ = {
    "Account": ["Name", "Fakturo_Vat_Id__c", "Fakturo_Tax_Exempt__c"],
    "OrderItem": ["Quantity", "Fakturo_Discount_Percent__c"],
    "Order": [],
}
ROLES = {"account": "Account", "subscription": "Order", "item": "OrderItem", "product": "Product2"}


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return package_files(READ, ROLES, channel="Billing__chn", api_version="67.0")


def texts(content: str) -> dict[str, str | None]:
    return {child.tag.removeprefix(NAMESPACE): child.text for child in ElementTree.fromstring(content)}


def test_the_external_id_of_an_invoice_is_unique_and_case_sensitive(files: dict[str, str]) -> None:
    found = texts(files[f"{SOURCE}/objects/Fakturo_Invoice__c/fields/Fakturo_Invoice_Id__c.field-meta.xml"])
    wanted = {"type": "Text", "length": "255", "externalId": "true", "unique": "true", "caseSensitive": "true"}
    assert {name: found[name] for name in wanted} == wanted


def test_a_line_belongs_to_its_invoice_and_shares_its_rights(files: dict[str, str]) -> None:
    line = texts(files[f"{SOURCE}/objects/Fakturo_Invoice_Line__c/Fakturo_Invoice_Line__c.object-meta.xml"])
    assert line["sharingModel"] == "ControlledByParent"
    parent = texts(files[f"{SOURCE}/objects/Fakturo_Invoice_Line__c/fields/Fakturo_Invoice__c.field-meta.xml"])
    assert (parent["type"], parent["referenceTo"], parent["relationshipName"]) == (
        "MasterDetail",
        "Fakturo_Invoice__c",
        "Lines",
    )


def test_only_the_fields_that_the_profile_names_are_deployed_for_reading(files: dict[str, str]) -> None:
    deployed = {Path(path).name.removesuffix(".field-meta.xml") for path in files if "/Account/fields/" in path}
    written = {field.name for field in WRITTEN_OBJECTS[0].fields}
    assert deployed - written == {"Fakturo_Vat_Id__c", "Fakturo_Tax_Exempt__c"}


def test_the_permission_set_reads_all_and_leaves_out_what_has_no_permission_of_its_own(files: dict[str, str]) -> None:
    (content,) = [text for path, text in files.items() if "permissionset" in path]
    root = ElementTree.fromstring(content)
    objects = {
        one.findtext(f"{NAMESPACE}object"): one.findtext(f"{NAMESPACE}viewAllRecords")
        for one in root.iter(f"{NAMESPACE}objectPermissions")
    }
    assert objects == dict.fromkeys(("Account", "Order", "Fakturo_Invoice__c", "Fakturo_Invoice_Line__c"), "true")
    fields = {
        one.findtext(f"{NAMESPACE}field"): one.findtext(f"{NAMESPACE}editable")
        for one in root.iter(f"{NAMESPACE}fieldPermissions")
    }
    assert fields["Account.Fakturo_Vat_Id__c"] == "false"
    assert fields["Account.Fakturo_MRR__c"] == "true"
    # A child's reference to its master is always readable: a field permission for it is refused by a deployment.
    assert "Fakturo_Invoice_Line__c.Fakturo_Invoice__c" not in fields


def test_each_object_is_selected_on_the_channel_and_the_channel_is_made(files: dict[str, str]) -> None:
    member = files[f"{SOURCE}/platformEventChannelMembers/Billing_OrderChangeEvent.platformEventChannelMember-meta.xml"]
    assert texts(member) == {"eventChannel": "Billing__chn", "selectedEntity": "OrderChangeEvent"}
    channel = files[f"{SOURCE}/platformEventChannels/Billing__chn.platformEventChannel-meta.xml"]
    assert texts(channel)["channelType"] == "data"
    assert event_name("SBQQ__Subscription__c") == "SBQQ__Subscription__ChangeEvent"


def test_every_name_fits_what_salesforce_takes(files: dict[str, str]) -> None:
    for written in WRITTEN_OBJECTS:
        for field in written.fields:
            assert len(field.name.removesuffix("__c")) <= 40, field.name
            assert len(field.label) <= 40, field.label
            assert len(field.help) <= 510, field.help
    for path, text in files.items():
        if path.endswith(".xml"):
            ElementTree.fromstring(text)


def test_every_field_of_ours_that_a_shipped_profile_reads_can_be_deployed() -> None:
    for name in ("core", "cpq", "rlm"):
        profile = load_profile(name)
        roles = {role: section.entity for role, section in profile.sections.items()}
        read = {entity: profile.fields_of(entity) for entity in profile.entities()}
        files = package_files(read, roles, channel="ChangeEvents", api_version="67.0")
        for entity, fields in read.items():
            ours = {field for field in fields if field.startswith("Fakturo_")}
            deployed = {f for f in ours if f"{SOURCE}/objects/{entity}/fields/{f}.field-meta.xml" in files}
            assert deployed == ours, (name, entity)
