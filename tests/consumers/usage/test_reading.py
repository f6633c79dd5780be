"""Reading usage, ahead or not: what could not be kept or found again is refused alone, and costs no batch."""

from random import Random
from typing import Any

import msgspec
import pytest

from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import reading
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.clock import ClockAdvanced
from fakturo.schemas.topics import CLOCK_ADVANCED
from tests.consumers.usage.conftest import BY_REGION, RECORDED_AT, Desk, account, item, reasons, subscription

LONG = Random(1).randbytes(4000).hex()
"""No index of Postgres holds it, and it does not compress."""


def nested(desk: Desk, levels: int) -> Record:
    """Return usage with data of so many levels: {"x": [[]]} has three."""
    record = desk.usage(str(levels), data={"x": "deep"})
    assert record.value is not None
    value = record.value.replace(b'"deep"', b"[" * (levels - 1) + b"]" * (levels - 1))
    return msgspec.structs.replace(record, value=value)


async def handle_at_depth(desk: Desk, batch: list[Record], calls: int) -> Transaction:
    """Hand `batch` in from `calls` calls further down the stack, as other runners may."""
    if calls:
        return await handle_at_depth(desk, batch, calls - 1)
    tx = desk.transaction()
    async with desk.connection.transaction():
        await handle_isolated(desk.agent, batch, tx)
    return tx


async def test_data_nested_deeper_than_every_part_can_follow_is_refused_alone(desk: Desk) -> None:
    """Python's stack has room for 1,000: what was read higher up must not fail where it is packed or read back."""
    await desk.sign(account(), subscription(item("calls")))
    batch = [nested(desk, levels) for levels in (2, 100, 101, *range(900, 990))]
    desk.agent.read_ahead(batch)
    tx = await handle_at_depth(desk, batch, 30)
    assert await desk.stored() == ["100", "2"]
    assert set(reasons(tx)) == {"unknown_shape", "malformed_json"}
    assert len(tx.rejections) == 91


async def test_many_levels_beside_each_other_are_no_depth(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    tx = await desk.hand_in(desk.usage("wide", data={"x": [[{}] for _ in range(500)]}))
    assert (await desk.stored(), reasons(tx)) == (["wide"], [])


@pytest.mark.parametrize(
    "given",
    [{"data": {"region": LONG}}, {"subject": LONG}, {"subject": "unknown" + LONG, "type": LONG}, {"source": LONG}],
)
async def test_what_an_index_cannot_hold_is_refused_before_the_database_sees_it(
    desk: Desk, given: dict[str, Any]
) -> None:
    """Else a batch would be halved for each of them, and a tenth of them would stop the topic."""
    await desk.sign(account(), subscription(item("calls", BY_REGION)))
    bad = [desk.usage(f"bad{number}", **given) for number in range(3)]
    tx = await desk.hand_in(*bad, desk.usage("good"))
    assert reasons(tx) == ["unknown_shape"] * 3
    assert await desk.stored() == ["good"]


async def test_a_header_with_the_character_nul_is_refused_before_the_database_sees_it(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    headers = [
        *(("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"api.call")),
        *(("ce_subject", b"U\0A"), ("ce_time", b"2026-02-10T10:00:00Z")),
    ]
    bad = Record("billing.usage", 0, next(desk.offsets), None, b"{}", headers, RECORDED_AT)
    tx = await desk.hand_in(bad, desk.usage("good"))
    assert reasons(tx) == ["unknown_shape"]
    assert await desk.stored() == ["good"]


async def test_what_is_no_usage_is_not_kept_for_later(desk: Desk) -> None:
    """Ticks are taken out before the agent is asked: it would keep one a partition a minute, for ever."""
    tick = event_of(
        agent="clock",
        event_type=CLOCK_ADVANCED,
        id="t",
        subject=None,
        time=RECORDED_AT,
        data=ClockAdvanced(at=RECORDED_AT),
    )
    desk.agent.read_ahead([desk.record("billing.usage", encode(tick)), desk.record("billing.usage", b"{")])
    assert desk.agent._reader.ahead == {}


async def test_of_what_was_read_ahead_and_never_asked_for_the_oldest_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of a partition that another worker has now; what is waited for stays."""
    monkeypatch.setattr(reading, "AHEAD_MAX", 3)
    records = [desk.usage(str(number)) for number in range(5)]
    for record in records:
        desk.agent.read_ahead([record])
    assert [event.id for event in desk.agent._reader.ahead.values()] == ["2", "3", "4"]


def test_what_could_not_be_read_holds_nothing_of_its_batch() -> None:
    """A traceback holds the frame that reads, and so every event of the batch, until the collector finds the ring."""
    record = Record("billing.usage", 0, 0, None, b"{", (), RECORDED_AT)
    _, [(unread, error)] = reading.Reader().read([record])
    assert unread is record
    assert error.__traceback__ is error.__context__ is error.__cause__ is None
