"""The values that an org makes itself: defaults, numbers, states, line and parent totals, opportunity history.

Place     writing.py -> [this] -> rows
Rules     Amounts are rounded to the field's scale half away from zero. A parent's total counts its live lines. What a
          client must not set, it cannot: those fields are `calculated` or not createable in objects/*.yaml.
Source    Object Reference: Order, OrderItem, Contract, Opportunity, OpportunityLineItem, Quote, OpportunityHistory.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from fakturo.cli.sandbox.calendar import add_months_less_a_day
from fakturo.cli.sandbox.countries import fill_country
from fakturo.cli.sandbox.metadata import PERSON_NAME_PARTS, SObject
from fakturo.cli.sandbox.rows import Row, total

if TYPE_CHECKING:
    from fakturo.cli.sandbox.org import SandboxOrg
    from fakturo.cli.sandbox.writing import Writing

Names = Iterable[str]
_CENT = Decimal("0.01")

STATUS_CODES = {
    "Draft": "Draft",
    "Activated": "Activated",
    "In Approval Process": "InApproval",
    "Canceled": "Canceled",
    "Cancelled": "Canceled",
    "Expired": "Expired",
    "Terminated": "Terminated",
    "Superseded": "Superseded",
}
"""The category of an Order's or a Contract's status; any other status is a Draft, as in a new org."""

STAGES: dict[str, tuple[int, str, bool, bool]] = {
    "Prospecting": (10, "Pipeline", False, False),
    "Qualification": (10, "Pipeline", False, False),
    "Needs Analysis": (20, "Pipeline", False, False),
    "Value Proposition": (50, "Pipeline", False, False),
    "Id. Decision Makers": (60, "Pipeline", False, False),
    "Perception Analysis": (70, "Pipeline", False, False),
    "Proposal/Price Quote": (75, "Pipeline", False, False),
    "Negotiation/Review": (90, "Pipeline", False, False),
    "Closed Won": (100, "Closed", True, True),
    "Closed Lost": (0, "Omitted", True, False),
}
"""Stage -> probability in percent, forecast category, closed, won: the stages that a new org has."""


def set_defaults(org: "SandboxOrg", entity: SObject, row: Row, user_id: str) -> None:
    """Fill what a new record gets when nobody says otherwise: defaults, owner, currency, automatic numbers."""
    for name, value in entity.defaults:
        row.setdefault(name, value)
    if "OwnerId" in entity.fields:
        row.setdefault("OwnerId", user_id)
    if "CurrencyIsoCode" in entity.fields:
        row.setdefault("CurrencyIsoCode", org.currency)
    table = org.tables[entity.name]
    for name, form in entity.auto_numbers:
        table.auto_numbers[name] = table.auto_numbers.get(name, 0) + 1
        row[name] = _numbered(form, table.auto_numbers[name])


def _numbered(form: str, number: int) -> str:
    """Return `INV-{0000}` with 7 as `INV-0007`."""
    before, _, rest = form.partition("{")
    digits, _, after = rest.partition("}")
    return f"{before}{number:0{len(digits)}d}{after}"


def derive(org: "SandboxOrg", entity: SObject, row: Row, before: Row | None, names: Names) -> None:
    """Set what follows from the values `names` that were written to `row`."""
    written = set(names)
    if PERSON_NAME_PARTS[2] in entity.fields and entity.fields[PERSON_NAME_PARTS[2]].compound == "Name":
        row["Name"] = " ".join(row[part] for part in PERSON_NAME_PARTS[1:] if row[part])
    for prefix in entity.address_prefixes:
        fill_country(row, prefix, written)
    act = _DERIVATIONS.get(entity.name)
    if act is not None:
        act(org, row, before, written)


def _status(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    code = STATUS_CODES.get(row["Status"], "Draft")
    if code == "Activated" and (before is None or before["StatusCode"] != "Activated"):
        row["ActivatedDate"] = row["ActivatedDate"] or org.present_stamp()
        row["ActivatedById"] = row["OwnerId"]
    row["StatusCode"] = code


def _contract(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    _status(org, row, before, written)
    if row["StartDate"] and row["ContractTerm"]:
        row["EndDate"] = add_months_less_a_day(row["StartDate"], row["ContractTerm"])
    else:
        row.pop("EndDate", None)


def _order_item(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    _price_from_entry(org, row)
    if before is None:
        row["AvailableQuantity"] = row["Quantity"]
    _line_total(row, Decimal(0))


def _opportunity_line(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    _price_from_entry(org, row)
    product = _product(org, row)
    deal = org.live("Opportunity", row["OpportunityId"])
    if product is not None and deal is not None:
        row["Name"] = f"{deal['Name']} {product['Name']}"
        _copy(product, row, "ProductCode")
    if row["UnitPrice"] is None and "TotalPrice" in written and row["Quantity"]:
        row["UnitPrice"] = (row["TotalPrice"] / row["Quantity"]).quantize(_CENT, ROUND_HALF_UP)
    _line_total(row, row["Discount"] or Decimal(0))


def _quote_line(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    _price_from_entry(org, row)
    if row["Quantity"] is not None and row["UnitPrice"] is not None:
        row["Subtotal"] = (row["Quantity"] * row["UnitPrice"]).quantize(_CENT, ROUND_HALF_UP)
    _line_total(row, row["Discount"] or Decimal(0))


def _price_from_entry(org: "SandboxOrg", row: Row) -> None:
    entry = org.live("PricebookEntry", row["PricebookEntryId"]) if row["PricebookEntryId"] else None
    if entry is None:
        return
    row.setdefault("Product2Id", entry["Product2Id"])
    row.setdefault("ListPrice", entry["UnitPrice"])
    row.setdefault("UnitPrice", entry["UnitPrice"])


def _line_total(row: Row, discount_percent: Decimal) -> None:
    if row["Quantity"] is None or row["UnitPrice"] is None:
        row.pop("TotalPrice", None)
        return
    gross = row["Quantity"] * row["UnitPrice"]
    row["TotalPrice"] = (gross * (100 - discount_percent) / 100).quantize(_CENT, ROUND_HALF_UP)


def _pricebook_entry(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    product = _product(org, row)
    if product is not None:
        _copy(product, row, "Name", "ProductCode")


def _asset(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    product = _product(org, row) or Row()
    _copy(product, row, "ProductCode", "StockKeepingUnit")
    _set(row, "ProductFamily", product["Family"])
    parent = org.live("Asset", row["ParentId"]) if row["ParentId"] else None
    row["AssetLevel"] = 1 if parent is None else parent["AssetLevel"] + 1
    row["RootAssetId"] = row["Id"] if parent is None else parent["RootAssetId"]


def _product(org: "SandboxOrg", row: Row) -> Row | None:
    return org.live("Product2", row["Product2Id"]) if row["Product2Id"] else None


def _copy(source: Row, row: Row, *names: str) -> None:
    for name in names:
        _set(row, name, source[name])


def _set(row: Row, name: str, value: Any) -> None:
    if value is None:
        row.pop(name, None)
    else:
        row[name] = value


def _opportunity(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    stage = STAGES.get(row["StageName"])
    if stage is not None and "StageName" in written:
        probability, category, closed, won = stage
        row.update(ForecastCategory=category, IsClosed=closed, IsWon=won)
        if "Probability" not in written:
            row["Probability"] = Decimal(probability)
    if before is not None and before["StageName"] != row["StageName"]:
        row["LastStageChangeDate"] = org.present_stamp()
    if row["CloseDate"]:
        year, month = int(row["CloseDate"][:4]), int(row["CloseDate"][5:7])
        quarter = (month + 2) // 3
        row.update(FiscalYear=year, FiscalQuarter=quarter, Fiscal=f"{year} {quarter}")
    if row["Amount"] is not None and row["Probability"] is not None:
        row["ExpectedRevenue"] = (row["Amount"] * row["Probability"] / 100).quantize(_CENT, ROUND_HALF_UP)
    else:
        row.pop("ExpectedRevenue", None)


def _quote(org: "SandboxOrg", row: Row, before: Row | None, written: set[str]) -> None:
    opportunity = org.live("Opportunity", row["OpportunityId"]) if row["OpportunityId"] else None
    if opportunity is not None and opportunity["AccountId"]:
        row["AccountId"] = opportunity["AccountId"]
    total_price = row["TotalPrice"] or Decimal(0)
    row["GrandTotal"] = total_price + (row["Tax"] or Decimal(0)) + (row["ShippingHandling"] or Decimal(0))


_Derivation = Callable[["SandboxOrg", Row, "Row | None", set[str]], None]
_DERIVATIONS: dict[str, _Derivation] = {
    "Order": _status,
    "Contract": _contract,
    "OrderItem": _order_item,
    "OpportunityLineItem": _opportunity_line,
    "QuoteLineItem": _quote_line,
    "PricebookEntry": _pricebook_entry,
    "Opportunity": _opportunity,
    "Quote": _quote,
    "Asset": _asset,
}

TOTALS: dict[str, tuple[str, str]] = {
    "OrderItem": ("Order", "OrderId"),
    "OpportunityLineItem": ("Opportunity", "OpportunityId"),
    "QuoteLineItem": ("Quote", "QuoteId"),
}
"""Line -> the parent that sums it up, and the field that names the parent."""


def parents_with_totals(entity: SObject, before: Row | None, row: Row | None) -> Iterator[tuple[str, str]]:
    """Yield the parents whose totals a write may change, as (object, id)."""
    if entity.name in TOTALS:
        parent, field = TOTALS[entity.name]
        for one in (before, row):
            if one is not None and one[field] is not None:
                yield parent, one[field]


def totals(org: "SandboxOrg", entity_name: str, row: Row) -> dict[str, Any]:
    """Return the totals of a parent over its live lines."""
    line, field = next((line, field) for line, (parent, field) in TOTALS.items() if parent == entity_name)
    table = org.tables[line]
    lines = [table[one] for one in table.indexes[field].ids(row["Id"]) if not table[one]["IsDeleted"]]
    whole = total(lines, "TotalPrice")
    if entity_name == "Order":
        return {"TotalAmount": whole}
    if entity_name == "Quote":
        return {"TotalPrice": whole, "Subtotal": total(lines, "Subtotal"), "LineItemCount": len(lines)}
    # An amount that a salesperson typed stands until there are products.
    return {"HasOpportunityLineItem": bool(lines), **({"Amount": whole} if lines else {})}


_TRACKED = ("StageName", "Amount", "CloseDate", "Probability")


def write_history(writing: "Writing", entity: SObject, before: Row | None, row: Row | None) -> None:
    """Add a line to the stage history of an opportunity whose stage, amount, date or probability changed."""
    if entity.name != "Opportunity" or row is None or row["IsDeleted"]:
        return
    if before is not None and all(before[name] == row[name] for name in _TRACKED):
        return
    copied = (*_TRACKED, "ForecastCategory", "ExpectedRevenue", "CurrencyIsoCode")
    earlier = before if before is not None else Row()
    writing.system_insert(
        "OpportunityHistory",
        {name: row[name] for name in copied}
        | {"OpportunityId": row["Id"], "PrevAmount": earlier["Amount"], "PrevCloseDate": earlier["CloseDate"]},
    )
