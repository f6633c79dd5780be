"""How an item is billed and watched: what it says itself, else what its order or product says."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest

from fakturo.schemas.events.contracts import AlertThreshold
from tests.consumers.contracts.one_order import CALLS, Org

D = Decimal


def test_billing_of_the_item_goes_before_that_of_the_product(crm: SimpleNamespace) -> None:
    fields = {
        "Fakturo_Billing_Months__c": "12", "Fakturo_Billing__c": "Advance", "Fakturo_Anchor__c": "2026-02-28",
        "Fakturo_Trial_End__c": "2026-01-31", "Fakturo_Price_Change__c": "next_period", "Fakturo_Cost_Centre__c": "R&D",
    }  # fmt: skip
    (item,) = Org(crm, **fields).items()
    assert (item.billing_months, item.billing, item.anchor_on) == (12, "advance", date(2026, 2, 28))
    assert (item.trial_until_on, item.price_change, item.cost_centre) == (date(2026, 2, 1), "next_period", "R&D")


def test_an_order_can_co_term_its_items_and_name_their_cost_centre(crm: SimpleNamespace) -> None:
    order = {"EffectiveDate": "2026-01-31", "Fakturo_Cost_Centre__c": "HQ"}
    (item,) = Org(crm, order, ServiceDate="2026-03-15", Fakturo_Anchor__c="subscription_start").items()
    assert (item.anchor_on, item.service_start_on, item.cost_centre) == (date(2026, 1, 31), date(2026, 3, 15), "HQ")


def test_an_allowance_comes_from_the_product(crm: SimpleNamespace) -> None:
    (item,) = Org(crm, Product2Id=CALLS).items()
    assert (item.allowance_months, item.billing_months) == (12, 1)


def test_an_item_is_watched_for_what_it_says_else_for_what_its_product_says(crm: SimpleNamespace) -> None:
    hundred, listed = AlertThreshold(quantity=D(100)), AlertThreshold(amount_minor=50_000, currency="EUR")
    (item,) = Org(crm, Product2Id=CALLS).items()
    assert item.alerts == (hundred, listed)
    (item,) = Org(crm, Product2Id=CALLS, Fakturo_Alert_Quantities__c="5000; 1000.5").items()
    assert item.alerts == (AlertThreshold(quantity=D("1000.5")), AlertThreshold(quantity=D(5000)), listed)
    (item,) = Org(crm, Product2Id=CALLS, Fakturo_Alert_Amounts__c="250;250.00; 10").items()
    assert item.alerts == (
        hundred,
        AlertThreshold(amount_minor=1000, currency="EUR"),
        AlertThreshold(amount_minor=25_000, currency="EUR"),
    )
    (item,) = Org(crm, Product2Id=CALLS, Fakturo_Alert_Quantities__c="None", Fakturo_Alert_Amounts__c="none").items()
    assert item.alerts == ()


def test_what_has_no_meter_is_not_watched(crm: SimpleNamespace) -> None:
    (item,) = Org(crm, Fakturo_Alert_Quantities__c="5").items()
    assert item.alerts == ()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"Product2Id": CALLS, "Fakturo_Alert_Quantities__c": "10, 20"}, "it must be numbers above 0"),
        ({"Product2Id": CALLS, "Fakturo_Alert_Quantities__c": "0"}, "has '0' in Fakturo_Alert_Quantities__c"),
        ({"Product2Id": CALLS, "Fakturo_Alert_Amounts__c": "0.001"}, "EUR has at most 2 decimals"),
        (
            {"Product2Id": CALLS, "Fakturo_Alert_Amounts__c": ";".join(map(str, range(1, 21)))},
            "has 21 alerts; at most 20",
        ),
        ({"Fakturo_Billing_Months__c": "1.5"}, "has 1.5 in Fakturo_Billing_Months__c; it must be a whole number"),
        ({"Fakturo_Billing_Months__c": "5"}, "anchor calendar has no periods of 5 months"),
        ({"Fakturo_Billing__c": "weekly"}, "it must be one of arrears, advance"),
        ({"Fakturo_Anchor__c": "the 15th"}, "it must be calendar, service_start, subscription_start or a date"),
        ({"Product2Id": CALLS, "Fakturo_Billing__c": "advance"}, "billing advance cannot be"),
    ],
)
def test_billing_that_cannot_be_is_said_in_a_sentence(
    crm: SimpleNamespace, fields: dict[str, str], sentence: str
) -> None:
    _, problems = Org(crm, **fields).map()
    assert sentence in problems[0]
