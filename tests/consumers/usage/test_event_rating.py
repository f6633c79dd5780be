"""What no total can serve: distinct values, levels over time, prices of single events; rated from the stored events."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.usage import statements
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import (
    BY_REGION,
    TOKENS,
    TWO_EACH,
    Desk,
    account,
    item,
    price,
    settings_of,
    subscription,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def meter(aggregation: str, value: str = "data.tokens", **given: Any) -> MeterDefinition:
    """Return a meter on the calls."""
    return MeterDefinition(code=aggregation, event_type="api.call", aggregation=aggregation, value=value, **given)


USERS = meter("unique", "data.user")
LEVEL = meter("weighted_sum")
MEAN = meter("average")


async def test_distinct_values_are_counted_over_batches_and_anew_each_month(desk: Desk) -> None:
    """February has ann and bob, March only ann: 2 x 2 and 1 x 2 EUR."""
    await desk.sign(account(), subscription(item("users", USERS)))
    for number, (user, day) in enumerate([("ann", "02-10"), ("bob", "02-11"), ("ann", "02-12"), ("ann", "03-01")]):
        await desk.hand_in(desk.usage(str(number), f"2026-{day}T00:00:00Z", data={"user": user}))
    await desk.tick(APRIL)
    assert desk.finals() == [("users", "2026-02-01", Decimal(2), 400), ("users", "2026-03-01", Decimal(1), 200)]


async def test_distinct_values_are_counted_by_group_and_the_groups_are_added(desk: Desk) -> None:
    """ann in eu and us, bob in eu: 2 + 1."""
    by_region = meter("unique", "data.user", group_by=("region",))
    await desk.sign(account(), subscription(item("users", by_region)))
    for number, (user, region) in enumerate([("ann", "eu"), ("bob", "eu"), ("ann", "us"), ("ann", "us")]):
        await desk.hand_in(desk.usage(str(number), data={"user": user, "region": region}))
    await desk.tick(MARCH)
    assert desk.finals() == [("users", "2026-02-01", Decimal(3), 600)]
    assert desk.published[0].slices[0].quantities == {'{"region":"eu"}': Decimal(2), '{"region":"us"}': Decimal(1)}


async def test_a_mean_is_that_of_all_events_however_they_were_batched(desk: Desk) -> None:
    """(1 + 2 + 6) / 3 = 3 at 2 EUR, though the batches' means are 1.5 and 6."""
    await desk.sign(account(), subscription(item("mean", MEAN)))
    await desk.hand_in(desk.usage("1", data={"tokens": "1"}), desk.usage("2", data={"tokens": "2"}))
    await desk.hand_in(desk.usage("3", "2026-02-20T00:00:00Z", data={"tokens": "6"}))
    await desk.tick(MARCH)
    assert desk.finals() == [("mean", "2026-02-01", Decimal(3), 600)]


async def test_a_level_counts_for_the_share_of_the_month_that_it_held_and_is_carried_on(desk: Desk) -> None:
    """February has 28 days: 10 from the 15th on is 10 x 14 / 28 = 5. March: 10 for 31 days, less 4 from the 1st: 6."""
    await desk.sign(account(), subscription(item("level", LEVEL)))
    await desk.hand_in(
        desk.usage("down", "2026-03-01T00:00:00Z", data={"tokens": "-4"}),
        desk.usage("up", "2026-02-15T00:00:00Z", data={"tokens": "10"}),
    )
    await desk.tick(datetime(2026, 5, 1, tzinfo=UTC))
    assert desk.finals() == [
        ("level", "2026-02-01", Decimal(5), 1000),
        ("level", "2026-03-01", Decimal(6), 1200),
        ("level", "2026-04-01", Decimal(6), 1200),
    ]


