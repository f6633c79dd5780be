"""Time that jumps over many ticks, as after an outage: the statements, revisions and ticks of one after the other."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.consumers.usage.conftest import PEAK, TOKENS, Desk, account, item, subscription
from tests.consumers.usage.test_corrected import correction, replacement

FEBRUARY_10 = "2026-02-10T10:00:00Z"


def march(day: int) -> datetime:
    """Return the midnight at which a day of March begins."""
    return datetime(2026, 3, day, tzinfo=UTC)


async def _told(desk: Desk) -> None:
    """Tokens 5 and 7 on time; 1 that comes on 2 March; on 4 March the 7 is told to have been 3, on the 6th nothing."""
    await desk.sign(account(), subscription(item("tokens", TOKENS), item("peak", PEAK)))
    await desk.hand_in(
        desk.usage("1", FEBRUARY_10, data={"tokens": "5"}), desk.usage("2", FEBRUARY_10, data={"tokens": "7"})
    )
    await desk.tick(datetime(2026, 2, 28, tzinfo=UTC))
    await desk.hand_in(
        desk.usage("3", FEBRUARY_10, data={"tokens": "1"}, watermark_at=march(2)),
        correction(desk, "c1", "2", replacement("2b", "3", FEBRUARY_10), "2026-03-04T00:00:00Z", watermark_at=march(4)),
        correction(desk, "c2", "2b", None, "2026-03-06T00:00:00Z", watermark_at=march(6)),
    )


def _revisions(desk: Desk, name: str) -> list[tuple[int, Decimal | None]]:
    return [(one.revision, one.quantity) for one in desk.published if one.final and one.subscription_item == name]


@pytest.mark.parametrize("days", [(1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 9), (3, 9), (9,)], ids=str)
async def test_a_jump_states_each_revision_that_daily_ticks_state(desk: Desk, days: tuple[int, ...]) -> None:
    """What came on 2 March is not in the statement of 1 March, that of the 4th not in the revision of the 3rd."""
    await _told(desk)
    for day in days:
        await desk.tick(march(day))
    assert _revisions(desk, "tokens") == [(1, Decimal(12)), (2, Decimal(13)), (3, Decimal(9)), (4, Decimal(6))]
    assert _revisions(desk, "peak") == [(1, Decimal(7)), (2, Decimal(5))]


async def test_time_stops_where_something_late_came_and_nowhere_else(desk: Desk) -> None:
    """So each revision is told before the tick after it, as in every other run: whoever reads it bills it alike."""
    await _told(desk)
    await desk.tick(march(9))
    assert desk.stops[1:] == [march(2), march(4), march(6), march(9)]
    desk.stops.clear()
    await desk.tick(march(20))
    assert desk.stops == [march(20)]
