"""Opportunities through the agent: opened, closed, won, ordered; and the agents that have no use for them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.offers import Offers
from fakturo.schemas.events.sales import OpportunityChanged
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.contracts.desk import Desk

Connect = Callable[[], Awaitable[asyncpg.Connection]]
DEAL = long_id("006NY0000000001")
OPENED = "2012-09-01T08:00:00.000Z"


def deal(crm: SimpleNamespace, **values: Any) -> dict[str, Any]:
    known = {"AccountId": crm.ACCOUNT_ID, "CreatedDate": OPENED, "StageName": "Prospecting", "IsClosed": False}
    amounts = {"IsWon": False, "Amount": "150000.50", "CurrencyIsoCode": "USD", "CloseDate": "2012-12-31"}
    return dict(crm.change("Opportunity", DEAL, "2012-09-01T08:00:00Z", **{**known, **amounts, **values}))


def told(desk: Desk) -> list[OpportunityChanged]:
    return [event.data for _, event in desk.emitted if isinstance(event.data, OpportunityChanged)]


async def test_an_opportunity_is_told_from_its_opening_to_the_first_activation_of_its_order(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    account, order, *rest = crm.order_of_american()
    await desk.hand_in(account, deal(crm))
    await desk.publish()
    won = crm.change(
        "Opportunity", DEAL, "2012-12-10T09:00:00Z", "UPDATE", StageName="Closed Won", IsClosed=True, IsWon=True
    )
    await desk.hand_in(won)
    await desk.publish()
    order["values"]["OpportunityId"] = DEAL
    await desk.hand_in(order, *rest)
    await desk.publish()
    opened, closed, ordered = told(desk)
    assert (opened.opportunity, opened.account) == (DEAL, "AA")
    assert (opened.opened_at, opened.closed_at, opened.won) == (datetime(2012, 9, 1, 8, tzinfo=UTC), None, False)
    assert (opened.amount, opened.currency, opened.closes_on) == (Decimal("150000.50"), "USD", date(2012, 12, 31))
    assert (closed.closed_at, closed.won, closed.stage) == (datetime(2012, 12, 10, 9, tzinfo=UTC), True, "Closed Won")
    assert closed.ordered_at is None
    assert ordered.ordered_at == datetime(2012, 12, 15, 12, tzinfo=UTC)
    assert f"AA/opportunity/{DEAL}" in desk.events


@pytest.mark.parametrize(
    ("changes", "closed_on", "won"),
    [
        ([("2012-10-01", {"StageName": "Closed Won"})], "2012-10-01", True),  # the event does not tell the flags
        ([("2012-10-01", {"StageName": "Closed Lost", "IsClosed": True})], "2012-10-01", False),
        ([("2012-10-01", {"StageName": "Gewonnen", "IsClosed": True, "IsWon": True})], "2012-10-01", True),
        (
            [
                ("2012-10-01", {"StageName": "Closed Won", "IsClosed": True, "IsWon": True}),
                ("2012-10-05", {"StageName": "Negotiation"}),  # reopened; the flags are those of the old stage
            ],
            None,
            False,
        ),
        (
            [
                ("2012-10-01", {"StageName": "Closed Lost"}),
                ("2012-10-05", {"StageName": "Negotiation"}),
                ("2012-10-09", {"StageName": "Closed Won"}),
            ],
            "2012-10-09",
            True,
        ),
        (
            [
                ("2012-10-01", {"StageName": "Gewonnen", "IsClosed": True, "IsWon": True}),
                ("2012-10-05", {"StageName": "Gewonnen und bestellt"}),
            ],
            "2012-10-01",
            True,
        ),
    ],
)
async def test_flags_and_stages_say_since_when_it_is_closed(
    crm: SimpleNamespace,
    offers: Offers,
    connect: Connect,
    changes: list[tuple[str, dict[str, Any]]],
    closed_on: str | None,
    won: bool,
) -> None:
    desk = Desk.of(await connect(), offers)
    updates = [crm.change("Opportunity", DEAL, f"{on}T00:00:00Z", "UPDATE", **values) for on, values in changes]
    await desk.hand_in(crm.order_of_american()[0], deal(crm), *updates)
    await desk.publish()
    (found,) = told(desk)
    assert (str(found.closed_at.date()) if found.closed_at else None, found.won) == (closed_on, won)


async def test_what_changes_nothing_is_not_told_again_and_a_deleted_one_is_told_as_deleted(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(crm.order_of_american()[0], deal(crm))
    await desk.publish()
    await desk.hand_in(crm.change("Opportunity", DEAL, "2012-10-01T00:00:00Z", "UPDATE", NextStep="call"))
    assert await desk.publish() == []
    await desk.hand_in(crm.change("Opportunity", DEAL, "2012-10-02T00:00:00Z", "DELETE"))
    await desk.publish()
    assert [one.deleted for one in told(desk)] == [False, True]


async def test_it_waits_for_its_account_without_a_sentence(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(deal(crm))
    assert await desk.publish() == []
    assert await desk.sentences() == []
    await desk.hand_in(crm.order_of_american()[0])
    await desk.publish()
    assert [one.account for one in told(desk)] == ["AA"]


async def test_one_that_moves_to_another_account_is_deleted_for_the_one_that_it_left(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, other = Desk.of(await connect(), offers), long_id("001NY0000000009")
    await desk.hand_in(
        crm.order_of_american()[0],
        crm.change("Account", other, "2012-09-01T00:00:00Z", AccountNumber="BB", Name="B", CurrencyIsoCode="USD"),
        deal(crm),
    )
    await desk.publish()
    await desk.hand_in(crm.change("Opportunity", DEAL, "2012-10-01T00:00:00Z", "UPDATE", AccountId=other))
    await desk.publish()
    assert [(one.account, one.deleted) for one in told(desk)] == [("AA", False), ("AA", True), ("BB", False)]