async def test_a_price_change_splits_a_level_by_the_shares_of_the_month(desk: Desk) -> None:
    """8 all February; 1 EUR to the 15th, then 2: 8 x 14 / 28 = 4 at 1 and 4 at 2."""
    one_each = {"model": "per_unit", "unit_amount": "1", "currency": "EUR"}
    level = item("level", LEVEL, price(one_each), price(TWO_EACH, date(2026, 2, 15)))
    await desk.sign(account(), subscription(level))
    await desk.hand_in(desk.usage("1", "2026-02-01T00:00:00Z", data={"tokens": "8"}))
    await desk.tick(MARCH)
    slices = [(one.quantity, one.amount_minor) for one in desk.published[-1].slices]
    assert slices == [(Decimal(4), 400), (Decimal(4), 800)]


async def test_a_running_level_is_held_up_to_the_newest_event(desk: Desk) -> None:
    """14 from the 1st to the 15th, when 1 comes: 14 x 14 / 28 = 7 so far."""
    await desk.sign(account(), subscription(item("level", LEVEL)))
    await desk.hand_in(desk.usage("1", "2026-02-01T00:00:00Z", data={"tokens": "14"}))
    await desk.hand_in(desk.usage("2", "2026-02-15T00:00:00Z", data={"tokens": "1"}))
    (running,) = await desk.flush()
    assert (running.quantity, running.final) == (Decimal(7), False)


PERCENT = {"model": "percentage", "percent": "1.5", "fixed_amount": "0.25"}
FREE_FIRST = {"model": "percentage", "percent": "10", "free_events": 1}
SHARES = {
    "model": "graduated_percentage",
    "tiers": [{"up_to": "100", "percent": "2"}, {"up_to": None, "percent": "1"}],
}
PACKAGES = {"model": "package", "package_size": "10", "package_amount": "1", "per_event": True}
INCREMENTS = {"model": "per_unit", "unit_amount": "0.01", "event_increments": {"minimum": "30", "step": "6"}}
PRICES: list[tuple[dict[str, Any], list[str], int]] = [
    (PERCENT, ["100", "200"], 500),  # 1.50 + 0.25 + 3.00 + 0.25
    (FREE_FIRST, ["50", "100"], 1000),  # the older one, of 50, is free
    (SHARES, ["80", "70"], 250),  # 2 % of 100 + 1 % of 50
    ({"model": "dynamic", "multiplier": "1.1"}, ["5.5", "4.5"], 1100),  # (5.5 + 4.5) x 1.1
    (PACKAGES, ["12", "5"], 300),  # 2 packages and 1, not the 2 that 17 would need
    (INCREMENTS, ["10", "31"], 66),  # 30 and 36
]


@pytest.mark.parametrize(("document", "values", "cents"), PRICES)
async def test_a_price_of_single_events_rates_them_by_their_time_whatever_came_first(
    desk: Desk, document: dict[str, Any], values: list[str], cents: int
) -> None:
    await desk.sign(account(), subscription(item("each", TOKENS, price({**document, "currency": "EUR"}))))
    for hour, value in reversed(list(enumerate(values))):
        await desk.hand_in(desk.usage(f"{hour}", f"2026-02-10T0{hour}:00:00Z", data={"tokens": value}))
    (running,) = await desk.flush()
    assert running.amount_minor == cents
    await desk.tick(MARCH)
    assert [amount for *_, amount in desk.finals()] == [cents]
    assert desk.published[-1].slices[0].explanation


async def test_a_capacity_is_that_of_the_peaks_by_group(desk: Desk) -> None:
    """eu peaks at 120, beyond the first tier's 100: 20 EUR."""
    tiers = [{"limits": {"eu": "100"}, "amount": "10"}, {"limits": {"eu": "200"}, "amount": "20"}]
    peak = MeterDefinition(**{**_fields(BY_REGION), "aggregation": "max", "value": "data.tokens"})
    capacity = price({"model": "capacity", "currency": "EUR", "tiers": tiers})
    await desk.sign(account(), subscription(item("line", peak, capacity)))
    for number, (value, region) in enumerate([("80", "eu"), ("120", "eu"), ("500", "us"), ("90", "eu")]):
        await desk.hand_in(desk.usage(str(number), data={"tokens": value, "region": region}))
    await desk.tick(MARCH)
    assert [amount for *_, amount in desk.finals()] == [2000]


