"""Changes of an order's item: from which day they hold, and what an upgrade leaves behind; worked out by hand."""

from datetime import date
from decimal import Decimal
from types import SimpleNamespace

from tests.consumers.contracts.one_order import BASIC, ITEM, NEW_YEAR, PRO, Org, quantities

D = Decimal


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
