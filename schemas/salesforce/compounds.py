"""The two names of a part of a compound: flat in rows (`BillingStreet`), dotted in events (`BillingAddress.Street`).

Place     snapshot, resync, reconciliation (rows of REST and Bulk) and crm_feed (flat connectors) -> [this]. Pure.
Rule      the canonical record has the dotted name. Where the object's describe is at hand it says which field is a part
          of which compound (`dotted_name`). Else a flat name is a part only where the object has its siblings, so that
          a field which merely ends like one (`HomeCity__c`, `TaxCountry`) keeps its name; a custom compound's parts end
          in `__s` (`Home__City__s` of `Home__c`). A person's name is a compound where the object has `LastName`.
Source    Salesforce object reference, "Compound Fields": address, geolocation and name fields and their parts.
"""

from collections.abc import Collection, Mapping
from typing import Any

ADDRESS_PARTS = (
    *("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy"),
    *("StateCode", "CountryCode"),
)
NAME_PARTS = ("Salutation", "FirstName", "LastName", "MiddleName", "InformalName", "Suffix")
_ADDRESS_WITNESSES = ("Street", "City", "Country")
"""An address has these three; a field that only ends in one of the parts has no such siblings."""
_STANDARD_STEMS = ("Billing", "Shipping", "Mailing", "Other")
"""Addresses of Account, Order, Contract and Contact: theirs are known also in a row that has not all columns."""
_LONGEST_FIRST = sorted(ADDRESS_PARTS, key=len, reverse=True)
_ADDRESS, _NAME, _CUSTOM, _CUSTOM_PART = "Address", "Name", "__c", "__s"


def dotted_name(described: Mapping[str, Any]) -> str:
    """Return the canonical name of a field by its describe (`name`, `compoundFieldName`)."""
    name, compound = str(described["name"]), described.get("compoundFieldName")
    if not compound or compound == name:
        return name
    if compound == _NAME:
        return f"{_NAME}.{name}"
    if compound.endswith(_CUSTOM):
        stem = compound.removesuffix(_CUSTOM)
        return f"{compound}.{name.removeprefix(f'{stem}__').removesuffix(_CUSTOM_PART)}"
    return f"{compound}.{name.removeprefix(compound.removesuffix(_ADDRESS))}"


def flat_to_dotted(name: str, names: Collection[str]) -> str:
    """Return the canonical name of the row's field `name`, `names` being all fields of the row or of its object."""
    if "." in name:
        return name
    if name.endswith(_CUSTOM_PART):
        stem, _, part = name.removesuffix(_CUSTOM_PART).rpartition("__")
        return f"{stem}{_CUSTOM}.{part}" if stem and part in ADDRESS_PARTS else name
    if name.endswith(_CUSTOM):
        return name
    if name in NAME_PARTS and "LastName" in names:
        return f"{_NAME}.{name}"
    for part in _LONGEST_FIRST:
        if name.endswith(part):
            stem = name.removesuffix(part)
            is_address = stem in _STANDARD_STEMS or all(stem + witness in names for witness in _ADDRESS_WITNESSES)
            return f"{stem}{_ADDRESS}.{part}" if is_address else name
    return name


def dotted_to_flat(name: str) -> str:
    """Return the row's name of a canonical field: the inverse of `flat_to_dotted` and `dotted_name`."""
    parent, dot, part = name.partition(".")
    if not dot:
        return name
    if parent.endswith(_CUSTOM):
        return f"{parent.removesuffix(_CUSTOM)}__{part}{_CUSTOM_PART}"
    return part if parent == _NAME else parent.removesuffix(_ADDRESS) + part
