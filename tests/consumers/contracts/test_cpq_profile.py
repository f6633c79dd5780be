"""Salesforce CPQ: a Contract with its SBQQ__Subscription__c lines, worked out by hand."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.engine.catalog import parse_catalog
from fakturo.schemas.events.contracts import Subscription, SubscriptionItem
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.contracts.desk import mapped

CPQ = load_profile("cpq")
D = Decimal
AT = "2025-12-15T12:00:00Z"
ACCOUNT, CONTRACT, PRODUCT, CALLS = (
    "001NY0000000002YAA",
    "800NY0000000001YAA",
    "01tNY0000000001YAA",
    "01tNY0000000002YAA",
)
LINE, MORE, LESS = "a0LNY0000000001", "a0LNY0000000002", "a0LNY0000000003"

OFFERS = Offers.of(
    parse_catalog(
        {
            "currency": "EUR",
            "meters": {"calls": {"event_type": "api.call", "aggregation": "count"}},
            "products": {
                "SEATS": {
                    "name": "Seats",
                    "prices": [
                        {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "10", "licensed": True}
                    ],
                },
                "CALLS": {
                    "name": "Calls",
                    "meter": "calls",
                    "prices": [{"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "1"}],
                },
            },
        }
    )
)


class Org:
    """One activated contract for 2026; `line` adds a subscription line."""

    def __init__(self, crm: SimpleNamespace, **product: Any) -> None:
        self._change = crm.change
        self.ids = {name: long_id(name) for name in (LINE, MORE, LESS)}
        contract = {"AccountId": ACCOUNT, "Status": "Activated", "StartDate": "2026-01-01", "EndDate": "2026-12-31"}
        self.changes = [
            crm.change("Account", ACCOUNT, AT, AccountNumber="A", Name="A"),
            crm.change("Contract", CONTRACT, AT, **contract),
            crm.change("Product2", PRODUCT, AT, **{"ProductCode": "SEATS", "Name": "Seats", **product}),
            crm.change("Product2", CALLS, AT, ProductCode="CALLS"),
        ]

    def line(self, name: str, at: str = AT, **values: Any) -> "Org":
        known = {
            "SBQQ__Contract__c": CONTRACT,
            "SBQQ__Product__c": PRODUCT,
            "SBQQ__Quantity__c": "10.00",
            "SBQQ__BillingFrequency__c": "Monthly",
            "SBQQ__BillingType__c": "Advance",
            "SBQQ__ChargeType__c": "Recurring",
            "SBQQ__ListPrice__c": "10.00",
            "SBQQ__NetPrice__c": "120.00",
            "SBQQ__ProrateMultiplier__c": "12",
        }
        given = {f"SBQQ__{key}__c": value for key, value in values.items()}
        self.changes.append(self._change("SBQQ__Subscription__c", self.ids[name], at, **{**known, **given}))
        return self

    def set(self, name: str, at: str, **values: Any) -> "Org":
        given = {f"SBQQ__{key}__c": value for key, value in values.items()}
        self.changes.append(self._change("SBQQ__Subscription__c", self.ids[name], f"{at}T12:00:00Z", "UPDATE", **given))
        return self

    def amend(self, name: str, start: str, quantity: str, multiplier: str, **values: Any) -> "Org":
        """Add a line that changes LINE's quantity from `start` on, at the same price unless `values` say otherwise."""
        net = str(D(multiplier) * 10)
        given = {"RevisedSubscription": self.ids[LINE], "SubscriptionStartDate": start, "Quantity": quantity}
        return self.line(
            name, f"{start}T08:00:00Z", **{**given, "ProrateMultiplier": multiplier, "NetPrice": net, **values}
        )

    def map(self) -> tuple[Subscription | None, list[str]]:
        return mapped(self.changes, CONTRACT, CPQ, OFFERS)

    def items(self) -> list[SubscriptionItem]:
        subscription, problems = self.map()
        assert problems == []
        assert subscription is not None
        return list(subscription.items)


def quantities(item: SubscriptionItem) -> list[tuple[date, Decimal]]:
    return [(terms.effective_from, terms.quantity) for terms in item.terms]


def test_a_contract_is_the_subscription_and_its_lines_are_the_items(crm: SimpleNamespace) -> None:
    subscription, problems = Org(crm).line(LINE).map()
    assert problems == []
    assert subscription is not None
    assert (subscription.subscription_id, subscription.account) == (CONTRACT, "A")
    assert (subscription.started_on, subscription.ended_on) == (date(2026, 1, 1), date(2027, 1, 1))
    (item,) = subscription.items
    assert (item.product_code, item.billing, item.billing_months) == ("SEATS", "advance", 1)
    assert (item.service_start_on, item.service_end_on) == (date(2026, 1, 1), date(2027, 1, 1))
    # 120.00 for 12 months is 10.00 a month: the list price, so not a price of its own.
    assert [(terms.quantity, terms.own_unit_amount) for terms in item.terms] == [(D(10), None)]


@pytest.mark.parametrize(
    ("frequency", "months"), [("Monthly", 1), ("Quarterly", 3), ("Semiannual", 6), ("Annual", 12), (None, 1)]
)
def test_the_billing_frequency_gives_the_months_and_the_price_of_a_period(
    crm: SimpleNamespace, frequency: str | None, months: int
) -> None:
    # 108.00 for 12 months is 9.00 a month, whatever period it is billed in.
    (item,) = Org(crm).line(LINE, NetPrice="108.00", BillingFrequency=frequency).items()
    assert item.billing_months == months
    assert item.terms[0].own_unit_amount == D(9) * months


