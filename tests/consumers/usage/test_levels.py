"""Levels are kept where a stretch begins: a statement adds up no history, and is right whatever comes before."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from fakturo.consumers.usage import levels
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import THREE_EACH, TWO_EACH, Desk, account, item, price, settings_of, subscription
from tests.consumers.usage.test_corrected import correct, correction, replacement

SEATS = MeterDefinition(
    code="seats", event_type="api.call", aggregation="weighted_sum", value="data.tokens", group_by=("region",)
)
FEBRUARY_15 = datetime(2026, 2, 15, tzinfo=UTC)
FEBRUARY, MARCH, APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4, 5))


async def _live_february(desk: Desk, *, until_end: bool = True) -> None:
    """Each of 5 of the first days of February: one seat more in each of 20 quarters of an hour: 100 in the end.

    From the 15th on a seat costs more, so a stretch begins there.
    """
    prices = (price(TWO_EACH), price(THREE_EACH, date(2026, 2, 15)))
    await desk.sign(account(), subscription(item("seats", SEATS, *prices)))
    times = [FEBRUARY + timedelta(days=day, minutes=15 * quarter) for day in range(5) for quarter in range(20)]
    await desk.hand_in(*(desk.usage(str(at), at.isoformat(), data={"tokens": "1", "region": "eu"}) for at in times))
    await desk.flush()
    if until_end:
        await desk.tick(MARCH)


async def _kept(desk: Desk) -> list[tuple[datetime, Decimal]]:
    rows = await desk.connection.fetch("SELECT until_at, total FROM usage.kept_level ORDER BY 1")
    return [(row["until_at"], row["total"]) for row in rows]


async def test_statements_of_a_period_read_no_totals_of_before_once_its_level_is_kept(desk: Desk) -> None:
    """100 seats all of March, and 31 more from its last day on: 100 + 31 / 31."""
    await _live_february(desk)
    await desk.hand_in(desk.usage("m", "2026-03-31T00:00:00Z", data={"tokens": "31", "region": "eu"}))
    await desk.flush()
    assert await _kept(desk) == [(FEBRUARY_15, Decimal(100))]
    await desk.connection.execute("DELETE FROM usage.rollup WHERE bucket_start_at < $1", MARCH)
    await desk.tick(APRIL)
    assert desk.finals()[-1][:3] == ("seats", "2026-03-01", Decimal(101))


async def test_only_a_running_statement_keeps_a_level(desk: Desk) -> None:
    await _live_february(desk)
    await desk.connection.execute("DELETE FROM usage.kept_level")
    await desk.tick(APRIL)
    assert await _kept(desk) == []
    assert desk.finals()[-1][:3] == ("seats", "2026-03-01", Decimal(100))


async def test_a_group_that_is_back_at_nothing_stays_a_group(desk: Desk) -> None:
    await _live_february(desk)
    times = [FEBRUARY + timedelta(days=day) for day in (10, 11)]
    await desk.hand_in(
        *(
            desk.usage(str(at), at.isoformat(), data={"tokens": tokens, "region": "us"})
            for at, tokens in zip(times, ("5", "-5"), strict=True)
        )
    )
    await desk.tick(APRIL)
    first = desk.published[-1].slices[0].quantities
    await desk.flush()
    assert (APRIL, Decimal(0)) in await _kept(desk)
    await desk.tick(MAY)
    assert first == desk.published[-1].slices[0].quantities == {'{"region":"eu"}': Decimal(100), '{"region":"us"}': 0}


@pytest.mark.parametrize("is_said_first", [True, False])
async def test_late_and_corrected_usage_before_a_level_that_is_kept_changes_it(desk: Desk, is_said_first: bool) -> None:
    """28 seats more from the last day of February on, and one of the first day is a void: March has 100 + 28 - 1."""
    await _live_february(desk)
    await desk.tick(APRIL)
    assert await _kept(desk) == [(FEBRUARY_15, Decimal(100))]  # by the running statement of February
    if is_said_first:
        await desk.flush()
    late = desk.usage("late", "2026-02-28T00:00:00Z", data={"tokens": "28", "region": "eu"}, watermark_at=APRIL)
    await desk.hand_in(late)
    assert await correct(desk, correction(desk, "c", str(FEBRUARY), None, watermark_at=APRIL)) == []
    await desk.tick(APRIL + timedelta(days=1))
    newest = {start: quantity for _, start, quantity, _ in desk.finals()}
    assert newest["2026-03-01"] == Decimal(127)
    await desk.flush()
    await desk.tick(MAY)
    assert desk.finals()[-1][:3] == ("seats", "2026-04-01", Decimal(127))


async def test_who_changes_what_came_before_waits_for_who_keeps_a_level_and_takes_it_back(
    desk: Desk, database_url: str
) -> None:
    """A flush is not committed yet when another worker counts 7 seats more of the 10th of February."""
    await _live_february(desk, until_end=False)
    await desk.connection.execute("DELETE FROM usage.kept_level")
    await desk.hand_in(desk.usage("m", "2026-02-20T00:00:00Z", data={"tokens": "0", "region": "eu"}))
    other = Desk(await asyncpg.connect(database_url), UsageAgent(settings_of()), desk.offsets)
    tx = desk.transaction()
    opened = tx.driver.transaction()
    await opened.start()
    await desk.agent.flush(tx)
    assert await _kept(desk) == [(FEBRUARY_15, Decimal(100))]
    before = desk.usage("open", "2026-02-10T00:00:00Z", data={"tokens": "7", "region": "eu"})
    waiting = asyncio.create_task(other.hand_in(before))
    try:
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await opened.commit()
        await waiting
    finally:
        await other.connection.close()
    await desk.tick(APRIL)
    assert desk.finals()[-1][:3] == ("seats", "2026-03-01", Decimal(107))


async def test_a_level_behind_changes_that_are_not_said_yet_is_not_used(desk: Desk) -> None:
    await _live_february(desk, until_end=False)
    assert await _kept(desk) == [(FEBRUARY_15, Decimal(100))]
    await desk.hand_in(desk.usage("open", "2026-02-10T00:00:00Z", data={"tokens": "7", "region": "eu"}))
    await desk.tick(APRIL)
    assert desk.finals()[-1][:3] == ("seats", "2026-03-01", Decimal(107))
    await desk.flush()
    assert (FEBRUARY_15, Decimal(100)) not in await _kept(desk)


@pytest.mark.parametrize("seed", range(5))
async def test_in_whatever_order_usage_comes_levels_are_what_the_events_come_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Usage of four months in any order, some voided or moved to another month; statements of all kinds between."""
    monkeypatch.setattr(levels, "ROWS_MIN", 0)
    chance = random.Random(seed)
    await desk.sign(account(), subscription(item("seats", SEATS)))
    counted: dict[str, tuple[datetime, int]] = {}
    ticks = [datetime(2026, month, 1, tzinfo=UTC) for month in range(2, 7)]
    watermark_at = None
    for number in range(120):
        step = chance.random()
        if step < 0.04 and ticks:
            watermark_at = ticks.pop(0)
            await desk.tick(watermark_at)
        elif step < 0.3:
            await desk.flush()
        elif step < 0.4 and counted:
            name = chance.choice(sorted(counted))
            del counted[name]
            by = None
            if chance.random() < 0.5:
                counted[f"r{number}"] = chance_at, seats = _at(chance), chance.randint(-5, 9)
                by = replacement(f"r{number}", str(seats), chance_at.isoformat())
            said_at = (FEBRUARY + timedelta(seconds=number)).isoformat()
            assert (
                await correct(desk, correction(desk, f"c{number}", name, by, said_at, watermark_at=watermark_at)) == []
            )
        else:
            counted[f"e{number}"] = at, seats = _at(chance), chance.randint(-5, 9)
            data = {"tokens": str(seats), "region": "eu"}
            await desk.hand_in(desk.usage(f"e{number}", at.isoformat(), data=data, watermark_at=watermark_at))
    for at in (*ticks, datetime(2026, 6, 2, tzinfo=UTC)):
        await desk.tick(at)
    newest = {start: quantity for _, start, quantity, _ in desk.finals()}
    for month in range(2, 6):
        start_at = datetime(2026, month, 1, tzinfo=UTC)
        expected = _mean(list(counted.values()), start_at, datetime(2026, month + 1, 1, tzinfo=UTC))
        assert round(newest[f"2026-0{month}-01"], 9) == round(expected, 9)


def _at(chance: random.Random) -> datetime:
    return FEBRUARY + timedelta(seconds=chance.randint(0, 119 * 86400))


def _mean(changes: Sequence[tuple[datetime, int]], start_at: datetime, end_at: datetime) -> Decimal:
    """Return the level weighed by time: each change holds from its time to the period's end."""
    held = [seats * Decimal((end_at - max(at, start_at)).total_seconds()) for at, seats in changes if at < end_at]
    return sum(held, Decimal(0)) / Decimal((end_at - start_at).total_seconds())
