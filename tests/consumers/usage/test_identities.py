"""Identities: once in the book whoever writes first, whole ones told apart where their fingerprints are the same."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import asyncpg
import pytest

from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.usage import identities, segment_store
from fakturo.consumers.usage.event_store import find_events, stored_events
from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import (
    BY_REGION,
    CALLS,
    TOKENS,
    Desk,
    account,
    all_events,
    item,
    reasons,
    settings_of,
    subscription,
)

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a second worker's connection."""
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def quantity(desk: Desk) -> Decimal:
    """Return the newest running quantity of the only item."""
    return (await desk.flush())[-1].quantity


async def test_repeats_are_counted_in_a_batch_and_across_batches_whatever_share_they_have(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"), desk.usage("1"), desk.usage("2"))
    for first in range(2, 12):  # each batch repeats half of the one before
        tx = await desk.hand_in(*(desk.usage(str(number)) for number in range(first, first + 2)))
        assert tx.outcomes["billing.usage", "duplicate"] == 1
        assert not tx.rejections
    assert await quantity(desk) == Decimal(12)
    assert len(await desk.stored()) == 12


async def test_of_two_workers_with_the_same_events_one_counts_them_and_the_other_finds_them(
    desk: Desk, other: asyncpg.Connection
) -> None:
    """The second waits for the first one's commit: its copy is refused, it looks the identities up, it counts none."""
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    second = Desk(other, UsageAgent(settings_of()), offsets=desk.offsets)
    batch = [desk.usage(str(number)) for number in range(300)]
    mixed = [*batch[::-1], desk.usage("mine"), desk.usage("7", data={"tokens": "6"})]
    one = desk.transaction()
    async with desk.connection.transaction():
        await desk.agent.handle(batch, one)
        waiting = asyncio.create_task(second.hand_in(*mixed, connection=other))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    two = await waiting
    assert (one.outcomes["billing.usage", "duplicate"], two.outcomes["billing.usage", "duplicate"]) == (0, 300)
    assert reasons(two) == ["identity_conflict"]
    assert await quantity(desk) == Decimal(5 * 301)


async def test_what_a_worker_rolls_back_the_other_counts(desk: Desk, other: asyncpg.Connection) -> None:
    await desk.sign(account(), subscription(item("calls")))
    second = Desk(other, UsageAgent(settings_of()), offsets=desk.offsets)
    transaction = desk.connection.transaction()
    await transaction.start()
    await desk.agent.handle([desk.usage("1"), desk.usage("2")], desk.transaction())
    waiting = asyncio.create_task(second.hand_in(second.usage("2"), second.usage("1"), connection=other))
    await asyncio.sleep(0.2)
    await transaction.rollback()
    tx = await waiting
    assert tx.outcomes["billing.usage", "duplicate"] == 0
    assert await quantity(desk) == Decimal(2)


@pytest.fixture
def colliding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only four fingerprints be."""
    whole = identities.fingerprint
    monkeypatch.setattr(identities, "fingerprint", lambda source, id_: whole(source, id_) % 4)


@pytest.mark.usefixtures("colliding")
async def test_events_whose_fingerprints_are_the_same_are_told_apart_by_their_whole_identities(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(8)))
    tx = await desk.hand_in(*(desk.usage(str(number)) for number in range(4, 12)))
    assert tx.outcomes["billing.usage", "duplicate"] == 4
    again = [desk.usage("20"), desk.usage("20"), desk.usage("20", data={"tokens": "6"})]
    other_payload = [desk.usage(str(number), data={"tokens": "7"}) for number in range(12)]
    tx = await desk.hand_in(*again, *other_payload)
    assert tx.outcomes["billing.usage", "duplicate"] == 1
    assert reasons(tx) == ["identity_conflict"] * 13
    assert await quantity(desk) == Decimal(5 * 13)
    assert len(await all_events(desk.connection)) == 13
    asked = [("meter/1", str(number)) for number in (*range(12), 20, 99)]
    found = await find_events(desk.connection, asked)
    assert sorted(found) == sorted(asked[:-1])
    assert {event.id for event in found.values()} == {identity[1] for identity in found}


@pytest.mark.usefixtures("colliding")
async def test_two_workers_with_colliding_events_store_each_once(desk: Desk, other: asyncpg.Connection) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(*(desk.usage(f"first{number}") for number in range(20)))
    second = Desk(other, UsageAgent(settings_of()), offsets=desk.offsets)
    batch = [desk.usage(str(number)) for number in range(10)]
    async with desk.connection.transaction():
        await desk.agent.handle(batch, desk.transaction())
        waiting = asyncio.create_task(second.hand_in(*batch, second.usage("more"), connection=other))
        await asyncio.sleep(0.2)
    tx = await waiting
    assert tx.outcomes["billing.usage", "duplicate"] == 10
    assert await quantity(desk) == Decimal(31)


async def test_events_are_read_back_in_order_of_account_type_and_time_however_they_came(desk: Desk) -> None:
    names = [f"A{number}" for number in range(12)]
    for number, name in enumerate(names):
        await desk.sign(account(name, salesforce_id=f"{number:018}"), subscription(item(f"i{name}"), account_id=name))
    random, expected = Random(7), []
    for batch in range(6):
        records = []
        for number in range(150):
            name, day = random.choice(names), random.randrange(59)
            at = f"2026-{1 + day // 31:02}-{1 + day % 31 if day < 31 else day - 30:02}T00:00:{number % 60:02}Z"
            event_id = f"{batch}-{number}"
            records.append(desk.usage(event_id, at, subject=name))
            if name == "A3":
                expected.append((datetime.fromisoformat(at), records[-1].offset, event_id))
        await desk.hand_in(*records)
    async with desk.connection.transaction():
        found = [event async for event in stored_events(desk.connection, "A3", ["api.call"], *EVER)]
        assert [(event.at, event.offset, event.id) for event in found] == sorted(expected)
        february = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 10, 0, 0, 30, tzinfo=UTC)
        part = [event.id async for event in stored_events(desk.connection, "A3", ["api.call"], *february)]
        assert part == [name for at, _, name in sorted(expected) if february[0] <= at < february[1]]
        assert [event async for event in stored_events(desk.connection, "A3", ["other"], *EVER)] == []


async def test_a_repeat_of_an_event_whose_segment_is_kept_no_more_is_a_repeat(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls", CALLS)))
    await desk.hand_in(desk.usage("1"))
    await desk.connection.execute("TRUNCATE usage.segment")
    tx = await desk.hand_in(desk.usage("1"), desk.usage("2"))
    assert (tx.outcomes["billing.usage", "duplicate"], reasons(tx)) == (1, [])
    assert await desk.stored() == ["2"]


async def test_one_event_that_the_database_refuses_costs_a_bisection_and_the_others_are_counted(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls", BY_REGION)))
    await desk.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'numeric_value_out_of_range'; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON usage.rollup FOR EACH ROW "
        "WHEN (NEW.dimensions LIKE '%poison%') EXECUTE FUNCTION refuse()"
    )
    records = [desk.usage(str(number), data={"region": "eu"}) for number in range(64)]
    records[40] = desk.usage("poison", data={"region": "poison"})
    calls = 0
    handle = desk.agent.handle

    async def counting(batch: object, tx: object) -> None:
        nonlocal calls
        calls += 1
        await handle(batch, tx)  # type: ignore[arg-type]

    desk.agent.handle = counting  # type: ignore[method-assign, assignment]
    tx = desk.transaction()
    async with desk.connection.transaction():
        await handle_isolated(desk.agent, records, tx)
    assert reasons(tx) == ["rejected_by_database"]
    assert calls == 1 + 2 * 6  # 64 records: halved six times, both halves tried
    assert len(await desk.stored()) == 63


async def test_small_segments_are_merged_and_everything_is_found_as_before(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    for number in range(100):  # two days, a segment a batch
        at = f"2026-02-{1 + number % 2:02}T10:00:{number % 60:02}Z"
        await desk.hand_in(desk.usage(str(number), at))
    async with desk.connection.transaction():
        before = [event async for event in stored_events(desk.connection, "UA", ["api.call"], *EVER)]
    await desk.flush()
    counts = [row["event_count"] for row in await desk.connection.fetch("SELECT event_count FROM usage.segment")]
    assert counts == [100]
    async with desk.connection.transaction():
        assert [event async for event in stored_events(desk.connection, "UA", ["api.call"], *EVER)] == before
    tx = await desk.hand_in(*(desk.usage(str(n), f"2026-02-{1 + n % 2:02}T10:00:{n % 60:02}Z") for n in range(100)))
    assert (tx.outcomes["billing.usage", "duplicate"], reasons(tx)) == (100, [])
    assert reasons(await desk.hand_in(desk.usage("7", "2026-02-09T00:00:00Z"))) == ["identity_conflict"]
    found = await find_events(desk.connection, [("meter/1", str(number)) for number in range(100)])
    assert len(found) == 100


async def test_what_took_the_place_of_many_segments_is_read_once_for_all_of_them(desk: Desk) -> None:
    """A day is sent again: 40 small segments became one, which need not be read forty times."""
    await desk.sign(account(), subscription(item("calls")))
    for number in range(40):
        await desk.hand_in(desk.usage(str(number)))
    came_in = await identities.known_segments(
        desk.connection, [identities.fingerprint("meter/1", str(number)) for number in range(40)]
    )
    await desk.flush()
    found = [asked async for asked, _ in segment_store.contents(desk.connection, set(came_in.values()))]
    assert found == [set(came_in.values())]
    assert len(found[0]) == 40


async def test_a_quarter_of_an_hour_is_read_back_without_what_lies_around_it(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    times = ("10:14:59", "10:15:00", "10:29:59", "10:30:00")
    await desk.hand_in(*(desk.usage(time, f"2026-02-10T{time}Z") for time in times))
    quarter = datetime(2026, 2, 10, 10, 15, tzinfo=UTC), datetime(2026, 2, 10, 10, 30, tzinfo=UTC)
    async with desk.connection.transaction():
        found = [event.id async for event in stored_events(desk.connection, "UA", ["api.call"], *quarter)]
    assert found == ["10:15:00", "10:29:59"]
