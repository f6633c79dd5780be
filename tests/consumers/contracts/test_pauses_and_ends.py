"""Pauses, cancellations, terms and renewals of an order: the days on which it does not bill, or ends."""

from datetime import date
from types import SimpleNamespace

import pytest

from fakturo.schemas.events.contracts import Pause
from tests.consumers.contracts.one_order import Org


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
