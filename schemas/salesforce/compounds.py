"""The two names of a part of a compound: flat in rows (`BillingStreet`), dotted in events (`BillingAddress.Street`).

Place     snapshot, resync, reconciliation (rows of REST and Bulk) and crm_feed (flat connectors) -> [this]. Pure.
Rule      the canonical record has the dotted name. A flat name is a part only where the object has its siblings, so
          that a field which merely ends like one (`HomeCity__c`, `TaxCountry`) keeps its name. A person's name is a
          compound where the object has `LastName`.
Source    Salesforce object reference, "Compound Fields": address and name fields and their parts.
"""

from collections.abc import Collection

ADDRESS_PARTS = (
    *("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy"),
    *("StateCode", "CountryCode"),
)
NAME_PARTS = ("Salutation", "FirstName", "LastName", "MiddleName", "InformalName", "Suffix")
_ADDRESS_WITNESSES = ("Street", "City", "Country")
"""An address has these three; a field that only ends in one of the parts has no such siblings."""
_LONGEST_FIRST = sorted(ADDRESS_PARTS, key=len, reverse=True)


def flat_to_dotted(name: str, names: Collection[str]) -> str:
    """Return the canonical name of the row's field `name`, `names` being all fields of the row or of its object."""
    if name.endswith("__c"):
        return name
    if name in NAME_PARTS and "LastName" in names:
        return f"Name.{name}"
    for part in _LONGEST_FIRST:
        if name.endswith(part):
            stem = name.removesuffix(part)
            is_address = all(stem + witness in names for witness in _ADDRESS_WITNESSES)
            return f"{stem}Address.{part}" if is_address else name
    return name


def dotted_to_flat(name: str) -> str:
    """Return the row's name of a canonical field: the inverse of `flat_to_dotted`."""
    parent, dot, part = name.partition(".")
    if not dot:
        return name
    return part if parent == "Name" else parent.removesuffix("Address") + part
