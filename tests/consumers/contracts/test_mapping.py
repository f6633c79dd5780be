"""The mapping: literal change records to the accounts and subscriptions that they mean, worked out by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from fakturo.consumers.contracts.accounts import AccountDefaults, canonical_id, map_account
from fakturo.consumers.contracts.mapping import SubscriptionRecords, map_subscription
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.schemas.events.contracts import AccountChanged, Subscription
from tests.consumers.contracts.one_order import histories_of

PROFILE = load_profile()
DEFAULTS = AccountDefaults(timezone="UTC", currency="USD")


def _map(
    crm: SimpleNamespace, changes: list[dict[str, Any]], offers: Offers
) -> tuple[Subscription | None, list[str], AccountChanged | None]:
    found = histories_of(changes)
    account = None
    if crm.ACCOUNT_ID in found:
        history = found[crm.ACCOUNT_ID]
        account, _ = map_account(history, canonical_id(history, PROFILE) or "?", PROFILE, DEFAULTS)
    records = SubscriptionRecords(
        order_id=crm.ORDER_ID,
        order=found.get(crm.ORDER_ID),
        items=[history for history in found.values() if history.entity == "OrderItem"],
        products={key: history for key, history in found.items() if history.entity == "Product2"},
    )
    subscription, problems = map_subscription(records, account, offers, PROFILE)
    return subscription, [problem.message for problem in problems], account


def test_an_order_becomes_a_subscription_with_exclusive_ends_and_own_terms(
    crm: SimpleNamespace, offers: Offers
) -> None:
    subscription, problems, _ = _map(crm, crm.order_of_american(), offers)
    assert problems == []
    assert subscription is not None
    assert (subscription.subscription_id, subscription.account, subscription.currency) == (crm.ORDER_ID, "AA", "USD")
    assert (subscription.started_on, subscription.ended_on) == (date(2013, 1, 1), None)
    terminal, distance = subscription.items
    assert terminal.subscription_item == crm.TERMINAL_ITEM_ID
    assert (terminal.product_code, terminal.product_name) == ("TERMINAL", "Terminal rent")
    assert (terminal.service_start_on, terminal.service_end_on) == (date(2013, 1, 1), None)
    assert terminal.meter is None
    assert distance.meter is not None
    assert distance.meter.code == "miles"
    assert (distance.service_start_on, distance.service_end_on) == (date(2013, 2, 1), date(2013, 9, 16))
    assert [terms.discount_percent for terms in distance.terms] == [Decimal("12.5")]
    assert [terms.discount_percent for terms in terminal.terms] == [None]
    # UnitPrice 9 differs from ListPrice 0, but a metered package takes no own price; TERMINAL's equals its list price.
    assert [terms.own_unit_amount for item in subscription.items for terms in item.terms] == [None, None]


def test_an_account_takes_the_defaults_where_it_names_nothing(crm: SimpleNamespace) -> None:
    changes = [crm.change("Account", crm.ACCOUNT_ID, "2013-01-01T00:00:00Z", Name="Nameless Zone")]
    history = histories_of(changes)[crm.ACCOUNT_ID]
    account, problems = map_account(history, canonical_id(history, PROFILE) or "?", PROFILE, DEFAULTS)
    assert problems == []
    assert account is not None
    assert account.account == crm.ACCOUNT_ID
    version = account.versions[0]
    assert (version.timezone, version.terms_days, version.currency, version.country) == ("UTC", 30, "USD", None)


def test_an_account_of_which_only_a_change_has_arrived_has_no_id_yet_but_by_its_number(crm: SimpleNamespace) -> None:
    update = crm.change("Account", crm.ACCOUNT_ID, "2013-01-02T00:00:00Z", "UPDATE", Name="New name")
    assert canonical_id(histories_of([update])[crm.ACCOUNT_ID], PROFILE) is None
    update["values"]["AccountNumber"] = "AA"
    update["changed"].append("AccountNumber")
    assert canonical_id(histories_of([update])[crm.ACCOUNT_ID], PROFILE) == "AA"


def test_a_rename_and_a_change_of_terms_are_versions_from_their_commit_on(crm: SimpleNamespace, offers: Offers) -> None:
    changes = [
        *crm.order_of_american(),
        crm.change("Account", crm.ACCOUNT_ID, "2013-03-05T10:00:00Z", "UPDATE", Name="American"),
        crm.change("Account", crm.ACCOUNT_ID, "2013-03-06T10:00:00Z", "UPDATE", Phone="1"),
        crm.change("Account", crm.ACCOUNT_ID, "2013-04-05T10:00:00Z", "UPDATE", Fakturo_Terms_Days__c="14"),
    ]
    _, _, account = _map(crm, changes, offers)
    assert account is not None
    assert [(v.effective_at, v.name, v.terms_days) for v in account.versions] == [
        (datetime(2012, 12, 15, 12, tzinfo=UTC), "American Airlines Inc.", 30),
        (datetime(2013, 3, 5, 10, tzinfo=UTC), "American", 30),
        (datetime(2013, 4, 5, 10, tzinfo=UTC), "American", 14),
    ]


def test_a_zone_that_does_not_exist_is_a_sentence_and_the_last_good_version_stays(crm: SimpleNamespace) -> None:
    changes = [
        crm.order_of_american()[0],
        crm.change("Account", crm.ACCOUNT_ID, "2013-03-05T10:00:00Z", "UPDATE", Fakturo_Timezone__c="Mars/Base"),
    ]
    account, problems = map_account(histories_of(changes)[crm.ACCOUNT_ID], "AA", PROFILE, DEFAULTS)
    assert account is not None
    assert [version.timezone for version in account.versions] == ["America/New_York"]
    assert "Mars/Base" in problems[0].message


def test_terms_beyond_the_calendar_are_a_sentence_and_the_last_good_version_stays(crm: SimpleNamespace) -> None:
    changes = [
        crm.order_of_american()[0],
        crm.change("Account", crm.ACCOUNT_ID, "2013-03-05T10:00:00Z", "UPDATE", Fakturo_Terms_Days__c="99999999"),
    ]
    account, problems = map_account(histories_of(changes)[crm.ACCOUNT_ID], "AA", PROFILE, DEFAULTS)
    assert account is not None
    assert [version.terms_days for version in account.versions] == [30]
    assert "a whole number up to 3650" in problems[0].message


def test_a_quantity_changed_after_the_start_holds_from_the_local_day_of_its_commit(
    crm: SimpleNamespace, offers: Offers
) -> None:
    item = crm.TERMINAL_ITEM_ID
    changes = [
        *crm.order_of_american(),
        crm.change("OrderItem", item, "2012-12-20T12:00:00Z", "UPDATE", Quantity="2"),  # before the start: replaces
        crm.change("OrderItem", item, "2013-06-11T03:30:00Z", "UPDATE", Quantity="3"),  # 10 June, 23:30 in New York
        crm.change("OrderItem", item, "2013-07-01T12:00:00Z", "UPDATE", Quantity="4"),
        crm.change("OrderItem", item, "2013-07-01T15:00:00Z", "UPDATE", Quantity="5"),  # the same day: the last counts
        crm.change("OrderItem", item, "2013-08-01T15:00:00Z", "UPDATE", Description="seen"),
    ]
    subscription, _, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert [(terms.effective_from, terms.quantity) for terms in subscription.items[0].terms] == [
        (date(2013, 1, 1), Decimal(2)),
        (date(2013, 6, 10), Decimal(3)),
        (date(2013, 7, 1), Decimal(5)),
    ]


@pytest.mark.parametrize(
    ("unit_price", "list_price", "own"),
    [
        ("14000", "15000", "14000"),
        ("15000", "15000.00", None),
        ("0", "15000", "0"),
        ("0", None, None),
        ("9", None, "9"),
    ],
)
def test_an_own_price_counts_only_where_it_differs_from_the_list_price(
    crm: SimpleNamespace, offers: Offers, unit_price: str, list_price: str | None, own: str | None
) -> None:
    changes = crm.order_of_american()
    changes[4]["values"].update(UnitPrice=unit_price, ListPrice=list_price)
    subscription, _, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert subscription.items[0].terms[0].own_unit_amount == (None if own is None else Decimal(own))


def test_an_order_entered_late_bills_from_its_start_and_drafts_leave_no_trace(
    crm: SimpleNamespace, offers: Offers
) -> None:
    changes = crm.order_of_american()
    changes[1]["values"]["StatusCode"] = "Draft"
    changes += [
        crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-02-10T12:00:00Z", "UPDATE", Quantity="7"),
        crm.change("Order", crm.ORDER_ID, "2013-02-11T12:00:00Z", "UPDATE", StatusCode="Activated"),
    ]
    subscription, _, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert [(t.effective_from, t.quantity) for t in subscription.items[0].terms] == [(date(2013, 1, 1), Decimal(7))]


def test_a_deleted_item_ends_on_the_day_of_its_deletion_and_the_order_goes_on(
    crm: SimpleNamespace, offers: Offers
) -> None:
    changes = [
        *crm.order_of_american(),
        crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-05-03T12:00:00Z", "DELETE"),
    ]
    subscription, problems, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert problems == []
    assert [item.service_end_on for item in subscription.items] == [date(2013, 5, 3), date(2013, 9, 16)]
    assert subscription.ended_on is None


@pytest.mark.parametrize("kind", ["DELETE", "UPDATE"])
def test_a_deleted_or_deactivated_order_ends_with_all_its_items(
    crm: SimpleNamespace, offers: Offers, kind: str
) -> None:
    values = {} if kind == "DELETE" else {"StatusCode": "Draft"}
    changes = [*crm.order_of_american(), crm.change("Order", crm.ORDER_ID, "2013-05-03T12:00:00Z", kind, **values)]
    subscription, _, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert subscription.ended_on == date(2013, 5, 3)
    assert [item.service_end_on for item in subscription.items] == [date(2013, 5, 3), date(2013, 5, 3)]

    changes.append(crm.change("Order", crm.ORDER_ID, "2013-05-04T12:00:00Z", "UNDELETE", **changes[1]["values"]))
    again, _, _ = _map(crm, changes, offers)
    assert again is not None
    assert (again.ended_on, again.items[0].service_end_on) == (None, None)


def test_the_orders_last_day_ends_what_has_no_last_day_of_its_own(crm: SimpleNamespace, offers: Offers) -> None:
    changes = crm.order_of_american()
    changes[1]["values"]["EndDate"] = "2013-12-31"
    subscription, _, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert subscription.ended_on == date(2014, 1, 1)
    assert [item.service_end_on for item in subscription.items] == [date(2014, 1, 1), date(2013, 9, 16)]


def test_the_last_day_of_the_calendar_means_no_end(crm: SimpleNamespace, offers: Offers) -> None:
    changes = crm.order_of_american()
    for index in (1, 4):
        changes[index]["values"]["EndDate"] = "9999-12-31"
    subscription, problems, _ = _map(crm, changes, offers)
    assert subscription is not None
    assert (subscription.ended_on, problems) == (None, [])
    assert subscription.items[0].service_end_on is None


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (0, "Order 801NY0000000002YAA waits for its account 001NY0000000002YAA"),
        (1, "Order 801NY0000000002YAA has not arrived; 2 of its items wait for it."),
        (2, "OrderItem 802NY0000000006YAA waits for its product 01tNY0000000001YAA"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    crm: SimpleNamespace, offers: Offers, missing: int, sentence: str
) -> None:
    changes = crm.order_of_american()
    del changes[missing]
    subscription, problems, _ = _map(crm, changes, offers)
    assert len(problems) == 1
    assert problems[0].startswith(sentence)
    if missing == 2:  # the rest of the order goes on
        assert subscription is not None
        assert [item.product_code for item in subscription.items] == ["DISTANCE"]
    else:
        assert subscription is None


@pytest.mark.parametrize(
    ("index", "values", "sentence"),
    [
        (1, {"StatusCode": "Draft"}, "is not activated"),
        (1, {"EffectiveDate": None}, "has no start"),
        (1, {"CurrencyIsoCode": "EUR"}, "is in EUR, the catalog's prices are in USD"),
        (2, {"ProductCode": "UNHEARD"}, "which the catalog does not know"),
        (4, {"Quantity": None}, "has no quantity"),
        (4, {"EndDate": "2012-12-31"}, "ends on 2012-12-31, before it starts on 2013-01-01"),
        (4, {"Fakturo_Discount_Percent__c": "120"}, "a discount of 120 %"),
        (4, {"ServiceDate": "9999-12-31"}, "no day to start on"),
        (4, {"Quantity": "1" + "0" * 20}, "nor above 1000000000"),
    ],
)
def test_what_cannot_be_billed_is_said_in_a_sentence(
    crm: SimpleNamespace, offers: Offers, index: int, values: dict[str, Any], sentence: str
) -> None:
    changes = crm.order_of_american()
    changes[index]["values"].update(values)
    _, problems, _ = _map(crm, changes, offers)
    assert len(problems) == 1
    assert sentence in problems[0]


def test_without_a_catalog_nothing_is_priced_and_it_is_said(crm: SimpleNamespace) -> None:
    subscription, problems, _ = _map(crm, crm.order_of_american(), Offers())
    assert subscription is None
    assert "no catalog is set" in problems[0]
