"""Retention: what is too old is refused, what may still be billed stays, identities go in bounded parts."""

from datetime import UTC, datetime

import asyncpg
import pytest

from fakturo.consumers.usage import identity_sweep
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.retention import Keeper, Retention
from tests.consumers.usage.conftest import CALLS, Desk, account, item, reasons, settings_of, subscription
from tests.consumers.usage.test_corrected import correct, correction, replacement

KEPT = 2


def at(month: int, day: int = 1, year: int = 2026) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.fixture
def keeping(connection: asyncpg.Connection) -> Desk:
    """Return a desk whose agent keeps two months."""
    return Desk(connection, UsageAgent(settings_of(usage_retention_months=KEPT)))


async def bound(connection: asyncpg.Connection) -> datetime | None:
    found: datetime | None = await connection.fetchval("SELECT retained_from_at FROM usage.retention")
    return found


async def months(connection: asyncpg.Connection, schema: str) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relname ~ $2"
    return sorted(row[0] for row in await connection.fetch(query, schema, "^(rollup|segment)_[0-9_]+$"))


@pytest.mark.parametrize(
    ("months_kept", "watermark_at", "is_taken"),
    [
        (2, at(4, 30), True),  # two months before April is February
        (2, at(5), False),  # two months before May is March
        (None, at(12, 1, 2030), True),
        (2, None, True),
    ],
)
def test_an_event_is_taken_if_its_month_lies_no_more_than_so_many_months_behind(
    months_kept: int | None, watermark_at: datetime | None, is_taken: bool
) -> None:
    text = Retention(months_kept).too_old(at(2, 10), watermark_at)
    assert (text is None) is is_taken


async def test_an_event_that_is_too_old_is_a_dead_letter_that_says_so_and_claims_no_identity(keeping: Desk) -> None:
    await keeping.sign(account(), subscription(item("calls")))
    tx = await keeping.hand_in(keeping.usage("old", watermark_at=at(5)), keeping.usage("young", watermark_at=at(4)))
    assert reasons(tx) == ["invalid_time"]
    assert "usage is kept for 2 months (FAKTURO_USAGE_RETENTION_MONTHS)" in tx.rejections[0].message
    assert await keeping.stored() == ["young"]


async def test_partitions_are_made_ahead_with_time_and_on_demand_for_any_month(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.tick(at(3))
    made = [f"{table}_2026_{month:02}" for table in ("rollup", "segment") for month in (3, 4, 5)]
    assert await months(desk.connection, "usage") == made
    await desk.hand_in(desk.usage("far", at="2026-12-01T00:00:00Z"))
    assert {"rollup_2026_12", "segment_2026_12"} <= set(await months(desk.connection, "usage"))


async def test_a_month_retires_when_all_that_may_still_be_billed_of_it_is_billed(keeping: Desk) -> None:
    connection = keeping.connection
    await keeping.sign(account(), subscription(item("calls")))
    await keeping.hand_in(keeping.usage("1"), keeping.usage("2", at="2026-03-05T00:00:00Z"))
    for month in (3, 4):
        await keeping.tick(at(month))
    # At 1 April two months behind is February: nothing before it was ever used, and February itself is kept.
    assert await bound(connection) == at(2)
    await keeping.tick(at(5))
    assert await bound(connection) == at(3)
    # A period that is still open, say a year's, keeps what it holds.
    await connection.execute(
        "UPDATE usage.subscription_item SET period_start_at = '2026-03-01Z', next_period_end_at = '2027-03-01Z'"
    )
    await keeping.tick(at(8))
    assert await bound(connection) == at(3)
    keeper = Keeper(settings_of(database_url="postgresql://nobody@nowhere/none"))
    while await keeper.work(connection):
        pass
    assert await months(connection, "usage_retired") == ["rollup_2026_02", "segment_2026_02"]
    assert await keeping.stored() == ["2"]
    assert (await keeper.check())[1] == "usage before 2026-03-01T00:00:00+00:00 has retired"


async def test_nothing_retires_where_a_level_is_the_sum_of_all_there_was(keeping: Desk) -> None:
    from msgspec.structs import replace

    level = replace(CALLS, code="seats", aggregation="weighted_sum", value="data.tokens")
    await keeping.sign(account(), subscription(item("seats", level)))
    await keeping.hand_in(keeping.usage("1"))
    for month in range(3, 9):
        await keeping.tick(at(month))
    assert await bound(keeping.connection) is None


async def test_nothing_retires_unless_it_is_asked_for(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"))
    await desk.tick(at(12, 1, 2030))
    assert await bound(desk.connection) is None


async def test_identities_go_in_bounded_parts_and_those_of_later_usage_stay(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    old = [desk.usage(f"old {number}") for number in range(400)]
    await desk.hand_in(*old, desk.usage("young", at="2026-03-05T00:00:00Z"))
    calls = 0
    while await identity_sweep.sweep(desk.connection, at(3), pages=1):
        calls += 1
    assert calls >= 4  # 400 identities fill more than one page, and there are two tables more
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.identity") == 1
    kept = sorted([*(f"old {number}" for number in range(400)), "young"])  # until their month is detached
    repeat = await desk.hand_in(desk.usage("young", at="2026-03-05T00:00:00Z"))
    assert not repeat.rejections and await desk.stored() == kept
    assert not await identity_sweep.sweep(desk.connection, at(3), pages=1)


async def test_what_has_retired_can_neither_be_voided_nor_replaced_though_it_is_not_detached_yet(keeping: Desk) -> None:
    """At 1 May usage since March is taken; in April February was two months behind."""
    await keeping.sign(account(), subscription(item("calls")))
    await keeping.hand_in(keeping.usage("february"), keeping.usage("april", at="2026-04-10T00:00:00Z"))
    for month in (3, 4, 5):
        await keeping.tick(at(month))
    void = correction(keeping, "c", "february", None, watermark_at=at(5))
    by_young = replacement("new", "5", "2026-04-20T00:00:00Z")
    young = correction(keeping, "d", "february", by_young, watermark_at=at(5))
    assert await correct(keeping, void, young) == ["invalid_time", "invalid_time"]
    assert await keeping.stored() == ["april", "february"]
    early = correction(keeping, "e", "february", by_young, watermark_at=at(4))
    assert await correct(keeping, early) == []
    assert await keeping.stored() == ["april", "february", "new"]
