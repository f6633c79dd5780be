"""Each event in the life of an order, as Salesforce says it, and the subscription that it makes: worked out by hand."""

from datetime import date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from fakturo.consumers.contracts.accounts import AccountDefaults, canonical_id, map_account
from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.mapping import SubscriptionRecords, map_subscription
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.contracts.reducer import check_values, facts_of
from fakturo.engine.catalog import parse_catalog
from fakturo.schemas.codec import encode
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.events.contracts import AlertThreshold, Commitment, Pause, Subscription, SubscriptionItem

PROFILE = load_profile()
ACCOUNT, ORDER, ITEM = "001NY0000000002YAA", "801NY0000000002YAA", "802NY0000000006YAA"
BASIC, PRO, CALLS = "01tNY0000000001YAA", "01tNY0000000002YAA", "01tNY0000000003YAA"
D = Decimal


def _licensed(name: str, amount: str, **fields: Any) -> dict[str, Any]:
    price = {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": amount, "licensed": True}
    return {"name": name, "prices": [price, price | {"currency": "DKK"}], **fields}


OFFERS = Offers.of(
    parse_catalog(
        {
            "currency": "EUR",
            "meters": {"calls": {"event_type": "api.call", "aggregation": "count"}},
            "products": {
                "BASIC": _licensed("Basic", "10"),
                "PRO": _licensed("Pro", "30", billing="advance", anchor="service_start", trial_days=14),
                "CALLS": {
                    "name": "Calls",
                    "meter": "calls",
                    "allowance": {"months": 12},
                    "alerts": [{"quantity": "100"}, {"amount": "500"}],
                    "prices": [{"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "1"}],
                },
            },
            "sellers": {"DK": {"name": "Fakturo ApS", "country": "DK", "currency": "DKK"}},
            "coupons": {
                "TEN": {"description": "Ten per cent", "percent": "10"},
                "FIVE": {"description": "Five euros", "amount": "5"},
            },
            "loyalty": {"MILES": {"points_per_unit": "1", "point_amount": "0.01"}},
        }
    )
)


class Org:
    """The change records of one order with one item; `set` commits a change."""

    def __init__(self, crm: SimpleNamespace, order: dict[str, Any] | None = None, **item: Any) -> None:
        self._change, at = crm.change, "2025-12-15T12:00:00Z"
        values = {"AccountId": ACCOUNT, "StatusCode": "Activated", "EffectiveDate": "2026-01-01", **(order or {})}
        item = {"OrderId": ORDER, "Product2Id": BASIC, "Quantity": "5", **item}
        self.changes = [
            crm.change("Account", ACCOUNT, at, AccountNumber="A", Name="A", Fakturo_Timezone__c="Europe/Copenhagen"),
            crm.change("Order", ORDER, at, **values),
            *(
                crm.change("Product2", key, at, ProductCode=code)
                for key, code in {BASIC: "BASIC", PRO: "PRO", CALLS: "CALLS"}.items()
            ),
            crm.change("OrderItem", ITEM, at, **item),
        ]

    def set(self, entity: str, at: str, **values: Any) -> "Org":
        record_id = ORDER if entity == "Order" else ITEM
        self.changes.append(self._change(entity, record_id, f"{at}T12:00:00Z", "UPDATE", **values))
        return self

    def map(self, offers: Offers = OFFERS) -> tuple[Subscription | None, list[str]]:
        facts: dict[tuple[str, str], list[Fact]] = {}
        for arrival, value in enumerate(self.changes):
            read = decode_change(encode(value))
            at = read.committed_at
            facts.setdefault((read.entity, read.recordId), []).extend(
                Fact(field=name, value=content, effective_at=at, recorded_at=at, arrival=arrival)
                for name, content in facts_of(read).items()
            )
        found = {key[1]: RecordHistory.of(*key, known) for key, known in facts.items()}
        defaults = AccountDefaults(timezone="UTC", currency="EUR")
        account, _ = map_account(found[ACCOUNT], canonical_id(found[ACCOUNT], PROFILE) or "?", PROFILE, defaults)
        records = SubscriptionRecords(
            order_id=ORDER,
            order=found[ORDER],
            items=[found[ITEM]],
            products={key: found[key] for key in (BASIC, PRO, CALLS)},
        )
        subscription, problems = map_subscription(records, account, offers, PROFILE)
        return subscription, [problem.message for problem in problems]

    def items(self) -> list[SubscriptionItem]:
        subscription, problems = self.map()
        assert problems == []
        assert subscription is not None
        return list(subscription.items)


def quantities(item: SubscriptionItem) -> list[tuple[date, int]]:
    return [(terms.effective_from, int(terms.quantity)) for terms in item.terms]


NEW_YEAR = date(2026, 1, 1)


def test_a_change_learned_late_holds_from_its_effective_date(crm: SimpleNamespace) -> None:
    org = Org(crm).set("OrderItem", "2026-05-20", Quantity="8", Fakturo_Effective_On__c="2026-03-11")
    assert quantities(org.items()[0]) == [(NEW_YEAR, 5), (date(2026, 3, 11), 8)]


def test_an_effective_date_that_has_passed_counts_once(crm: SimpleNamespace) -> None:
    org = Org(crm).set("OrderItem", "2026-05-20", Quantity="8", Fakturo_Effective_On__c="2026-03-11")
    org.set("OrderItem", "2026-06-01", Quantity="9")
    assert quantities(org.items()[0]) == [(NEW_YEAR, 5), (date(2026, 3, 11), 8), (date(2026, 6, 1), 9)]


def test_a_scheduled_change_can_be_corrected_and_moved_before_it_holds(crm: SimpleNamespace) -> None:
    org = Org(crm).set("OrderItem", "2026-05-01", Quantity="12", Fakturo_Effective_On__c="2026-07-01")
    assert quantities(org.items()[0]) == [(NEW_YEAR, 5), (date(2026, 7, 1), 12)]
    org.set("OrderItem", "2026-05-02", Quantity="10")
    assert quantities(org.items()[0]) == [(NEW_YEAR, 5), (date(2026, 7, 1), 10)]
    org.set("OrderItem", "2026-05-03", Fakturo_Effective_On__c="2026-08-01")
    moved = org.items()[0]
    # Both commits spoke of 1 July; the last one was moved, and with it the newest quantity.
    assert quantities(moved) == [(NEW_YEAR, 5), (date(2026, 7, 1), 12), (date(2026, 8, 1), 10)]


def test_a_ramp_is_several_scheduled_changes(crm: SimpleNamespace) -> None:
    org = Org(crm)
    for on, quantity in [("2026-04-01", "6"), ("2026-07-01", "7"), ("2026-10-01", "8")]:
        org.set("OrderItem", "2026-02-0" + quantity, Quantity=quantity, Fakturo_Effective_On__c=on)
    assert [number for _, number in quantities(org.items()[0])] == [5, 6, 7, 8]


def test_a_later_commit_wins_from_its_date_on_field_by_field(crm: SimpleNamespace) -> None:
    org = Org(crm, UnitPrice="10", ListPrice="10")
    org.set("OrderItem", "2026-05-01", Quantity="12", Fakturo_Effective_On__c="2026-07-01")
    org.set("OrderItem", "2026-05-15", Fakturo_Effective_On__c=None, UnitPrice="9")
    # The price holds from 15 May, but the 12 of July does not come early.
    found = [(t.effective_from, int(t.quantity), t.own_unit_amount) for t in org.items()[0].terms]
    assert found == [(NEW_YEAR, 5, None), (date(2026, 5, 15), 5, D(9)), (date(2026, 7, 1), 12, D(9))]
    org.set("OrderItem", "2026-06-01", Quantity="7")
    assert quantities(org.items()[0])[-2:] == [(date(2026, 5, 15), 5), (date(2026, 6, 1), 7)]


def test_an_upgrade_ends_the_item_and_starts_another_one(crm: SimpleNamespace) -> None:
    basic, pro = Org(crm).set("OrderItem", "2026-03-16", Product2Id=PRO).items()
    assert (basic.subscription_item, basic.product_code) == (ITEM, "BASIC")
    assert (basic.service_start_on, basic.service_end_on) == (NEW_YEAR, date(2026, 3, 16))
    assert (pro.subscription_item, pro.product_code, pro.billing) == (f"{ITEM}/2", "PRO", "advance")
    assert (pro.service_start_on, pro.service_end_on) == (date(2026, 3, 16), None)
    # The anchor and the trial are those of the item's first day: an upgrade opens neither anew.
    assert (pro.anchor_on, pro.trial_until_on) == (NEW_YEAR, date(2026, 1, 15))
    assert quantities(pro) == [(date(2026, 3, 16), 5)]


def test_an_upgrade_that_was_overruled_from_before_its_day_stays_without_days(crm: SimpleNamespace) -> None:
    org = Org(crm).set("OrderItem", "2026-03-16", Product2Id=PRO)
    org.set("OrderItem", "2026-05-02", Product2Id=BASIC, Fakturo_Effective_On__c="2026-02-01")
    one, two = org.items()
    assert (one.product_code, one.service_start_on, one.service_end_on) == ("BASIC", NEW_YEAR, None)
    assert (two.subscription_item, two.product_code) == (f"{ITEM}/2", "PRO")
    assert two.service_start_on == two.service_end_on == date(2026, 3, 16)


def test_a_product_chosen_anew_in_the_draft_leaves_no_trace(crm: SimpleNamespace) -> None:
    org = Org(crm, {"StatusCode": "Draft"}).set("OrderItem", "2026-01-10", Product2Id=PRO)
    org.set("Order", "2026-01-20", StatusCode="Activated")
    assert [(item.subscription_item, item.product_code) for item in org.items()] == [(ITEM, "PRO")]


def test_an_upgrade_to_an_unknown_product_keeps_the_old_one_to_its_day(crm: SimpleNamespace) -> None:
    org = Org(crm).set("OrderItem", "2026-03-16", Product2Id="01tNY0000000009YAA")
    subscription, problems = org.map()
    assert subscription is not None
    assert [item.service_end_on for item in subscription.items] == [date(2026, 3, 16)]
    assert problems == [f"OrderItem {ITEM} waits for its product 01tNY0000000009YAA, which has not arrived."]


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


def test_pauses_are_remembered_and_corrected(crm: SimpleNamespace) -> None:
    org = Org(crm).set("Order", "2026-02-20", Fakturo_Paused_From__c="2026-03-01")
    assert org.items()[0].pauses == (Pause(start_on=date(2026, 3, 1)),)
    org.set("Order", "2026-03-10", Fakturo_Paused_Until__c="2026-03-31")  # its last day
    march = Pause(start_on=date(2026, 3, 1), end_on=date(2026, 4, 1))
    assert org.items()[0].pauses == (march,)
    org.set("Order", "2026-06-01", Fakturo_Paused_From__c="2026-07-01", Fakturo_Paused_Until__c=None)
    assert org.items()[0].pauses == (march, Pause(start_on=date(2026, 7, 1)))
    org.set("Order", "2026-07-20", Fakturo_Paused_From__c=None)  # resumed
    assert org.items()[0].pauses == (march, Pause(start_on=date(2026, 7, 1), end_on=date(2026, 7, 20)))


@pytest.mark.parametrize(
    ("cancel_at", "item_end", "order_end"),
    [
        (None, date(2026, 5, 10), date(2026, 5, 10)),
        ("now", date(2026, 5, 10), date(2026, 5, 10)),
        ("period_end", date(2026, 6, 1), date(2026, 6, 1)),
        ("term_end", date(2027, 1, 1), date(2027, 1, 1)),
    ],
)
def test_an_order_is_cancelled_now_or_at_the_end_of_its_period_or_term(
    crm: SimpleNamespace, cancel_at: str | None, item_end: date, order_end: date
) -> None:
    org = Org(crm, {"Fakturo_Auto_Renew__c": True, "Fakturo_Term_Months__c": "12"})
    org.set("Order", "2026-04-01", Fakturo_Cancel_On__c="2026-05-10", Fakturo_Cancel_At__c=cancel_at)
    subscription, _ = org.map()
    assert subscription is not None
    assert (subscription.items[0].service_end_on, subscription.ended_on) == (item_end, order_end)


@pytest.mark.parametrize(("service_on", "charged"), [("2026-05-09", True), ("2026-05-10", False)])
def test_a_one_time_charge_outlives_a_cancellation_only_if_it_fell_due_before(
    crm: SimpleNamespace, service_on: str, charged: bool
) -> None:
    org = Org(crm, ServiceDate=service_on, Fakturo_Billing_Months__c="0")
    org.set("Order", "2026-04-01", Fakturo_Cancel_On__c="2026-05-10")
    subscription, _ = org.map()
    assert [item.service_end_on for item in (subscription.items if subscription else ())] == [None] * charged


def test_an_unclear_cancellation_is_said_and_not_followed(crm: SimpleNamespace) -> None:
    org = Org(crm).set("Order", "2026-04-01", Fakturo_Cancel_On__c="2026-05-10", Fakturo_Cancel_At__c="soon")
    subscription, problems = org.map()
    assert subscription is not None
    assert subscription.ended_on is None
    assert "it must be one of now, period_end, term_end" in problems[0]


def test_an_order_renews_itself_until_that_is_switched_off(crm: SimpleNamespace) -> None:
    org = Org(crm, {"EndDate": "2026-12-31", "Fakturo_Auto_Renew__c": True, "Fakturo_Term_Months__c": "6"})
    subscription, _ = org.map()
    assert subscription is not None
    assert (subscription.ended_on, subscription.auto_renew, subscription.term_months) == (None, True, 6)
    # In the second term, 1 January to 30 June 2027: it ends with it, not in the past.
    org.set("Order", "2027-03-05", Fakturo_Auto_Renew__c=False)
    ended, _ = org.map()
    assert ended is not None
    assert (ended.ended_on, ended.items[0].service_end_on) == (date(2027, 7, 1), date(2027, 7, 1))


def test_a_term_without_renewal_ends_the_order(crm: SimpleNamespace) -> None:
    subscription, _ = Org(crm, {"Fakturo_Term_Months__c": "6"}).map()
    assert subscription is not None
    assert subscription.ended_on == date(2026, 7, 1)


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


@pytest.mark.parametrize(
    ("entity", "field", "value"),
    [
        ("Order", "Fakturo_Spend_Cap__c", 1.5),
        ("Order", "Fakturo_Commitment_Amount__c", "NaN"),
        ("Order", "Fakturo_Term_Months__c", "a year"),
        ("Order", "Fakturo_Paused_From__c", "2026-02-30"),
        ("Order", "Fakturo_Cancel_On__c", "soon"),
        ("OrderItem", "Fakturo_Billing_Months__c", True),
        ("OrderItem", "Fakturo_Effective_On__c", "1.3.2026"),
        ("OrderItem", "Fakturo_Trial_End__c", "14"),
    ],
)
def test_a_number_or_date_of_the_new_fields_that_is_none_is_refused(entity: str, field: str, value: Any) -> None:
    with pytest.raises(SchemaError, match=field):
        check_values({field: value}, entity, PROFILE)


def test_an_account_says_where_it_lives_and_that_it_is_exempt(crm: SimpleNamespace) -> None:
    change = crm.change(
        "Account", ACCOUNT, "2026-01-01T00:00:00Z", AccountNumber="A", Name="A", BillingStreet="Vestergade 1\n2. sal",
        BillingPostalCode="8000", BillingCity="Aarhus C", Fakturo_Tax_Exempt__c=True,
        Fakturo_Split_By_Cost_Centre__c="true",
    )  # fmt: skip
    read = decode_change(encode(change))
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    facts = [Fact(field=name, value=value, effective_at=at, recorded_at=at) for name, value in facts_of(read).items()]
    defaults = AccountDefaults(timezone="UTC", currency="EUR")
    account, problems = map_account(RecordHistory.of("Account", ACCOUNT, facts), "A", PROFILE, defaults)
    assert problems == []
    assert account is not None
    version = account.versions[0]
    assert version.address == "Vestergade 1, 2. sal, 8000 Aarhus C"
    assert (version.tax_exempt, version.split_by_cost_centre, version.bill_to) == (True, True, None)
