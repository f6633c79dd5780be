"""Fields of standard objects that their change events lack: no event ever tells that they changed.

Place     snapshot, resync, reconciliation (not read), `fakturo salesforce drift` (not compared) and `check` (a profile
          must not rely on them) -> [this]. A book that held them would be right only until their next change.
Source    reference section 5: difference of the v67 object and change event definitions.
"""

ABSENT_EVERYWHERE = frozenset({"IsDeleted", "SystemModstamp", "LastViewedDate", "LastReferencedDate"})
"""Of every object. IsDeleted is read all the same: it says what a DELETE event says."""

ABSENT: dict[str, frozenset[str]] = {
    "Account": frozenset({"IsPersonAccount", "MasterRecordId", "IsPartner", "IsCustomerPortal"}),
    "Asset": frozenset({"ProductCode", "ProductFamily", "StockKeepingUnit", "AssetLevel"}),
    "Contract": frozenset({"RecordTypeId"}),
    "Opportunity": frozenset({"Fiscal", "FiscalQuarter", "FiscalYear", "PushCount", "RecordTypeId"}),
    "OrderItem": frozenset({"TotalPrice"}),
    "PricebookEntry": frozenset({"Name", "ProductCode"}),
    "Quote": frozenset({"AccountId", "GrandTotal", "Discount"}),
    "QuoteLineItem": frozenset({"ListPrice", "Subtotal", "TotalPrice"}),
}


def is_told_by_events(entity: str, name: str) -> bool:
    """Return whether a change of the field `name` of `entity` comes in a change event, as far as is known."""
    return name not in ABSENT_EVERYWHERE and name not in ABSENT.get(entity, ())
