"""Running statements keep the beginning of their totals, and rest: what they say is what adding up all of it says."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import BY_REGION, TOKENS, Desk, account, item, settings_of, subscription

START = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LAST = MeterDefinition(code="last", event_type="api.call", aggregation="last", value="data.tokens")
REGIONS = MeterDefinition(
    code="by region", event_type="api.call", aggregation="sum", value="data.tokens", group_by=("region",)
)


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def _kept(desk: Desk) -> int:
    return int(await desk.connection.fetchval("SELECT count(*) FROM usage.running_total WHERE until_at > start_at"))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("copied_however_few")
async def test_any_order_of_usage_is_stated_as_if_all_were_added_up_each_time(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    await desk.sign(
        account(), subscription(item("sum", TOKENS), item("last", LAST), item("regions", REGIONS), item("n", BY_REGION))
    )
    said: dict[str, Decimal] = {}
    total, count, newest = Decimal(0), 0, (START, Decimal(0))
    kept = 0
    for hour in range(0, 27 * 24, 9):
        batch = []
        for number in range(12):
            late = timedelta(days=chance.choice((1, 4, 12))) if chance.random() < 0.05 else timedelta()
            at = max(START + timedelta(hours=hour, minutes=45 * number) - late, START + timedelta(seconds=count))
            value = Decimal(chance.randint(0, 100)) / 4
            data = {"tokens": f"{value:f}", "region": chance.choice(("eu", "us"))}
            batch.append(desk.usage(f"{hour}/{number}", _text(at), data=data))
            total, count = total + value, count + 1
            if at >= newest[0]:
                newest = (at, value)
        await desk.hand_in(*batch)
        said |= {one.subscription_item: one.quantity for one in await desk.flush()}
        kept = max(kept, await _kept(desk))
        assert said == {"sum": total, "regions": total, "last": newest[1], "n": count}
    assert kept > 0, "nothing was kept: this test shows nothing"
    desk.published.clear()
    desk.keys.clear()
    await desk.tick(MARCH)
    assert {one.subscription_item: one.quantity for one in desk.published if one.final} == said
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.running_total") == 0


async def test_a_contract_that_changes_the_price_has_all_added_up_again(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("sum", TOKENS)))
    for day in range(1, 21):
        at = [_text(START + timedelta(days=day, minutes=15 * n)) for n in range(12)]
        await desk.hand_in(*(desk.usage(f"{day}/{n}", one) for n, one in enumerate(at)))
        await desk.flush()
    assert await _kept(desk) > 0
    await desk.connection.execute("UPDATE usage.rollup SET sum_value = 1")  # 240 quarters, as if corrected
    await desk.sign(subscription(item("sum", TOKENS, product_name="Tokens")))
    assert [one.quantity for one in await desk.flush()] == [Decimal(240)]


async def test_an_item_rests_between_two_statements_and_nothing_is_lost(connection: asyncpg.Connection) -> None:
    desk = Desk(connection, UsageAgent(settings_of(interim_seconds=1.0)))
    await desk.sign(account(), subscription(item("sum", TOKENS)))
    await desk.hand_in(desk.usage("1"))
    assert [one.quantity for one in await desk.flush()] == [Decimal(5)]
    await desk.hand_in(desk.usage("2"))
    assert await desk.flush() == []
    # As a second later.
    await connection.execute("UPDATE usage.dirty SET rest_until_at = rest_until_at - interval '1 second'")
    assert [one.quantity for one in await desk.flush()] == [Decimal(10)]


async def test_of_too_many_items_those_that_wait_longest_come_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakturo.consumers.usage.statements.RUNNING_MARKS_MAX", 2)
    names = ("A", "B", "C")
    for number, name in enumerate(names):
        facts = account(name, salesforce_id=f"001{number:0>15}"), subscription(item(name, TOKENS), account_id=name)
        await desk.sign(*facts)
        await desk.flush()
    order = []
    for name in ("C", "A", "B"):
        await desk.hand_in(desk.usage(f"1/{name}", subject=name))
    await desk.hand_in(desk.usage("2/B", subject="B"))
    for _ in range(2):
        order.append({one.subscription_item for one in await desk.flush()})
        await desk.hand_in(desk.usage(f"{len(order)}/C again", subject="C"))
    assert order == [{"C", "A"}, {"B", "C"}]


async def test_a_running_statement_leaves_an_item_alone_that_is_being_finalized(desk: Desk, database_url: str) -> None:
    await desk.sign(account(), subscription(item("sum", TOKENS)))
    await desk.hand_in(desk.usage("1"), desk.usage("next", "2026-03-05T10:00:00Z"))
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            tx = desk.transaction(other)
            await desk.agent.advance(MARCH, tx)
            assert await desk.flush() == []
        # Its next period, which has usage, was marked by the final statement.
        (march,) = await desk.flush()
        assert (march.period.start, march.quantity) == (MARCH, Decimal(5))
    finally:
        await other.close()
