"""Thresholds of usage: told of once an item, period and threshold, by whichever statement reaches them first.

TWO_EACH costs 2 EUR a call: 5 calls are 10.00 EUR, 1000 cents.
"""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import AlertThreshold, SubscriptionItem
from tests.consumers.usage.conftest import (
    THREE_EACH,
    TOKENS,
    Desk,
    account,
    item,
    price,
    settings_of,
    subscription,
)

D = Decimal
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
FIVE = AlertThreshold(quantity=D(5))
TEN_EUR = AlertThreshold(amount_minor=1000, currency="EUR")


def watched(*alerts: AlertThreshold, **given: Any) -> SubscriptionItem:
    return item("calls", **{"alerts": alerts, **given})


def ids(desk: Desk) -> list[str]:
    return [event_id for event_id, _ in desk.alerts]


async def test_a_running_statement_that_reaches_a_threshold_tells_of_it_once(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched(FIVE, TEN_EUR)))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(4)))
    await desk.flush()
    assert desk.alerts == []
    await desk.hand_in(desk.usage("5th"), desk.usage("6th", "2026-02-11T08:00:00Z"))
    await desk.flush()
    by_amount, by_quantity = desk.alerts
    assert by_amount[0] == "calls/2026-02-01/alert/amount/1000"
    assert by_quantity[0] == "calls/2026-02-01/alert/quantity/5"
    said = by_quantity[1]
    assert (said.account, said.subscription_item, said.meter) == ("UA", "calls", "calls")
    assert (said.kind, said.threshold, said.quantity, said.amount_minor) == ("quantity", D(5), D(6), None)
    assert said.as_of == datetime(2026, 2, 11, 8, tzinfo=UTC)
    assert (said.period.start, said.period.end) == (datetime(2026, 2, 1, tzinfo=UTC), MARCH)
    assert (by_amount[1].threshold, by_amount[1].amount_minor, by_amount[1].currency) == (D(1000), 1200, "EUR")
    await desk.hand_in(desk.usage("7th"))
    await desk.flush()
    await desk.tick(MARCH)
    assert len(desk.alerts) == 2


async def test_exactly_the_threshold_is_reached_and_one_below_is_not(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched(FIVE, AlertThreshold(quantity=D(6)))))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(5)))
    await desk.flush()
    assert ids(desk) == ["calls/2026-02-01/alert/quantity/5"]


async def test_where_no_running_statement_was_made_the_final_one_tells(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched(FIVE)))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(5)))
    await desk.tick(MARCH)
    assert ids(desk) == ["calls/2026-02-01/alert/quantity/5"]
    assert desk.alerts[0][1].as_of == MARCH


async def test_each_period_is_told_of_by_itself(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched(FIVE)))
    for month in ("02", "03"):
        await desk.hand_in(*(desk.usage(f"{month}/{n}", f"2026-{month}-10T10:00:00Z") for n in range(5)))
    await desk.tick(APRIL)
    assert ids(desk) == ["calls/2026-02-01/alert/quantity/5", "calls/2026-03-01/alert/quantity/5"]


async def test_usage_that_is_taken_back_and_comes_again_is_not_told_of_again(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS, alerts=(AlertThreshold(quantity=D(10)),))))
    for number, tokens in enumerate(("10", "-4", "4")):
        await desk.hand_in(desk.usage(str(number), data={"tokens": tokens}))
        await desk.flush()
    assert [one.quantity for one in desk.published] == [D(10), D(6), D(10)]
    assert ids(desk) == ["tokens/2026-02-01/alert/quantity/10"]


async def test_a_threshold_that_a_contract_lowers_below_what_was_used_is_told_of_at_once_and_once(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched(AlertThreshold(quantity=D(100)))))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(5)))
    assert len(await desk.flush()) == 1
    await desk.sign(subscription(watched(AlertThreshold(quantity=D("3.0")))))
    assert await desk.flush() == []  # the statement says what it said
    assert ids(desk) == ["calls/2026-02-01/alert/quantity/3"]
    await desk.sign(subscription(watched(AlertThreshold(quantity=D(3)), FIVE)))
    await desk.flush()
    assert ids(desk) == ["calls/2026-02-01/alert/quantity/3", "calls/2026-02-01/alert/quantity/5"]


