"""What an order and its account agree on beside their items: amounts, currency, seller, coupons, address."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from fakturo.consumers.contracts.accounts import AccountDefaults, map_account
from fakturo.schemas.events.contracts import Commitment
from tests.consumers.contracts.one_order import ACCOUNT, CALLS, ITEM, NEW_YEAR, OFFERS, PROFILE, Org, histories_of


def test_what_the_order_agrees_on_is_carried(crm: SimpleNamespace) -> None:
    order = {
        "Fakturo_Seller__c": "DK", "CurrencyIsoCode": "EUR", "Fakturo_Coupons__c": "TEN; FIVE;TEN",
        "Fakturo_Commitment_Amount__c": "1200.50", "Fakturo_Commitment_Months__c": "12", "Fakturo_Spend_Cap__c": "500",
        "Fakturo_Billing_Threshold__c": "250", "Fakturo_Loyalty__c": "MILES", "Fakturo_Approval_Required__c": "true",
    }  # fmt: skip
    subscription, problems = Org(crm, order).map()
    assert problems == []
    assert subscription is not None
    assert subscription.seller == OFFERS.sellers["DK"]
    assert [coupon.code for coupon in subscription.coupons] == ["TEN", "FIVE"]
    assert subscription.commitment == Commitment(amount_minor=120_050, start_on=NEW_YEAR, end_on=date(2027, 1, 1))
    assert (subscription.spend_cap_minor, subscription.billing_threshold_minor) == (50_000, 25_000)
    assert subscription.loyalty == OFFERS.loyalty["MILES"]
    assert subscription.approval_required


def test_an_order_in_another_currency_has_the_prices_of_that_currency(crm: SimpleNamespace) -> None:
    subscription, problems = Org(crm, {"Fakturo_Seller__c": "DK"}).map()  # the seller's currency, for want of another
    assert problems == []
    assert subscription is not None
    assert subscription.currency == "DKK"
    assert [version.price["currency"] for version in subscription.items[0].prices] == ["DKK"]
    _, missing = Org(crm, {"CurrencyIsoCode": "DKK"}, Product2Id=CALLS).map()
    assert missing[0] == f"OrderItem {ITEM} has the product CALLS, which has no price in DKK; add one to the catalog."


@pytest.mark.parametrize(
    ("order", "sentence", "billed"),
    [
        ({"Fakturo_Seller__c": "SE"}, "'SE' in Fakturo_Seller__c, which the catalog does not know (DK)", False),
        ({"Fakturo_Coupons__c": "TEN;NONE"}, "has the coupon 'NONE' in Fakturo_Coupons__c", True),
        ({"Fakturo_Coupons__c": "FIVE", "CurrencyIsoCode": "DKK"}, "coupon FIVE, which is in EUR, not in DKK", True),
        ({"Fakturo_Loyalty__c": "STARS"}, "has the loyalty programme 'STARS'", True),
        ({"Fakturo_Spend_Cap__c": "0.001"}, "has 0.001 in Fakturo_Spend_Cap__c", True),
        ({"Fakturo_Commitment_Amount__c": "5"}, "commits to an amount, but for no time", True),
        ({"Fakturo_Auto_Renew__c": True}, "renews itself, but has no term", True),
        ({"Fakturo_Paused_Until__c": "2026-03-01"}, "has a pause that ends but does not begin", True),
        ({"Fakturo_Term_Months__c": "1.5"}, "has 1.5 in Fakturo_Term_Months__c", True),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_said_and_the_rest_goes_on(
    crm: SimpleNamespace, order: dict[str, Any], sentence: str, billed: bool
) -> None:
    subscription, problems = Org(crm, order).map()
    assert [sentence in problem for problem in problems] == [True]
    assert (subscription is not None) == billed


def test_an_account_says_where_it_lives_and_that_it_is_exempt(crm: SimpleNamespace) -> None:
    change = crm.change(
        "Account", ACCOUNT, "2026-01-01T00:00:00Z", AccountNumber="A", Name="A", BillingStreet="Vestergade 1\n2. sal",
        BillingPostalCode="8000", BillingCity="Aarhus C", Fakturo_Tax_Exempt__c=True,
        Fakturo_Split_By_Cost_Centre__c="true",
    )  # fmt: skip
    defaults = AccountDefaults(timezone="UTC", currency="EUR")
    account, problems = map_account(histories_of([change])[ACCOUNT], "A", PROFILE, defaults)
    assert problems == []
    assert account is not None
    version = account.versions[0]
    assert version.address == "Vestergade 1, 2. sal, 8000 Aarhus C"
    assert (version.tax_exempt, version.split_by_cost_centre, version.bill_to) == (True, True, None)
