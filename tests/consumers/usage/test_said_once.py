"""A running statement that says nothing new is not published again."""

from decimal import Decimal

from tests.consumers.usage.conftest import Desk, account, item, subscription


async def test_usage_that_runs_ahead_of_the_period_does_not_repeat_its_statement(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("now"))
    assert [one.quantity for one in await desk.flush()] == [Decimal(1)]
    await desk.hand_in(desk.usage("ahead", "2026-03-10T10:00:00Z"))
    assert await desk.flush() == []
    await desk.hand_in(desk.usage("now too"))
    assert [one.quantity for one in await desk.flush()] == [Decimal(2)]
    assert len(set(desk.event_ids)) == len(desk.event_ids)