async def test_a_threshold_that_comes_after_its_period_closed_is_not_told_of(desk: Desk) -> None:
    await desk.sign(account(), subscription(watched()))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(5)))
    await desk.tick(MARCH)
    later = watched(FIVE, prices=(price(THREE_EACH),))
    await desk.sign(subscription(later), watermark_at=MARCH)
    await desk.tick(APRIL)
    assert [one.revision for one in desk.published if one.final and one.period.end == MARCH] == [1, 2]
    assert desk.alerts == []


async def test_a_revised_statement_tells_of_what_it_is_the_first_to_reach(desk: Desk) -> None:
    # 5 calls at 2 EUR are 1000 cents, at 3 EUR 1500.
    alerts = (TEN_EUR, AlertThreshold(amount_minor=1500, currency="EUR"))
    await desk.sign(account(), subscription(watched(*alerts)))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(5)))
    await desk.tick(MARCH)
    assert ids(desk) == ["calls/2026-02-01/alert/amount/1000"]
    await desk.sign(subscription(watched(*alerts, prices=(price(THREE_EACH),))), watermark_at=MARCH)
    await desk.tick(APRIL)
    assert ids(desk) == ["calls/2026-02-01/alert/amount/1000", "calls/2026-02-01/alert/amount/1500"]


async def test_the_book_refuses_an_alert_that_was_not_reached(desk: Desk) -> None:
    row = "('calls', '2026-02-01Z', 'quantity', 5, '2026-03-01Z', 'UA', 's', 'P', 'm', 'EUR', 4, 9999, now(), false)"
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.connection.execute(f"INSERT INTO usage.threshold_alert VALUES {row}")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_order_and_batches_two_workers_tell_of_what_was_reached_once(
    connection: asyncpg.Connection, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    other = await asyncpg.connect(database_url)
    workers = [Desk(connection, UsageAgent(settings_of())), Desk(other, UsageAgent(settings_of()))]
    workers[1].offsets = workers[0].offsets
    alerts = tuple(AlertThreshold(quantity=D(step)) for step in (50, 100, 150, 200)) + tuple(
        AlertThreshold(amount_minor=step, currency="EUR") for step in (10_000, 25_000, 99_900)
    )
    names = ("UA", "AA", "DL")
    for number, name in enumerate(names):
        await workers[0].sign(
            account(name, salesforce_id=f"001{number:0>15}"),
            subscription(item(name, alerts=alerts), account_id=name),
        )
    used = {name: chance.randint(40, 220) for name in names}
    records = [
        workers[0].usage(f"{name}/{n}", f"2026-02-{chance.randint(1, 28):02}T10:00:00Z", subject=name)
        for name, count in used.items()
        for n in range(count)
    ]
    chance.shuffle(records)
    streams = [records[0::2], records[1::2]]

    async def work(worker: Desk, stream: list[Any]) -> None:
        while stream:
            size = chance.choice((1, 7, 40))
            await worker.hand_in(*stream[:size])
            del stream[:size]
            if chance.random() < 0.4:
                await worker.flush()

    try:
        await asyncio.gather(*(work(worker, stream) for worker, stream in zip(workers, streams, strict=True)))
    finally:
        await other.close()
    await workers[0].tick(MARCH)
    # A call costs 200 cents.
    expected = {
        f"{name}/2026-02-01/alert/quantity/{step}"
        for name in names
        for step in (50, 100, 150, 200)
        if used[name] >= step
    }
    expected |= {
        f"{name}/2026-02-01/alert/amount/{step}"
        for name in names
        for step in (10_000, 25_000, 99_900)
        if used[name] * 200 >= step
    }
    assert sorted([*ids(workers[0]), *ids(workers[1])]) == sorted(expected)
