"""Contracts and usage in any order, also at the same time: what comes first waits, and nothing is missed."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import handler
from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import (
    BEGINNING,
    BY_REGION,
    CALLS,
    SALESFORCE_ID,
    THREE_EACH,
    TOKENS,
    Desk,
    account,
    item,
    price,
    reasons,
    settings_of,
    subscription,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize("account_first", [True, False])
async def test_usage_before_its_contract_is_parked_and_billed_when_the_contract_comes(
    desk: Desk, account_first: bool
) -> None:
    tx = await desk.hand_in(desk.usage("1"), desk.usage("2", subject=SALESFORCE_ID))
    assert tx.outcomes["billing.usage", "parked"] == 2
    assert sorted(await desk.parked()) == [SALESFORCE_ID, "UA"]
    facts = [account(), subscription(item("calls"))]
    first, second = facts if account_first else reversed(facts)
    await desk.sign(first)
    assert len(await desk.parked()) == 2
    tx = await desk.sign(second)
    assert tx.outcomes["billing.usage", "released"] == 2
    assert await desk.parked() == []
    await desk.hand_in(desk.usage("3"))
    await desk.tick(MARCH)
    assert desk.finals() == [("calls", "2026-02-01", Decimal(3), 600)]


async def test_contract_and_usage_in_one_batch_need_no_parking(desk: Desk) -> None:
    contracts = (desk.contract(account()), desk.contract(subscription(item("calls"))))
    tx = await desk.hand_in(desk.usage("1"), *contracts, desk.usage("2"))
    assert not tx.outcomes["billing.usage", "parked"]
    assert await desk.stored() == ["1", "2"]


async def test_parked_usage_claims_no_identity_so_the_first_to_arrive_counts(desk: Desk) -> None:
    tx = await desk.hand_in(
        desk.usage("1", data={"tokens": 1}), desk.usage("1", data={"tokens": 2}), desk.usage("1", data={"tokens": 1})
    )
    assert tx.outcomes["billing.usage", "parked"] == 3
    tx = await desk.sign(account(), subscription(item("tokens", TOKENS)))
    assert reasons(tx) == ["identity_conflict"]
    assert tx.outcomes["billing.usage", "duplicate"] == 1
    await desk.tick(MARCH)
    assert [quantity for _, _, quantity, _ in desk.finals()] == [Decimal(1)]


async def test_usage_that_no_meter_counts_waits_for_an_item_whose_meter_does(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    tx = await desk.hand_in(desk.usage("1", type="disk.usage", data={"tokens": 4}), desk.usage("2"))
    assert tx.outcomes["billing.usage", "parked"] == 1
    disk = CALLS.__class__(code="disk", event_type="disk.usage", aggregation="sum", value="data.tokens")
    await desk.sign(subscription(item("calls"), item("disk", disk)))
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("calls", "2026-02-01", Decimal(1), 200),
        ("disk", "2026-02-01", Decimal(4), 800),
    ]


async def test_a_filter_that_does_not_hold_parks_the_event(desk: Desk) -> None:
    eu = CALLS.__class__(code="eu", event_type="api.call", aggregation="count", filter={"region": ("eu",)})
    await desk.sign(account(), subscription(item("eu", eu)))
    tx = await desk.hand_in(desk.usage("1"), desk.usage("2", data={"region": "us"}), desk.usage("3", data={}))
    assert tx.outcomes["billing.usage", "parked"] == 2
    assert await desk.stored() == ["1"]


async def test_a_meter_that_comes_after_its_usage_counts_it_too(desk: Desk) -> None:
    """The event was stored for `calls`; the item on `tokens` comes later and is in service from 1 February."""
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(3)))
    await desk.sign(subscription(item("tokens", TOKENS), name="second"))
    await desk.hand_in(desk.usage("3"))
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("calls", "2026-02-01", Decimal(4), 800),
        ("tokens", "2026-02-01", Decimal(20), 4000),
    ]


async def test_a_backdated_item_gets_all_its_past_periods_at_the_next_tick(desk: Desk) -> None:
    await desk.sign(account())
    await desk.hand_in(desk.usage("1", "2026-02-10T00:00:00Z"), desk.usage("2", "2026-03-10T00:00:00Z"))
    await desk.tick(APRIL)
    assert desk.finals() == []
    await desk.sign(subscription(item("calls", service_start_on=date(2026, 1, 15))), watermark_at=APRIL)
    await desk.tick(APRIL)
    assert desk.finals() == []  # the contract came after that tick
    await desk.tick(datetime(2026, 4, 2, tzinfo=UTC))
    assert desk.finals() == [
        ("calls", "2026-01-01", Decimal(0), 0),
        ("calls", "2026-02-01", Decimal(1), 200),
        ("calls", "2026-03-01", Decimal(1), 200),
    ]
    first = desk.published[0]
    assert first.slices[0].period.start == datetime(2026, 1, 15, tzinfo=UTC)


async def test_an_item_that_ended_gets_its_last_statement_and_no_more(desk: Desk) -> None:
    ended = item("calls", service_end_on=date(2026, 3, 11))
    await desk.sign(account(), subscription(ended))
    await desk.hand_in(desk.usage("in", "2026-03-10T23:59:59Z"), desk.usage("out", "2026-03-11T00:00:00Z"))
    await desk.tick(datetime(2026, 6, 1, tzinfo=UTC))
    assert desk.finals() == [("calls", "2026-02-01", Decimal(0), 0), ("calls", "2026-03-01", Decimal(1), 200)]


async def test_no_period_is_opened_from_the_last_day_of_billing_on(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, UsageAgent(settings_of(billing_until=date(2026, 4, 1))))
    await desk.sign(account(), subscription(item("calls")))
    await desk.tick(datetime(2026, 8, 1, tzinfo=UTC))
    assert [start for _, start, _, _ in desk.finals()] == ["2026-02-01", "2026-03-01"]


async def test_a_changed_contract_prices_the_open_period_anew_and_revises_the_closed_one(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1", "2026-02-10T00:00:00Z"), desk.usage("2", "2026-03-10T00:00:00Z"))
    await desk.tick(MARCH)
    await desk.flush()
    await desk.sign(subscription(item("calls", CALLS, price(THREE_EACH))))
    assert [one.amount_minor for one in await desk.flush()] == [300]
    await desk.tick(APRIL)
    assert desk.finals() == [
        ("calls", "2026-02-01", Decimal(1), 200),
        ("calls", "2026-03-01", Decimal(1), 300),
        ("calls", "2026-02-01", Decimal(1), 300),
    ]
    assert desk.event_ids[-1] == "calls/2026-02-01/final/2"


async def test_an_item_that_left_its_subscription_is_stated_no_more(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls"), item("tokens", TOKENS)))
    await desk.sign(subscription(item("calls")))
    await desk.tick(MARCH)
    assert [name for name, *_ in desk.finals()] == ["calls"]


async def test_a_contract_that_cannot_be_metered_is_dead_lettered(desk: Desk) -> None:
    median = CALLS.__class__(code="users", event_type="api.call", aggregation="median", value="data.user")
    tx = await desk.sign(subscription(item("users", median)))
    assert reasons(tx) == ["unknown_shape"]


@pytest.mark.parametrize("usage_first", [True, False])
async def test_usage_and_its_contract_at_the_same_time_miss_each_other_in_neither_order(
    desk: Desk, database_url: str, usage_first: bool
) -> None:
    """Two workers, both transactions open at once; the one that comes second waits for the first, then sees it."""
    await desk.sign(account())
    other = await asyncpg.connect(database_url)
    worker = UsageAgent(settings_of())
    usage_tx, contract_tx = desk.transaction(), desk.transaction(other)

    async def count() -> None:
        await desk.agent.handle([desk.usage("1")], usage_tx)

    async def bring() -> None:
        await worker.handle([desk.contract(subscription(item("calls")))], contract_tx)

    first, second = (count, bring) if usage_first else (bring, count)
    first_tx, second_tx = (usage_tx, contract_tx) if usage_first else (contract_tx, usage_tx)
    try:
        outer, inner = first_tx.driver.transaction(), second_tx.driver.transaction()
        await outer.start()
        await inner.start()
        await first()
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await outer.commit()
        await waiting
        await inner.commit()
    finally:
        await other.close()
    assert await desk.parked() == []
    assert await desk.stored() == ["1"]
    await desk.tick(MARCH)
    assert [quantity for _, _, quantity, _ in desk.finals()] == [Decimal(1)]


async def test_two_workers_with_the_same_events_count_each_once(desk: Desk, database_url: str) -> None:
    await desk.sign(account(), subscription(item("calls")))
    other = await asyncpg.connect(database_url)
    worker = Desk(other, UsageAgent(settings_of()))
    ids = [f"{number:03}" for number in range(300)]
    try:
        for start in range(0, 300, 50):
            part = [desk.usage(one) for one in ids[start : start + 50]]
            await asyncio.gather(desk.hand_in(*part), worker.hand_in(*reversed(part)))
    finally:
        await other.close()
    assert await desk.stored() == ids
    await desk.tick(MARCH)
    assert [quantity for _, _, quantity, _ in desk.finals()] == [Decimal(300)]


async def test_a_worker_sees_the_contracts_that_another_brought(desk: Desk, database_url: str) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"))
    other = await asyncpg.connect(database_url)
    try:
        await Desk(other, UsageAgent(settings_of())).sign(subscription(item("tokens", TOKENS), name="second"))
    finally:
        await other.close()
    await desk.hand_in(desk.usage("2"))
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("calls", "2026-02-01", Decimal(2), 400),
        ("tokens", "2026-02-01", Decimal(10), 2000),
    ]


async def test_a_rolled_back_batch_leaves_nothing_in_the_workers_memory(desk: Desk) -> None:
    tx = desk.transaction()
    opened = tx.driver.transaction()
    await opened.start()
    await desk.agent.handle([desk.contract(account()), desk.contract(subscription(item("calls"))), desk.usage("1")], tx)
    await opened.rollback()
    assert (await desk.hand_in(desk.usage("1"))).outcomes["billing.usage", "parked"] == 1


async def test_a_worker_knows_an_account_no_more_by_the_salesforce_id_that_it_had(desk: Desk) -> None:
    """As one that was started since: usage under the old id waits for an account that has it."""
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1", subject=SALESFORCE_ID))
    await desk.sign(account(salesforce_id="001NY0000000009YAA"))
    tx = await desk.hand_in(desk.usage("2", subject=SALESFORCE_ID), desk.usage("3", subject="001NY0000000009YAA"))
    assert tx.outcomes["billing.usage", "parked"] == 1
    assert await desk.stored() == ["1", "3"]
    assert await desk.parked() == [SALESFORCE_ID]


@pytest.mark.parametrize("batches", [[["A", "B", "A"]], [["A"], ["B"], ["A"]], [["A", "B"], ["A"]]])
async def test_a_salesforce_id_is_that_of_the_account_that_named_it_last_wherever_a_batch_ends(
    desk: Desk, batches: list[list[str]]
) -> None:
    minutes = itertools.count()
    for names in batches:
        words = [account(name, recorded_at=BEGINNING + timedelta(minutes=next(minutes))) for name in names]
        await desk.sign(*words)
    rows = await desk.connection.fetch("SELECT account_id, salesforce_id FROM usage.account ORDER BY account_id")
    assert [tuple(row) for row in rows] == [("A", SALESFORCE_ID), ("B", None)]


async def test_what_waits_for_more_is_parked_again_part_by_part_and_met_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million events of a type that nothing counts yet are not held in memory each time their account changes."""
    monkeypatch.setattr(handler, "RELEASE_RECORDS", 2)
    kinds = ["api.call", "other", "other", "other", "api.call", "other"]
    await desk.hand_in(*(desk.usage(str(number), type=kind) for number, kind in enumerate(kinds)))
    parts: list[int] = []
    park = Transaction.park

    async def counting(tx: Transaction, items: Sequence[Any]) -> None:
        parts.append(len(items))
        await park(tx, items)

    monkeypatch.setattr(Transaction, "park", counting)
    tx = await desk.sign(account(), subscription(item("calls")))
    assert parts == [1, 2, 1]
    assert (tx.outcomes["billing.usage", "released"], tx.outcomes["billing.usage", "parked"]) == (2, 0)
    assert await desk.stored() == ["0", "4"]
    assert await desk.parked() == ["UA"] * 4


async def test_a_parked_event_that_cannot_be_counted_is_refused_and_not_the_contract_that_releases_it(
    desk: Desk,
) -> None:
    await desk.hand_in(desk.usage("bad", data={"region": Random(1).randbytes(4000).hex()}), desk.usage("good"))
    tx = desk.transaction()
    facts = [desk.contract(fact) for fact in (account(), subscription(item("regions", BY_REGION)))]
    async with desk.connection.transaction():
        await handle_isolated(desk.agent, facts, tx)
    assert [(one.record.topic, one.reason.value) for one in tx.rejections] == [("billing.usage", "unknown_shape")]
    assert await desk.stored() == ["good"]