async def test_a_price_of_single_events_that_comes_later_rates_the_months_before_it_too(desk: Desk) -> None:
    """Two events of 100 at 2 each, then, learned late, 10 % of each."""
    await desk.sign(account(), subscription(item("each", TOKENS)))
    await desk.hand_in(*(desk.usage(str(number), data={"tokens": "100"}) for number in range(2)))
    await desk.tick(MARCH)
    tenth = price({"model": "percentage", "percent": "10", "currency": "EUR"})
    await desk.sign(subscription(item("each", TOKENS, tenth)))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert [(one.revision, one.amount_minor) for one in desk.published] == [(1, 40000), (2, 2000)]


async def test_events_stored_before_a_price_or_meter_needed_them_are_rated_too(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(*(desk.usage(str(number), data={"user": f"u{number % 2}"}) for number in range(4)))
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.event_rated") == 0
    await desk.sign(subscription(item("users", USERS), name="second"))
    await desk.hand_in(desk.usage("new", data={"user": "u9"}))
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("calls", "2026-02-01", Decimal(5), 1000),
        ("users", "2026-02-01", Decimal(3), 600),
    ]


async def test_an_account_without_such_items_marks_no_event(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"), desk.usage("2"))
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.event_rated") == 0


async def test_raw_events_are_read_in_bounded_calls_and_nobody_is_left_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 5 events a call, items of 4 events each go one at a time: 3 calls and one that finds nothing."""
    monkeypatch.setattr(statements, "EVENTS_MAX", 5)
    names = ("a", "b", "c")
    await desk.sign(
        account(), *(subscription(item(f"users-{name}", meter("unique", f"data.{name}")), name=name) for name in names)
    )
    await desk.hand_in(*(desk.usage(str(number), data=dict.fromkeys(names, f"v{number}")) for number in range(4)))
    running = [len(await desk.flush()) for _ in range(4)]
    assert running == [1, 1, 1, 0]
    assert await desk.tick(MARCH) >= 3
    assert [quantity for _, _, quantity, _ in desk.finals()] == [Decimal(4)] * 3


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_batch_split_and_worker_gives_the_same_statement(
    connection: asyncpg.Connection, database_url: str, seed: int
) -> None:
    """Two values at one instant: the order of arrival decides `last`, so here each has its own; the rest is by time."""
    chance = random.Random(seed)
    other = await asyncpg.connect(database_url)
    desks = [Desk(connection, UsageAgent(settings_of())), Desk(other, UsageAgent(settings_of()))]
    desks[1].offsets = desks[0].offsets
    items = [item("users", USERS), item("level", LEVEL), item("mean", MEAN)]
    minutes = chance.sample(range(28 * 24 * 60), 120)
    changes = [chance.randint(-5, 20) for _ in minutes]
    users = [f"u{chance.randint(1, 30)}" for _ in minutes]
    records = [
        desks[0].usage(str(index), _at(minute), data={"tokens": changes[index], "user": users[index]})
        for index, minute in enumerate(minutes)
    ]
    contracts = [
        desks[0].contract(account()),
        *(desks[0].contract(subscription(one, name=one.subscription_item)) for one in items),
    ]
    records += contracts
    chance.shuffle(records)
    try:
        while records:
            size = chance.choice((1, 5, 30))
            await chance.choice(desks).hand_in(*records[:size])
            del records[:size]
    finally:
        await other.close()
    desks[0].published.clear()
    desks[0].keys.clear()
    await desks[0].tick(MARCH)
    found = {name: quantity for name, _, quantity, _ in desks[0].finals()}
    total = 28 * 24 * 60
    level = sum(Decimal(change) * (total - minute) for change, minute in zip(changes, minutes, strict=True)) / total
    assert found["users"] == len(set(users))
    assert abs(found["level"] - level) < Decimal("1e-20")
    assert abs(found["mean"] - Decimal(sum(changes)) / len(changes)) < Decimal("1e-20")


def _fields(definition: MeterDefinition) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in definition.__struct_fields__}


def _at(minute: int) -> str:
    return f"2026-02-{minute // 1440 + 1:02}T{minute % 1440 // 60:02}:{minute % 60:02}:00Z"
