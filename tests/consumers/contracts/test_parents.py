"""A parent that is billed for its child: the child waits for it, and no circle of payers is published."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event
from fakturo.schemas.events.contracts import AccountChanged, Subscription

Connect = Callable[[], Awaitable[asyncpg.Connection]]
PARENT_ID = "001NY0000000001YAA"  # sorts before the child's record id
LATE_PARENT_ID = "001NY0000000009YAA"  # sorts after it
TICK = datetime(2013, 1, 1, tzinfo=UTC)


class Org:
    """The agent on a database; `send` keeps records, `publish` returns what a tick publishes."""

    def __init__(self, offers: Offers, connection: asyncpg.Connection) -> None:
        settings = Settings(kafka="unused:9092", DATABASE_URL="postgresql://unused", interim_seconds=0)  # type: ignore[call-arg]
        self._agent, self.connection, self._offers = ContractsAgent(settings, offers), connection, offers

    def _transaction(self) -> Transaction:
        return Transaction(agent="contracts", sql=None, driver=self.connection, partition_count=4)  # type: ignore[arg-type]

    async def send(self, records: Sequence[Any]) -> None:
        async with self.connection.transaction():
            await self._agent.handle(records, self._transaction())

    async def publish(self) -> list[AccountChanged | Subscription]:
        found: list[AccountChanged | Subscription] = []
        more = True
        while more:
            async with self.connection.transaction():
                tx = self._transaction()
                more = await self._agent.advance(TICK, tx)
                found += [decode_event(row.value, row.headers).data for row in tx.outbox]
        return found

    async def sentences(self) -> list[str]:
        rows = await self.connection.fetch("SELECT message FROM contracts.incomplete ORDER BY 1")
        return [row["message"] for row in rows]


def _child(crm: SimpleNamespace, parent_id: str) -> list[dict[str, Any]]:
    changes = crm.order_of_american()
    changes[0]["values"].update(ParentId=parent_id, Fakturo_Consolidated_Billing__c=True)
    return list(changes)


def _parent(crm: SimpleNamespace, record_id: str, **values: Any) -> dict[str, Any]:
    at = "2012-12-16T12:00:00Z"
    return dict(crm.change("Account", record_id, at, AccountNumber="GROUP", Name="The Group", **values))


async def test_a_child_waits_for_the_parent_that_pays_for_it(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    org = Org(offers, await connect())
    await org.send([crm.record(value) for value in _child(crm, PARENT_ID)])
    assert await org.publish() == []
    child, order = await org.sentences()
    assert child.startswith(f"Account AA waits for its parent {PARENT_ID}")
    assert "waits for its account" in order

    await org.send([crm.record(_parent(crm, PARENT_ID))])
    published = await org.publish()
    assert sorted(type(one).__name__ for one in published) == ["AccountChanged", "AccountChanged", "Subscription"]
    accounts = {one.account: one for one in published if isinstance(one, AccountChanged)}
    assert accounts["AA"].versions[0].bill_to == "GROUP"
    assert accounts["GROUP"].versions[0].bill_to is None
    assert await org.sentences() == []
    assert await org.publish() == []


@pytest.mark.parametrize("parent_id", [PARENT_ID, LATE_PARENT_ID])
async def test_a_child_and_its_parent_that_come_together_are_both_published(
    crm: SimpleNamespace, offers: Offers, connect: Connect, parent_id: str
) -> None:
    org = Org(offers, await connect())
    await org.send([crm.record(value) for value in [*_child(crm, parent_id), _parent(crm, parent_id)]])
    published = await org.publish()
    names = [one.account for one in published if isinstance(one, AccountChanged)]
    assert names == ["GROUP", "AA"]  # the payer first
    assert any(isinstance(one, Subscription) for one in published)
    assert await org.sentences() == []


async def test_a_circle_of_payers_is_a_sentence_and_what_was_published_stays(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    org = Org(offers, await connect())
    await org.send([crm.record(value) for value in [*_child(crm, PARENT_ID), _parent(crm, PARENT_ID)]])
    await org.publish()
    back = {"ParentId": crm.ACCOUNT_ID, "Fakturo_Consolidated_Billing__c": True}
    await org.send([crm.record(crm.change("Account", PARENT_ID, "2012-12-20T12:00:00Z", "UPDATE", **back))])
    assert await org.publish() == []
    (sentence,) = await org.sentences()
    assert sentence.startswith("Account GROUP is billed to its parent")
    assert "whose own payers lead back to it" in sentence
