"""Which fields hold dates and which instants, where a message says neither: plain numbers without a schema.

Place     canonical.py -> [this]. Data and a look-up, pure.
Sources   the event schemas that the administrator has put into FAKTURO_CRM_SCHEMAS (their `doc` tells the kind) and,
          for the objects that the mapping profiles read, this table of standard fields (Salesforce object reference).
"""

from collections.abc import Mapping

from fakturo.consumers.crm_feed.shapes.values import DATE, INSTANT, PLAIN

_EVERYWHERE = ("CreatedDate", "LastModifiedDate", "SystemModstamp", "LastViewedDate", "LastReferencedDate")
_INSTANTS: dict[str, tuple[str, ...]] = {
    "Asset": ("LifecycleStartDate", "LifecycleEndDate"),
    "Contact": ("EmailBouncedDate",),
    "Contract": ("ActivatedDate", "LastApprovedDate"),
    "Order": ("ActivatedDate",),
    "TransactionJournal": ("ActivityDate",),
}
_DATES: dict[str, tuple[str, ...]] = {
    "Asset": ("InstallDate", "PurchaseDate", "UsageEndDate", "ManufactureDate"),
    "Contact": ("Birthdate", "LastActivityDate"),
    "Contract": ("StartDate", "EndDate", "CompanySignedDate", "CustomerSignedDate", "LastActivityDate"),
    "Opportunity": ("CloseDate", "LastActivityDate"),
    "OpportunityLineItem": ("ServiceDate",),
    "Order": ("EffectiveDate", "EndDate", "PoDate", "CompanyAuthorizedDate", "CustomerAuthorizedDate"),
    "OrderItem": ("ServiceDate", "EndDate"),
    "Quote": ("ExpirationDate",),
    "QuoteLineItem": ("ServiceDate",),
    "SBQQ__Subscription__c": tuple(
        f"SBQQ__{name}__c"
        for name in (
            *("StartDate", "EndDate", "SubscriptionStartDate", "SubscriptionEndDate", "TerminatedDate", "RenewedDate"),
            *("SegmentStartDate", "SegmentEndDate"),
        )
    ),
}
_STANDARD: dict[tuple[str, str], str] = {
    **{(entity, name): INSTANT for entity, names in _INSTANTS.items() for name in names},
    **{(entity, name): DATE for entity, names in _DATES.items() for name in names},
}


class FieldKinds:
    """The kinds of fields by object: `told` holds what event schemas say, object -> field -> kind."""

    def __init__(self, told: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._told = told or {}

    def kind(self, entity: str, name: str) -> str:
        """Return DATE, INSTANT or PLAIN for a field of `entity`."""
        found = self._told.get(entity, {}).get(name) or _STANDARD.get((entity, name))
        return found or (INSTANT if name in _EVERYWHERE else PLAIN)
