"""The contracts agent on a real database: what it keeps, what it publishes, and when two workers meet."""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.schemas.codec import decode_event
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.partitioning import partition_for

Connect = Callable[[], Awaitable[asyncpg.Connection]]
TICK = datetime(2013, 1, 1, tzinfo=UTC)
LATER = datetime(2014, 1, 1, tzinfo=UTC)
COMMIT = datetime(2012, 12, 15, 12, tzinfo=UTC)


def _agent(offers: Offers, interim_seconds: float = 0) -> ContractsAgent:
    settings = Settings(kafka="unused:9092", DATABASE_URL="postgresql://unused", interim_seconds=interim_seconds)  # type: ignore[call-arg]
    return ContractsAgent(settings, offers)


@asynccontextmanager
async def _transaction(connection: asyncpg.Connection) -> Any:
    async with connection.transaction():
        yield Transaction(agent="contracts", sql=None, driver=connection, partition_count=4)  # type: ignore[arg-type]


async def _handle(agent: ContractsAgent, connection: asyncpg.Connection, records: Sequence[Record]) -> Transaction:
    async with _transaction(connection) as tx:
        await agent.handle(records, tx)
    return tx


async def _advance(agent: ContractsAgent, connection: asyncpg.Connection, to: datetime = TICK) -> list[OutboxRow]:
    """Return what is published as time reaches `to`, as the runtime drives it: each step in its own transaction."""
    rows: list[OutboxRow] = []
    more = True
    while more:
        async with _transaction(connection) as tx:
            more = await agent.advance(to, tx)
            rows += tx.outbox
    return rows


async def _flush(agent: ContractsAgent, connection: asyncpg.Connection) -> list[OutboxRow]:
    async with _transaction(connection) as tx:
        await agent.flush(tx)
    return tx.outbox


async def _sentences(connection: asyncpg.Connection) -> list[str]:
    return [row["message"] for row in await connection.fetch("SELECT message FROM contracts.incomplete ORDER BY 1")]


