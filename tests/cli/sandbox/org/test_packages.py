"""Metadata packages: Metadata API Developer Guide, CustomObject and CustomField samples."""

from pathlib import Path

import pytest

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.package_files import PackageFault
from fakturo.cli.sandbox.packages import deploy_folder

_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
_OBJECT = f"""<?xml version="1.0" encoding="UTF-8"?>
<CustomObject {_XMLNS}>
    <deploymentStatus>Deployed</deploymentStatus>
    <label>Bill</label><pluralLabel>Bills</pluralLabel>
    <nameField><displayFormat>B-{{0000}}</displayFormat><label>Bill Name</label><type>AutoNumber</type></nameField>
    <sharingModel>ReadWrite</sharingModel>
</CustomObject>"""


def _field(name: str, kind: str, **more: str) -> str:
    words = "".join(f"<{key}>{value}</{key}>" for key, value in more.items())
    return f"<CustomField {_XMLNS}><fullName>{name}</fullName><label>L</label><type>{kind}</type>{words}</CustomField>"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    objects = tmp_path / "force-app/main/default/objects"
    (objects / "Bill__c/fields").mkdir(parents=True)
    (objects / "Bill__c/Bill__c.object-meta.xml").write_text(_OBJECT)
    for name, kind, more in (
        ("Key__c", "Text", {"length": "40", "externalId": "true", "unique": "true"}),
        ("Account__c", "Lookup", {"referenceTo": "Account", "relationshipName": "Bills"}),
        ("Total__c", "Currency", {"precision": "16", "scale": "4"}),
        ("Twice__c", "Currency", {"precision": "16", "scale": "2", "formula": "Total__c * 2"}),
    ):
        (objects / f"Bill__c/fields/{name}.field-meta.xml").write_text(_field(name, kind, **more))
    return tmp_path


def test_a_package_brings_an_object_with_its_fields(package: Path) -> None:
    org = SandboxOrg()
    done = deploy_folder(org, package)
    assert set(done.created) == {"Bill__c", *(f"Bill__c.{one}__c" for one in ("Key", "Account", "Total", "Twice"))}
    bill = org.objects["Bill__c"]
    assert (bill.label, bill.label_plural, bill.key_prefix[0]) == ("Bill", "Bills", "a")
    assert (bill.fields["Total__c"].precision, bill.fields["Total__c"].scale) == (16, 4)
    assert bill.fields["Account__c"].relationship_name == "Account__r"
    assert bill.fields["Account__c"].child_relationship == "Bills__r"
    assert (bill.fields["Key__c"].custom_id or "").startswith("00N")
    with org.transaction() as transaction:
        account = transaction.insert("Account", {"Name": "a"})
        made = transaction.upsert("Bill__c", "Key__c", "1", {"Account__c": account, "Total__c": "1.23456"})
    row = org.tables["Bill__c"][made.record_id]
    assert (row["Name"], str(row["Total__c"])) == ("B-0001", "1.2346")
    with org.transaction() as transaction, pytest.raises(OrgError, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        transaction.update("Bill__c", made.record_id, {"Twice__c": 1})


def test_the_same_package_again_changes_nothing(package: Path) -> None:
    org = SandboxOrg()
    deploy_folder(org, package)
    fields = dict(org.objects["Bill__c"].fields)
    assert deploy_folder(org, package).created == []
    assert org.objects["Bill__c"].fields == fields


def test_a_custom_object_is_captured_once_a_channel_member_selects_it(package: Path) -> None:
    org = SandboxOrg()
    deploy_folder(org, package)
    assert org.objects["Bill__c"].cdc is False
    member = package / "force-app/main/default/platformEventChannelMembers"
    member.mkdir()
    (member / "ChangeEvents_Bill.platformEventChannelMember-meta.xml").write_text(
        f"<PlatformEventChannelMember {_XMLNS}><eventChannel>ChangeEvents</eventChannel>"
        "<selectedEntity>Bill__ChangeEvent</selectedEntity></PlatformEventChannelMember>"
    )
    deploy_folder(org, package)
    assert org.objects["Bill__c"].cdc is True


def test_the_metadata_apis_form_has_its_fields_inside(tmp_path: Path) -> None:
    inside = _field("Fee__c", "Number", precision="18", scale="0").replace("CustomField", "fields").replace(_XMLNS, "")
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/Account.object").write_text(f"<CustomObject {_XMLNS}>{inside}</CustomObject>")
    org = SandboxOrg()
    assert deploy_folder(org, tmp_path).created == ["Account.Fee__c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_field("Bad__c", "Hologram"), "type: the sandbox knows"),
        (_field("Bad", "Text"), "ends in __c"),
        (_field("Bad__c", "Lookup"), "referenceTo"),
        (_field("Bad__c", "Lookup", referenceTo="Nothing__c"), "there is no object Nothing__c"),
        ("<CustomField", "no XML"),
    ],
)
def test_a_faulty_package_is_refused_as_a_whole_with_file_and_reason(package: Path, content: str, said: str) -> None:
    (package / "force-app/main/default/objects/Bill__c/fields/Bad.field-meta.xml").write_text(content)
    org = SandboxOrg()
    with pytest.raises(PackageFault, match=r"Bad.*" + said):
        deploy_folder(org, package)
    assert "Bill__c" not in org.objects
