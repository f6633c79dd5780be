"""Usage whose time cannot be right goes to the dead letters with its reason; what is only late or early counts."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import (
    RECORDED_AT,
    Desk,
    account,
    item,
    reasons,
    settings_of,
    subscription,
)

DAY = 86_400


async def test_usage_dated_further_ahead_than_the_setting_allows_is_rejected_by_what_its_partition_knew(
    connection: asyncpg.Connection,
) -> None:
    """The broker took each on 1 March 2026 at 12:00; 31 days later it is 1 April at 12:00."""
    desk = Desk(connection, UsageAgent(settings_of(usage_ahead_seconds_max=31 * DAY)))
    await desk.sign(account(), subscription(item("calls")))
    assert datetime(2026, 3, 1, 12, tzinfo=UTC) == RECORDED_AT
    may = datetime(2026, 5, 1, tzinfo=UTC)
    tx = await desk.hand_in(
        desk.usage("last allowed", "2026-04-01T12:00:00Z"),
        desk.usage("too far", "2026-04-01T12:00:01Z"),
        desk.usage("very far", "2126-04-01T12:00:00Z"),
        desk.usage("time has come", "2026-05-30T00:00:00Z", watermark_at=may),
        desk.usage("not yet", "2026-06-02T00:00:00Z", watermark_at=may),
    )
    assert reasons(tx) == ["invalid_time"] * 3
    assert await desk.stored() == ["last allowed", "time has come"]
    assert "set the sender's clock" in tx.rejections[0].message


async def test_usage_before_the_account_and_its_first_service_is_rejected(desk: Desk) -> None:
    """The account began on 1 January in UTC, its service on 1 February."""
    await desk.sign(account(), subscription(item("calls")))
    tx = await desk.hand_in(
        desk.usage("before", "2025-12-31T23:59:59Z"), desk.usage("first", "2026-01-01T00:00:00Z"), desk.usage("later")
    )
    assert reasons(tx) == ["invalid_time"]
    assert await desk.stored() == ["first", "later"]


async def test_a_service_that_began_before_the_account_was_known_opens_it_for_usage(desk: Desk) -> None:
    """2 December 2025 begins in the easternmost zone 14 hours, and in no zone more than 26 hours, before UTC's 2nd."""
    await desk.sign(account(), subscription(item("calls", service_start_on=date(2025, 12, 2))))
    tx = await desk.hand_in(
        desk.usage("before", "2025-11-30T21:59:59Z"), desk.usage("in the east", "2025-12-01T10:00:00Z")
    )
    assert reasons(tx) == ["invalid_time"]
    assert await desk.stored() == ["in the east"]


@pytest.mark.parametrize("is_read_ahead", [False, True])
async def test_what_is_read_ahead_is_taken_once_and_what_is_bad_of_it_keeps_its_reason(
    desk: Desk, is_read_ahead: bool
) -> None:
    await desk.sign(account(), subscription(item("calls")))
    batch = [desk.usage("1"), desk.record("billing.usage", b"{"), desk.usage("2"), desk.usage("3", subject=None)]
    never_asked_for = [desk.usage("4"), desk.record("billing.usage", b"[")]
    if is_read_ahead:
        desk.agent.read_ahead([*batch, *never_asked_for])
    tx = await desk.hand_in(*batch)
    assert reasons(tx) == ["malformed_json", "unknown_shape"]
    assert await desk.stored() == ["1", "2"]
    again = await desk.hand_in(*batch)
    assert again.outcomes["billing.usage", "duplicate"] == 2


async def test_another_record_at_the_place_of_one_that_was_read_ahead_is_read_itself(desk: Desk) -> None:
    """A topic that was made anew has other records at the same offsets."""
    await desk.sign(account(), subscription(item("calls")))
    old, new = desk.usage("old"), desk.usage("new", str(datetime(2026, 2, 11, tzinfo=UTC) + timedelta(hours=1)))
    desk.agent.read_ahead([old])
    assert new.value is not None
    await desk.hand_in(type(old)(old.topic, old.partition, old.offset, None, new.value, (), old.recorded_at))
    assert await desk.stored() == ["new"]
