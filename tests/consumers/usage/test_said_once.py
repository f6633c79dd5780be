"""A running statement that says nothing new is not published again; what is said again is not the same event."""

from datetime import date
from decimal import Decimal

from tests.consumers.usage.conftest import Desk, account, item, subscription
from tests.consumers.usage.test_corrected import correction


async def test_usage_that_runs_ahead_of_the_period_does_not_repeat_its_statement(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("now"))
    assert [one.quantity for one in await desk.flush()] == [Decimal(1)]
    await desk.hand_in(desk.usage("ahead", "2026-03-10T10:00:00Z"))
    assert await desk.flush() == []
    await desk.hand_in(desk.usage("now too"))
    assert [one.quantity for one in await desk.flush()] == [Decimal(2)]
    assert len(set(desk.event_ids)) == len(desk.event_ids)


async def test_a_statement_that_says_again_what_an_earlier_one_said_is_an_event_of_its_own(desk: Desk) -> None:
    """1, 2, and 1 again when the second is voided: who drops repeats by (source, id) must not be left with the 2."""
    await desk.sign(account(), subscription(item("calls")))
    for record in (desk.usage("first"), desk.usage("second"), correction(desk, "void", "second", None)):
        await desk.hand_in(record)
        await desk.flush()
    first, _, last = desk.published
    assert [one.quantity for one in desk.published] == [Decimal(1), Decimal(2), Decimal(1)]
    assert first == last
    assert len(set(desk.event_ids)) == 3


async def test_statements_of_a_period_before_the_one_that_was_stated_are_events_of_their_own_too(desk: Desk) -> None:
    """March is stated when service turns out to have begun in February, of which 1, 2 and 1 again are stated then."""
    await desk.sign(account(), subscription(item("calls", service_start_on=date(2026, 3, 1))))
    await desk.hand_in(desk.usage("march", "2026-03-10T10:00:00Z"))
    await desk.flush()
    await desk.sign(subscription(item("calls")))
    await desk.flush()
    for record in (desk.usage("first"), desk.usage("second"), correction(desk, "void", "second", None)):
        await desk.hand_in(record)
        await desk.flush()
    said = [(one.period.start.month, one.quantity) for one in desk.published]
    assert said == [(3, 1), (2, 0), (2, 1), (2, 2), (2, 1)]
    assert len(set(desk.event_ids)) == len(said)
    row = await desk.connection.fetchrow("SELECT period_start_at, quantity FROM usage.statement")
    assert row is not None
    assert (row["period_start_at"].month, row["quantity"]) == (2, Decimal(1))  # what is open is what is shown
