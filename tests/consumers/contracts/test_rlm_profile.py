"""Revenue Cloud: assets are items and subscriptions, TransactionJournal rows are usage; through the agent."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg

from fakturo.consumers.contracts.offers import Offers
from fakturo.schemas.events.contracts import Subscription
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.contracts.desk import ORG, Desk

Connect = Callable[[], Awaitable[asyncpg.Connection]]
AT = "2012-12-15T12:00:00Z"
ROOT, CHILD, ALONE = (long_id(f"02iNY000000000{number}") for number in (1, 2, 3))
FIRST, SECOND = (long_id(f"0nRNY000000000{number}") for number in (1, 2))


def org(crm: SimpleNamespace) -> list[dict[str, Any]]:
    """Return an account with a bundle of two assets and one asset alone."""
    account, *_ = crm.order_of_american()
    common = {"AccountId": crm.ACCOUNT_ID, "Product2Id": crm.TERMINAL_ID, "Quantity": "2"}
    return [
        account,
        crm.change("Product2", crm.TERMINAL_ID, AT, ProductCode="TERMINAL"),
        crm.change("Asset", ROOT, AT, **common, LifecycleStartDate="2013-01-01T05:00:00.000Z", RootAssetId=ROOT),
        crm.change("Asset", CHILD, AT, **common, RootAssetId=ROOT, InstallDate="2013-02-01", Price="14000"),
        crm.change("Asset", ALONE, AT, **common, PurchaseDate="2013-03-01", UsageEndDate="2013-09-30"),
    ]


def journal(crm: SimpleNamespace, record_id: str, at: str = "2013-02-01T00:00:00Z", **values: Any) -> dict[str, Any]:
    known = {
        "AccountId": crm.ACCOUNT_ID,
        "ActivityDate": "2013-01-31T23:30:00.000Z",
        "Quantity": "12.50",
        "UsageType": "airport.departure",
        "UniqueIdentifier": "flight-1",
        "UsageResourceId": "0hHNY0000000001",
    }
    return dict(crm.change("TransactionJournal", record_id, at, **{**known, **values}))


async def test_a_root_asset_is_the_subscription_of_its_assets_and_one_alone_is_its_own(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm))
    await desk.publish()
    found = {event.data.subscription_id: event.data for event in desk.events.values() if _is_subscription(event.data)}
    assert sorted(found) == sorted([ROOT, ALONE])
    bundle, alone = found[ROOT], found[ALONE]
    assert [(item.subscription_item, item.service_start_on) for item in bundle.items] == [
        (ROOT, date(2013, 1, 1)),
        (CHILD, date(2013, 2, 1)),
    ]
    assert [item.terms[0].own_unit_amount for item in bundle.items] == [None, Decimal(14000)]
    assert (alone.started_on, alone.ended_on, len(alone.items)) == (date(2013, 3, 1), date(2013, 10, 1), 1)
    assert await desk.sentences() == []


def _is_subscription(data: Any) -> bool:
    return isinstance(data, Subscription)


async def test_an_asset_that_becomes_obsolete_or_is_deleted_ends(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm))
    await desk.publish()
    await desk.hand_in(
        crm.change("Asset", ALONE, "2013-05-03T12:00:00Z", "UPDATE", Status="Obsolete"),
        crm.change("Asset", CHILD, "2013-05-04T12:00:00Z", "DELETE"),
    )
    await desk.publish()
    alone, bundle = (desk.events[f"AA/subscription/{key}"].data for key in (ALONE, ROOT))
    assert alone.ended_on == date(2013, 5, 3)
    assert [item.service_end_on for item in bundle.items] == [None, date(2013, 5, 4)]


async def test_a_journal_row_becomes_one_usage_event_of_its_account(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm), journal(crm, FIRST), journal(crm, SECOND, UniqueIdentifier=None, Quantity=3))
    await desk.publish()
    usage = [event for topic, event in desk.emitted if topic == "billing.usage"]
    assert [(event.source, event.id, event.subject, event.type) for event in usage] == [
        (f"salesforce/{ORG}", "flight-1", "AA", "airport.departure"),
        (f"salesforce/{ORG}", SECOND, "AA", "airport.departure"),
    ]
    assert usage[0].time == datetime(2013, 1, 31, 23, 30, tzinfo=UTC)
    assert usage[0].data == {"quantity": "12.5", "resource": "0hHNY0000000001"}
    assert usage[1].data["quantity"] == "3"


async def test_a_journal_row_is_sent_once_whatever_becomes_of_it(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm), journal(crm, FIRST))
    await desk.publish()
    again = {**journal(crm, FIRST, "2013-02-05T00:00:00Z"), "changeType": "SYNC", "full": True, "eventId": "sync/1"}
    await desk.hand_in(
        crm.change("TransactionJournal", FIRST, "2013-02-02T00:00:00Z", "UPDATE", Quantity="99"),
        crm.change("TransactionJournal", FIRST, "2013-02-03T00:00:00Z", "DELETE"),
        again,
        crm.change("Account", crm.ACCOUNT_ID, "2013-02-04T00:00:00Z", "UPDATE", Name="American"),
    )
    await desk.publish()
    assert [topic for topic, _ in desk.emitted].count("billing.usage") == 1


async def test_a_journal_row_waits_for_its_account_and_for_what_it_lacks(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    account, *rest = org(crm)
    await desk.hand_in(*rest, journal(crm, FIRST), journal(crm, SECOND, UniqueIdentifier="b", Quantity=None))
    await desk.publish()
    waiting = [text for text in await desk.sentences() if text.startswith("TransactionJournal")]
    assert waiting == [
        f"TransactionJournal {key} waits for its account {crm.ACCOUNT_ID}, which is not known or not complete."
        for key in (FIRST, SECOND)
    ]
    await desk.hand_in(account)
    await desk.publish()
    assert [event.id for topic, event in desk.emitted if topic == "billing.usage"] == ["flight-1"]
    assert await desk.sentences() == [f"TransactionJournal {SECOND} has no quantity: fill Quantity."]
    await desk.hand_in(crm.change("TransactionJournal", SECOND, "2013-02-02T00:00:00Z", "UPDATE", Quantity="4"))
    await desk.publish()
    assert [event.id for topic, event in desk.emitted if topic == "billing.usage"] == ["flight-1", "b"]
    assert await desk.sentences() == []


async def test_a_second_row_with_the_same_identifier_is_said_and_not_counted_again(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm), journal(crm, FIRST), journal(crm, SECOND))
    await desk.publish()
    assert [topic for topic, _ in desk.emitted].count("billing.usage") == 1
    assert await desk.sentences() == [
        (
            f"TransactionJournal {SECOND} has the identifier flight-1, which another record has already;"
            " it is not counted again."
        )
    ]


async def test_a_date_without_a_time_is_the_first_instant_of_that_day_for_the_account(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers, "rlm")
    await desk.hand_in(*org(crm), journal(crm, FIRST, ActivityDate="2013-02-01"))
    await desk.publish()
    (event,) = [event for topic, event in desk.emitted if topic == "billing.usage"]
    assert event.time == datetime(2013, 2, 1, 5, tzinfo=UTC)  # midnight in New York
