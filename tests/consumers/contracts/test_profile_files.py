"""Profile files: what is shipped, a customer's own on top of it, and every fault at once."""

from pathlib import Path

import pytest

from fakturo.consumers.contracts.profile_files import SHIPPED, load_profile
from fakturo.consumers.runtime.errors import SettingsFault

ACME = """
name: acme
extends: core
account:
  vat_id: [Acme_Vat__c, ...]
  default_terms_days: 14
subscription:
  seller: ["=if(Acme_Region__c = 'North', 'DK', 'US')"]
item:
  quantity: ["=Acme_Seats__c * Acme_Sites__c", ...]
  billing: [Acme_Billing__c]
opportunity: null
values:
  OrderItem:
    Acme_Billing__c: {Upfront: advance, 2: arrears, true: arrears}
also_read: [Acme_Site__c]
"""


def _write(folder: Path, text: str, name: str = "acme.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_can_be_read(name: str) -> None:
    assert load_profile(name).name == name


def test_core_reads_these_objects_and_these_fields_of_them() -> None:
    core = load_profile()
    assert set(core.entities()) == {
        *("Account", "Contact", "Contract", "Order", "OrderItem"),
        *("Product2", "PricebookEntry", "ProductSellingModel", "Opportunity"),
    }
    assert core.fields_of("Contract") == {"StatusCode", "StartDate", "EndDate", "ContractTerm"}
    assert core.fields_of("Contact") == {"Name", "Name.FirstName", "Name.LastName", "Email"}
    assert core.fields_of("ProductSellingModel") == {"SellingModelType", "PricingTerm", "PricingTermUnit"}
    assert {"ContractId", "BillToContactId", "OpportunityId"} <= core.fields_of("Order")
    assert core.number_fields("Contract") == ("ContractTerm",)
    assert core.date_fields("Contract") == ("EndDate", "StartDate")
    assert core.number_fields("ProductSellingModel") == ("PricingTerm",)  # PricingTermUnit is one of the values
    assert core.reference_fields("PricebookEntry") == {"ProductSellingModelId": ("lookup:lookup",)}
    assert core.reference_fields("Order")["ContractId"] == ("lookup:subscription",)
    assert core.roles("Contact") == ("lookup",)
    assert core.roles("Weather__c") == ()


def test_a_profile_of_ones_own_replaces_adds_and_takes_out(tmp_path: Path) -> None:
    acme, core = load_profile(_write(tmp_path, ACME)), load_profile()
    assert acme.account.vat_id == ("Acme_Vat__c", "Fakturo_Vat_Id__c")
    assert acme.account.default_terms_days == 14
    assert acme.account.name == core.account.name
    assert acme.item.quantity == ("=Acme_Seats__c * Acme_Sites__c", "Quantity")
    assert acme.opportunity is None
    assert acme.value_maps("OrderItem") == {
        "Acme_Billing__c": {"Upfront": "advance", "2": "arrears", "true": "arrears"}
    }
    assert acme.value_maps("ProductSellingModel") == core.value_maps("ProductSellingModel")
    assert {"Acme_Seats__c", "Acme_Sites__c", "Acme_Billing__c"} <= acme.fields_of("OrderItem")
    assert "Acme_Region__c" in acme.fields_of("Order")
    assert acme.entities()[-1] == "Acme_Site__c"
    assert acme.fingerprint != core.fingerprint


def test_a_profile_may_extend_a_file_beside_it_but_not_itself(tmp_path: Path) -> None:
    _write(tmp_path, ACME)
    own = _write(tmp_path, "name: more\nextends: acme.yaml\nitem: {anchor: [Acme_Anchor__c]}", "more.yaml")
    assert load_profile(own).account.default_terms_days == 14
    circle = _write(tmp_path, "name: circle\nextends: circle.yaml", "circle.yaml")
    with pytest.raises(SettingsFault, match="in a circle"):
        load_profile(circle)


FAULTY = """
name: faulty
extends: core
acount: {}
account:
  nmae: [Name]
  timezone: Fakturo_Timezone__c
  default_terms_days: "30"
  parent: [A__c->Account.ParentId]
subscription:
  seller: ["=if(Region__c, 'DK'"]
  coupons: [A->X]
item:
  quantity: ["=Seats__c * * 2"]
  unit_price: [A->B.C->D.E->F.G->H.I]
  is_own_subscription: "yes"
product: null
values:
  Order: [1]
also_read: Weather__c
"""


def test_all_faults_of_a_file_are_told_at_once_with_file_field_and_column(tmp_path: Path) -> None:
    path = _write(tmp_path, FAULTY)
    with pytest.raises(SettingsFault) as caught:
        load_profile(path)
    told = str(caught.value).splitlines()
    assert told[0] == "FAKTURO_PROFILE is refused:"
    assert told[1:] == [
        f"{path}: {text}"
        for text in (
            "acount is not known; did you mean account?",
            "account.nmae is not known; did you mean name?",
            "account.timezone must be a list of fields, [A__c, B__c], not 'Fakturo_Timezone__c'",
            "account.default_terms_days must be a whole number, not '30'",
            "account.parent 'A__c->Account.ParentId' must be a field of the record itself: it is how records are found",
            "subscription.seller \"=if(Region__c, 'DK'\", column 20: expected ), found the end",
            "subscription.coupons 'A->X' needs the object and its field behind the arrow: A->Object.Field",
            "item.quantity '=Seats__c * * 2', column 13: expected a field, a number or a text, found *",
            "item.unit_price 'A->B.C->D.E->F.G->H.I' goes over 4 references; 3 are the most",
            "item.is_own_subscription must be true or false, not 'yes'",
            "product must be a mapping of entity, code, name, ...",
            "values.Order must be a mapping: field, value of Salesforce, value of ours",
            "also_read must be a list of objects",
        )
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- core", "must be a mapping"),
        ("name: [", "is no YAML"),
        ("name: x\nextends: nobody", "is none of core, cpq, rlm, nor a file beside this one"),
        ("name: x", "account is missing; write it, or extend a profile that has it"),
        ("extends: core", "name must be a text"),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsFault, match=says):
        load_profile(_write(tmp_path, text))


def test_a_name_that_is_neither_shipped_nor_a_file_says_what_there_is() -> None:
    with pytest.raises(SettingsFault, match="give core, cpq, rlm or a file"):
        load_profile("sap")