def test_a_product_priced_by_the_year_costs_a_twelfth_a_month(crm: SimpleNamespace) -> None:
    # A year is the product's term: list 120.00 a year; net 150.00 for a year and a half (multiplier 1.5) is 100.00 a
    # year, 8.333333 a month.
    org = Org(crm, SBQQ__SubscriptionTerm__c="12")
    (item,) = org.line(LINE, ListPrice="120.00", NetPrice="150.00", ProrateMultiplier="1.5").items()
    assert item.terms[0].own_unit_amount == D("8.333333")


def test_a_one_time_charge_is_billed_once_at_its_net_price(crm: SimpleNamespace) -> None:
    (item,) = (
        Org(crm).line(LINE, ChargeType="One-Time", BillingFrequency=None, NetPrice="7", ProrateMultiplier="1").items()
    )
    assert (item.billing_months, item.terms[0].own_unit_amount) == (0, D(7))


def test_a_terminated_line_ends_on_that_day_whatever_its_end_date(crm: SimpleNamespace) -> None:
    org = Org(crm).line(LINE, SubscriptionEndDate="2026-10-31", EndDate="2026-10-31")
    assert org.items()[0].service_end_on == date(2026, 11, 1)
    assert org.set(LINE, "2026-05-02", TerminatedDate="2026-05-31").items()[0].service_end_on == date(2026, 6, 1)


def test_amended_lines_add_up_in_the_line_that_they_revise(crm: SimpleNamespace) -> None:
    org = Org(crm).line(LINE).amend(MORE, "2026-04-01", "5", "9").amend(LESS, "2026-07-01", "-3", "6")
    (item,) = org.items()
    assert item.subscription_item == org.ids[LINE]
    assert quantities(item) == [(date(2026, 1, 1), D(10)), (date(2026, 4, 1), D(15)), (date(2026, 7, 1), D(12))]


def test_an_amendment_that_ends_early_gives_back_what_it_added(crm: SimpleNamespace) -> None:
    org = Org(crm).line(LINE).amend(MORE, "2026-04-01", "5", "3", SubscriptionEndDate="2026-06-30")
    assert quantities(org.items()[0]) == [
        (date(2026, 1, 1), D(10)),
        (date(2026, 4, 1), D(15)),
        (date(2026, 7, 1), D(10)),
    ]


def test_an_amendment_of_an_amendment_belongs_to_the_first_line(crm: SimpleNamespace) -> None:
    org = Org(crm).line(LINE).amend(MORE, "2026-04-01", "5", "9")
    org.amend(LESS, "2026-07-01", "-5", "6", RevisedSubscription=org.ids[MORE])
    assert [quantity for _, quantity in quantities(org.items()[0])] == [D(10), D(15), D(10)]


def test_more_at_another_price_is_billed_as_an_item_of_its_own(crm: SimpleNamespace) -> None:
    org = Org(crm).line(LINE).amend(MORE, "2026-04-01", "5", "9", NetPrice="72")  # 8.00 a month instead of 10.00
    first, more = org.items()
    assert [quantity for _, quantity in quantities(first)] == [D(10)]
    assert (more.terms[0].quantity, more.terms[0].own_unit_amount) == (D(5), D(8))
    assert more.service_start_on == date(2026, 4, 1)


def test_less_at_another_price_or_than_there_is_is_a_sentence(crm: SimpleNamespace) -> None:
    _, problems = Org(crm).line(LINE).amend(LESS, "2026-04-01", "-5", "9", NetPrice="72").map()
    assert "takes away from an item that costs something else" in problems[0]
    subscription, problems = Org(crm).line(LINE).amend(LESS, "2026-04-01", "-11", "9").map()
    assert "takes away more than there is: -1.00 would be left on 2026-04-01" in problems[0]
    assert subscription is not None
    assert [quantity for _, quantity in quantities(subscription.items[0])] == [D(10)]
    _, problems = Org(crm).amend(LESS, "2026-04-01", "-5", "9").map()
    assert "that is not there then" in problems[0]


def test_an_amended_metered_line_does_not_count_usage_twice(crm: SimpleNamespace) -> None:
    usage = {"Product": CALLS, "ChargeType": "Usage", "BillingType": "Arrears"}
    items = Org(crm).line(LINE, **usage).amend(MORE, "2026-04-01", "5", "9", **usage).items()
    assert [item.meter.code for item in items if item.meter] == ["calls"]


def test_a_frequency_that_the_profile_does_not_know_is_a_sentence(crm: SimpleNamespace) -> None:
    _, problems = Org(crm).line(LINE, BillingFrequency="Invoice Plan").map()
    assert "it needs a number, not 'Invoice Plan'" in problems[0]


def test_a_product_that_the_catalog_does_not_know_is_billed_by_its_list_price(crm: SimpleNamespace) -> None:
    (item,) = Org(crm, ProductCode="NEW", Name="New").line(LINE, BillingFrequency="Quarterly", NetPrice="108").items()
    assert (item.product_name, item.billing_months) == ("New", 3)
    assert [version.price["unit_amount"] for version in item.prices] == ["30"]
    assert item.terms[0].own_unit_amount == D(27)
