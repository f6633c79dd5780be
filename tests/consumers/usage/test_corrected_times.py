"""Corrections and time: a replacement's time is judged like an event's, and what has retired is no obstacle."""

from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import TOKENS, Desk, account, item, settings_of, subscription
from tests.consumers.usage.test_corrected import FEBRUARY_10, MARCH_10, correct, correction, replacement

DAY = 86_400


@pytest.fixture
def keeping(connection: asyncpg.Connection) -> Desk:
    """Return a desk whose agent keeps two months and takes usage up to 31 days ahead."""
    return Desk(connection, UsageAgent(settings_of(usage_retention_months=2, usage_ahead_seconds_max=31 * DAY)))


@pytest.mark.parametrize(
    ("at", "watermark_at"),
    [
        ("2026-04-01T12:00:01Z", None),  # the broker took it on 1 March 2026 at 12:00, 31 days and a second before
        ("2025-12-31T23:59:59Z", None),  # before the account
        ("2026-02-28T23:59:59Z", datetime(2026, 5, 1, tzinfo=UTC)),  # two months before May is March
    ],
)
async def test_a_replacement_whose_time_cannot_be_is_refused_and_its_event_stays(
    keeping: Desk, at: str, watermark_at: datetime | None
) -> None:
    await keeping.sign(account(), subscription(item("tokens", TOKENS)))
    await keeping.hand_in(keeping.usage("1", MARCH_10, data={"tokens": "5"}))
    refused = await correct(
        keeping, correction(keeping, "c", "1", replacement("1b", "7", at), watermark_at=watermark_at)
    )
    assert refused == ["invalid_time"]
    assert await keeping.stored() == ["1"]
    again = await correct(keeping, correction(keeping, "c", "1", replacement("1b", "7", MARCH_10)))
    assert again == []
    assert await keeping.stored() == ["1", "1b"]


async def test_a_replacement_can_be_corrected_when_the_event_that_it_replaced_has_retired(desk: Desk) -> None:
    """5 of February were 7 of March: when February is kept no more, March can still be 8."""
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(desk.usage("1", FEBRUARY_10, data={"tokens": "5"}))
    assert await correct(desk, correction(desk, "c1", "1", replacement("2", "7", MARCH_10))) == []
    await desk.connection.execute("DELETE FROM usage.segment WHERE month = '2026-02-01'")
    late = correction(desk, "c2", "2", replacement("3", "8", MARCH_10), "2026-03-06T00:00:00Z")
    assert await correct(desk, late) == []
    assert await desk.connection.fetchval("SELECT sum(sum_value) FROM usage.rollup") == Decimal(8)


async def test_an_event_whose_replacement_has_retired_is_corrected_no_more(desk: Desk) -> None:
    """5 of March were 7 of February, which was billed and is kept no more: nothing could be taken out of it."""
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(desk.usage("1", MARCH_10, data={"tokens": "5"}))
    assert await correct(desk, correction(desk, "c1", "1", replacement("2", "7", FEBRUARY_10))) == []
    await desk.connection.execute("DELETE FROM usage.segment WHERE month = '2026-02-01'")
    late = correction(desk, "c2", "1", replacement("3", "8", MARCH_10), "2026-03-06T00:00:00Z")
    assert await correct(desk, late) == ["invalid_time"]
    assert await desk.connection.fetchval("SELECT sum(sum_value) FROM usage.rollup") == Decimal(7)
