"""The two names of a part of a compound; the field lists are those of Account, Contact and Lead in the reference."""

import pytest

from fakturo.schemas.salesforce.compounds import ADDRESS_PARTS, dotted_to_flat, flat_to_dotted

ACCOUNT = ("Name", "Type", *(f"{kind}{part}" for kind in ("Billing", "Shipping") for part in ADDRESS_PARTS))
CONTACT = ("Name", "FirstName", "LastName", "Salutation", *(f"Mailing{part}" for part in ADDRESS_PARTS))
LEAD = ("FirstName", "LastName", *ADDRESS_PARTS)


@pytest.mark.parametrize(
    ("name", "names", "dotted"),
    [
        ("BillingStreet", ACCOUNT, "BillingAddress.Street"),
        ("ShippingCountryCode", ACCOUNT, "ShippingAddress.CountryCode"),
        ("BillingGeocodeAccuracy", ACCOUNT, "BillingAddress.GeocodeAccuracy"),
        ("MailingPostalCode", CONTACT, "MailingAddress.PostalCode"),
        ("FirstName", CONTACT, "Name.FirstName"),
        ("Street", LEAD, "Address.Street"),  # a Lead has one address, and it is called Address
        ("StateCode", LEAD, "Address.StateCode"),
    ],
)
def test_a_part_of_a_compound_is_called_by_both_names(name: str, names: tuple[str, ...], dotted: str) -> None:
    assert flat_to_dotted(name, names) == dotted
    assert dotted_to_flat(dotted) == name


@pytest.mark.parametrize("name", ["Name", "Type", "HomeCity__c", "BillingStreet__c", "TaxCountry", "Suffix"])
def test_what_is_no_part_keeps_its_name(name: str) -> None:
    assert flat_to_dotted(name, (*ACCOUNT, "TaxCountry", "Suffix")) == name
    assert dotted_to_flat(name) == name


def test_a_standard_address_is_known_in_a_row_without_its_other_columns() -> None:
    assert flat_to_dotted("BillingCity", ("BillingCity", "Name")) == "BillingAddress.City"
    assert flat_to_dotted("City", ("City",)) == "City"
