"""What the org makes itself; expected values from the Object Reference, or worked out beside them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.cli.sandbox.calendar import add_months_less_a_day
from fakturo.cli.sandbox.numbers import plain
from fakturo.cli.sandbox.org import SandboxOrg


@pytest.fixture
def org() -> SandboxOrg:
    org = SandboxOrg()
    org.clock.freeze(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    return org


def _insert(org: SandboxOrg, entity: str, **values: Any) -> str:
    with org.transaction() as transaction:
        return transaction.insert(entity, values)


def _update(org: SandboxOrg, entity: str, record_id: str, **values: Any) -> None:
    with org.transaction() as transaction:
        transaction.update(entity, record_id, values)


@pytest.mark.parametrize(
    ("start_on", "months", "end_on"),
    [
        ("2026-01-15", 12, "2027-01-14"),
        ("2026-01-01", 1, "2026-01-31"),
        ("2026-01-31", 1, "2026-02-27"),  # a month later is 28 February, a day less the 27th
        ("2028-02-29", 12, "2029-02-27"),
        ("2025-12-01", 3, "2026-02-28"),
    ],
)
def test_a_contract_ends_the_day_before_its_term_is_over(start_on: str, months: int, end_on: str) -> None:
    assert add_months_less_a_day(start_on, months) == end_on


def test_a_contracts_end_follows_its_start_and_term(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a")
    contract = _insert(org, "Contract", AccountId=account, StartDate="2026-01-15", ContractTerm=12)
    assert org.tables["Contract"][contract]["EndDate"] == "2027-01-14"
    _update(org, "Contract", contract, ContractTerm=24)
    assert org.tables["Contract"][contract]["EndDate"] == "2028-01-14"
    _update(org, "Contract", contract, ContractTerm=None)
    assert org.tables["Contract"][contract]["EndDate"] is None


def test_an_activation_sets_the_code_and_the_instant_once(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a")
    order = _insert(org, "Order", AccountId=account, EffectiveDate="2026-01-01")
    assert org.tables["Order"][order]["StatusCode"] == "Draft"
    _update(org, "Order", order, Status="Activated")
    activated = org.tables["Order"][order]
    assert (activated["StatusCode"], activated["ActivatedDate"]) == ("Activated", "2026-01-02T03:04:05.000+0000")
    org.clock.advance(3600)
    _update(org, "Order", order, PoNumber="1")
    assert org.tables["Order"][order]["ActivatedDate"] == "2026-01-02T03:04:05.000+0000"


def test_numbers_count_up_with_their_zeros(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a")
    orders = [_insert(org, "Order", AccountId=account, EffectiveDate="2026-01-01") for _ in range(2)]
    assert [org.tables["Order"][one]["OrderNumber"] for one in orders] == ["00000001", "00000002"]
    subscription = _insert(org, "SBQQ__Subscription__c", SBQQ__Account__c=account)
    assert org.tables["SBQQ__Subscription__c"][subscription]["Name"] == "SUB-0000001"


def test_line_totals_are_rounded_once_and_add_up_in_the_order(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a")
    order = _insert(org, "Order", AccountId=account, EffectiveDate="2026-01-01")
    one = _insert(org, "OrderItem", OrderId=order, Quantity="0.5", UnitPrice="0.05")  # 0.025 -> 0.03
    _insert(org, "OrderItem", OrderId=order, Quantity="-1.5", UnitPrice="3.33")  # -4.995 -> -5.00
    assert org.tables["OrderItem"][one]["TotalPrice"] == Decimal("0.03")
    assert org.tables["Order"][order]["TotalAmount"] == Decimal("-4.97")


def test_a_line_takes_product_and_prices_from_its_price_book_entry(org: SandboxOrg) -> None:
    book = next(iter(org.tables["Pricebook2"]))
    product = _insert(org, "Product2", Name="Seat", ProductCode="SEAT")
    entry = _insert(org, "PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=30)
    account = _insert(org, "Account", Name="a")
    order = _insert(org, "Order", AccountId=account, EffectiveDate="2026-01-01", Pricebook2Id=book)
    line = org.tables["OrderItem"][_insert(org, "OrderItem", OrderId=order, PricebookEntryId=entry, Quantity=2)]
    assert (line["Product2Id"], line["ListPrice"], line["TotalPrice"]) == (product, 30, 60)
    assert org.tables["PricebookEntry"][entry]["ProductCode"] == "SEAT"


def test_a_stage_sets_probability_and_outcome_and_leaves_a_history(org: SandboxOrg) -> None:
    # Object Reference and a new org's stages: Negotiation/Review 90 %, Closed Won 100 %.
    deal = _insert(org, "Opportunity", Name="d", StageName="Negotiation/Review", Amount=100, CloseDate="2026-02-01")
    row = org.tables["Opportunity"][deal]
    assert (row["Probability"], row["ExpectedRevenue"], row["IsClosed"], row["IsWon"]) == (90, 90, False, False)
    assert (row["FiscalYear"], row["FiscalQuarter"], row["Fiscal"]) == (2026, 1, "2026 1")
    _update(org, "Opportunity", deal, NextStep="call")
    _update(org, "Opportunity", deal, StageName="Closed Won")
    row = org.tables["Opportunity"][deal]
    assert (row["Probability"], row["ForecastCategory"], row["IsClosed"], row["IsWon"]) == (100, "Closed", True, True)
    history = [(one["StageName"], one["Amount"]) for one in org.tables["OpportunityHistory"].values()]
    assert history == [("Negotiation/Review", 100), ("Closed Won", 100)]


def test_products_of_an_opportunity_make_its_amount(org: SandboxOrg) -> None:
    deal = _insert(org, "Opportunity", Name="d", StageName="Prospecting", Amount=1, CloseDate="2026-02-01")
    _insert(org, "OpportunityLineItem", OpportunityId=deal, Quantity=3, UnitPrice=100, Discount=10)
    assert org.tables["Opportunity"][deal]["Amount"] == 270
    assert org.tables["Opportunity"][deal]["HasOpportunityLineItem"] is True


def test_a_quotes_totals_come_from_its_lines_tax_and_shipping(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a")
    deal = _insert(org, "Opportunity", Name="d", AccountId=account, StageName="Prospecting", CloseDate="2026-02-01")
    quote = _insert(org, "Quote", Name="q", OpportunityId=deal, Tax=5, ShippingHandling=2)
    _insert(org, "QuoteLineItem", QuoteId=quote, Quantity=2, UnitPrice=50, Discount=10)
    row = org.tables["Quote"][quote]
    assert (row["Subtotal"], row["TotalPrice"], row["GrandTotal"], row["LineItemCount"]) == (100, 90, 97, 1)
    assert row["AccountId"] == account


def test_an_asset_shows_its_product_and_its_place_in_the_tree(org: SandboxOrg) -> None:
    product = _insert(org, "Product2", Name="Seat", ProductCode="SEAT", Family="Software", StockKeepingUnit="S-1")
    account = _insert(org, "Account", Name="a")
    root = _insert(org, "Asset", Name="r", AccountId=account, Product2Id=product)
    leaf = org.tables["Asset"][_insert(org, "Asset", Name="l", AccountId=account, ParentId=root)]
    row = org.tables["Asset"][root]
    assert (row["ProductCode"], row["ProductFamily"], row["StockKeepingUnit"]) == ("SEAT", "Software", "S-1")
    assert (row["AssetLevel"], leaf["AssetLevel"], leaf["RootAssetId"]) == (1, 2, root)


def test_country_names_and_codes_keep_in_step(org: SandboxOrg) -> None:
    account = _insert(org, "Account", Name="a", BillingCountryCode="DK", ShippingCountry="Germany")
    row = org.tables["Account"][account]
    assert (row["BillingCountry"], row["ShippingCountryCode"]) == ("Denmark", "DE")


def test_a_new_record_has_an_owner_and_the_corporate_currency(org: SandboxOrg) -> None:
    row = org.tables["Account"][_insert(org, "Account", Name="a")]
    assert (row["OwnerId"], row["CurrencyIsoCode"]) == (org.user_id, "USD")
    other = org.tables["Account"][_insert(org, "Account", Name="b", CurrencyIsoCode="DKK")]
    assert other["CurrencyIsoCode"] == "DKK"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_number_is_written_exactly_and_always_with_a_point(value: Decimal) -> None:
    text = format(plain(value), "f")
    assert Decimal(text) == value
    assert "." in text
    assert text.endswith(".0") or not text.endswith("0")