async def test_contracts_are_published_whole_the_account_before_its_subscription(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    records = [crm.record(value, offset) for offset, value in enumerate(crm.order_of_american())]
    tx = await _handle(agent, connection, records)
    assert tx.outbox == []
    assert sum(number for (_, outcome), number in tx.outcomes.items() if outcome == "applied") == 6

    rows = await _advance(agent, connection)
    assert [(row.topic, row.key, row.partition) for row in rows] == [
        ("billing.contracts", b"AA/account/AA", partition_for("AA", 4)),
        ("billing.contracts", f"AA/subscription/{crm.ORDER_ID}".encode(), partition_for("AA", 4)),
    ]
    account, subscription = (decode_event(row.value, row.headers) for row in rows)
    assert account.type == "fakturo.account.changed.v1"
    assert account.data.salesforce_id == crm.ACCOUNT_ID
    assert account.data.versions[0].country == "US"
    assert subscription.type == "fakturo.subscription.started.v1"
    assert (subscription.subject, subscription.recordedat, subscription.data.recorded_at) == ("AA", COMMIT, COMMIT)
    assert [item.product_code for item in subscription.data.items] == ["TERMINAL", "DISTANCE"]
    assert await _sentences(connection) == []
    versions = await connection.fetch("SELECT product_code, hash, recorded_at FROM contracts.price_version ORDER BY 1")
    assert [tuple(row) for row in versions] == [("DISTANCE", "b" * 64, COMMIT), ("TERMINAL", "a" * 64, COMMIT)]


async def test_a_repeat_and_a_change_without_meaning_publish_nothing(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    records = [crm.record(value) for value in crm.order_of_american()]
    await _handle(agent, connection, [*records, records[0]])
    await _advance(agent, connection)
    noise = crm.change("Order", crm.ORDER_ID, "2013-01-05T00:00:00Z", "UPDATE", LastModifiedDate="2013-01-05T00:00:00Z")
    tx = await _handle(agent, connection, [*records, crm.record(noise)])
    assert tx.outcomes["sf.cdc.Account", "duplicate"] == 1
    assert tx.outcomes["sf.cdc.Order", "applied"] == 1
    assert await _advance(agent, connection) == []


async def test_history_is_kept_field_by_field_with_both_times(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    item = crm.TERMINAL_ITEM_ID
    late = crm.record(crm.change("OrderItem", item, "2013-02-01T00:00:00Z", "UPDATE", Quantity="2"))
    first = crm.change("OrderItem", item, "2013-01-01T00:00:00Z", Quantity="1", Weight__c=15)
    early = crm.record(first, recorded_at=datetime(2013, 3, 1, tzinfo=UTC))
    await _handle(agent, connection, [late, early])
    current = await connection.fetchval("SELECT field_values::text FROM contracts.record WHERE record_id = $1", item)
    assert '"Quantity": "2"' in current
    assert '"Weight__c": 15' in current
    rows = await connection.fetch(
        "SELECT value::text, effective_at, recorded_at FROM contracts.field_version WHERE field = 'Quantity' ORDER BY 2"
    )
    assert [tuple(row) for row in rows] == [
        ('"1"', datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)),
        ('"2"', datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_arrival_ends_in_the_same_publication(
    crm: SimpleNamespace, offers: Offers, connect: Connect, seed: int
) -> None:
    changes = [
        *crm.order_of_american(),
        crm.change("Account", crm.ACCOUNT_ID, "2013-03-05T10:00:00Z", "UPDATE", Name="American"),
        crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-06-10T12:00:00Z", "UPDATE", Quantity="3"),
        crm.change("OrderItem", crm.DISTANCE_ITEM_ID, "2013-07-10T12:00:00Z", "DELETE"),
    ]
    records = [crm.record(value) for value in changes]
    connection, agent = await connect(), _agent(offers, interim_seconds=1)
    rng = random.Random(seed)
    rng.shuffle(records)
    last: dict[bytes | None, Any] = {}
    for record in records:
        await _handle(agent, connection, [record])
        if rng.random() < 0.5:
            last.update({row.key: decode_event(row.value).data for row in await _flush(agent, connection)})
    last.update({row.key: decode_event(row.value).data for row in await _flush(agent, connection)})

    subscription = last[f"AA/subscription/{crm.ORDER_ID}".encode()]
    terminal, distance = subscription.items
    assert [(str(terms.effective_from), terms.quantity) for terms in terminal.terms] == [
        ("2013-01-01", Decimal(1)),
        ("2013-06-10", Decimal(3)),
    ]
    assert (str(distance.service_start_on), str(distance.service_end_on)) == ("2013-02-01", "2013-07-10")
    assert [version.name for version in last[b"AA/account/AA"].versions] == ["American Airlines Inc.", "American"]
    assert await _sentences(connection) == []


async def test_an_order_waits_for_its_account_with_a_sentence_and_goes_out_as_soon_as_it_comes(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    account, *rest = [crm.record(value) for value in crm.order_of_american()]
    await _handle(agent, connection, rest)
    assert await _advance(agent, connection) == []
    assert await _sentences(connection) == [
        f"Order {crm.ORDER_ID} waits for its account {crm.ACCOUNT_ID}, which is not known or not complete."
    ]
    await _handle(agent, connection, [account])
    assert [row.key for row in await _advance(agent, connection)] == [
        b"AA/account/AA",
        f"AA/subscription/{crm.ORDER_ID}".encode(),
    ]
    assert await _sentences(connection) == []


async def test_changes_and_the_end_are_events_of_their_own_type(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    await _handle(agent, connection, [crm.record(value) for value in crm.order_of_american()])
    started = (await _advance(agent, connection))[-1]
    more = crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-06-10T12:00:00Z", "UPDATE", Quantity="3")
    await _handle(agent, connection, [crm.record(more)])
    changed = await _advance(agent, connection)
    gone = crm.change("Order", crm.ORDER_ID, "2013-08-10T12:00:00Z", "DELETE")
    await _handle(agent, connection, [crm.record(gone)])
    ended = await _advance(agent, connection)

    events = [decode_event(row.value) for row in (started, *changed, *ended)]
    assert [event.type.split(".")[2] for event in events] == ["started", "changed", "ended"]
    assert len({event.id for event in events}) == 3
    assert str(events[2].data.ended_on) == "2013-08-10"
    content = await connection.fetchval("SELECT content::text FROM contracts.published WHERE role = 'subscription'")
    assert '"ended_on": "2013-08-10"' in content


async def test_bad_records_are_dead_letters_and_the_others_go_on(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    good = [crm.record(value) for value in crm.order_of_american()]
    conflict = crm.order_of_american()[1]
    conflict["values"]["EffectiveDate"] = "2014-01-01"
    float_quantity = crm.change("OrderItem", "802NY0000000099", "2013-01-01T00:00:00Z", Quantity=1.5)
    no_id = crm.change("Order", "801", "2013-01-01T00:00:00Z")
    tx = await _handle(
        agent,
        connection,
        [crm.record(b"{"), *good, crm.record(conflict), crm.record(float_quantity), crm.record(no_id)],
    )
    assert [rejection.reason for rejection in tx.rejections] == [
        Reason.MALFORMED_JSON,
        Reason.FLOAT_AMOUNT,
        Reason.UNKNOWN_SHAPE,
        Reason.IDENTITY_CONFLICT,
    ]
    published = await _advance(agent, connection)
    assert str(decode_event(published[-1].value).data.started_on) == "2013-01-01"


async def test_in_replay_a_tick_publishes_only_what_came_before_it(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    first, second = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 6, 11, tzinfo=UTC)
    await _handle(agent, connection, [crm.record(value) for value in crm.order_of_american()])
    more = crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-06-10T12:00:00Z", "UPDATE", Quantity="3")
    await _handle(agent, connection, [crm.record(more, watermark_at=first)])  # read ahead of the tick

    assert await _flush(agent, connection) == []
    started = decode_event((await _advance(agent, connection, first))[-1].value)
    assert (started.type, len(started.data.items[0].terms)) == ("fakturo.subscription.started.v1", 1)
    assert await _advance(agent, connection, first) == []
    changed = decode_event((await _advance(agent, connection, second))[-1].value)
    assert (changed.type, len(changed.data.items[0].terms)) == ("fakturo.subscription.changed.v1", 2)


async def test_ticks_that_are_passed_together_publish_each_stretch_by_itself(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    await _handle(agent, connection, [crm.record(value) for value in crm.order_of_american()])
    more = crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-06-10T12:00:00Z", "UPDATE", Quantity="3")
    await _handle(agent, connection, [crm.record(more, watermark_at=TICK)])
    types = [decode_event(row.value).type.split(".")[2] for row in await _advance(agent, connection, LATER)]
    assert types == ["changed", "started", "changed"]  # the account, then the subscription twice


async def test_two_workers_with_records_of_one_order_lose_nothing_whoever_commits_last(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    one, other, publisher = await connect(), await connect(), await connect()
    agent = _agent(offers, interim_seconds=1)
    account, *rest = [crm.record(value) for value in crm.order_of_american()]
    async with _transaction(one) as slow:
        await agent.handle([account], slow)  # not committed while the other worker and a publication run
        await _handle(agent, other, rest)
        assert await _flush(agent, publisher) == []
    assert [row.key for row in await _flush(agent, publisher)] == [
        b"AA/account/AA",
        f"AA/subscription/{crm.ORDER_ID}".encode(),
    ]


async def test_a_change_that_arrives_while_its_order_is_being_published_is_published_next(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    worker, publisher = await connect(), await connect()
    agent = _agent(offers, interim_seconds=1)
    await _handle(agent, worker, [crm.record(value) for value in crm.order_of_american()])
    more = crm.change("OrderItem", crm.TERMINAL_ITEM_ID, "2013-06-10T12:00:00Z", "UPDATE", Quantity="3")
    async with _transaction(worker) as slow:
        await agent.handle([crm.record(more)], slow)
        first = await _flush(agent, publisher)
    second = await _flush(agent, publisher)
    assert len(decode_event(first[-1].value).data.items[0].terms) == 1
    assert [decode_event(row.value).type for row in second] == ["fakturo.subscription.changed.v1"]


async def test_a_second_account_with_the_same_number_is_said_and_not_published(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection, agent = await connect(), _agent(offers)
    twin = crm.change(
        "Account", "001NY0000000009", "2013-01-01T00:00:00Z", AccountNumber="AA", Name="Twin", CurrencyIsoCode="USD"
    )
    await _handle(agent, connection, [crm.record(crm.order_of_american()[0]), crm.record(twin)])
    assert [row.key for row in await _advance(agent, connection)] == [b"AA/account/AA"]
    sentences = await _sentences(connection)
    assert len(sentences) == 1
    assert f"has the number AA, which {crm.ACCOUNT_ID} has already" in sentences[0]


async def test_a_new_catalog_publishes_what_it_changes(crm: SimpleNamespace, offers: Offers, connect: Connect) -> None:
    connection = await connect()
    agent = _agent(offers)
    await _handle(agent, connection, [crm.record(value) for value in crm.order_of_american()])
    await _advance(agent, connection)
    renamed = {**offers.by_code, "TERMINAL": replace(offers.by_code["TERMINAL"], name="Terminal")}
    rows = await _advance(_agent(Offers(currency="USD", by_code=renamed)), connection, LATER)
    assert [decode_event(row.value).data.items[0].product_name for row in rows] == ["Terminal"]
    assert await _advance(_agent(Offers(currency="USD", by_code=renamed)), connection, LATER) == []
