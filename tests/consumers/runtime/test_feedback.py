"""Feedback: an input that came of the agent's own output is read exactly once, and time does not wait for it."""

import msgspec
import pytest
from toy_agent import START, Slice, record_of, slice_of, tick_value

from fakturo.consumers.runtime.settlement import behind
from fakturo.schemas.topics import LEDGER, TOPICS, feedback_of, read_by, written_by

HOLDING = ("billing.requests", "billing.contracts", "billing.rated")
BACK = "billing.ledger"


def tick_slice(days: int, topic: str, partition: int, number: int = 0) -> Slice:
    """Return a tick as the record `number` of a partition; requests alone are not a topic of ours."""
    sequence = None if topic == "billing.requests" else number + 1
    record = record_of(tick_value(days), number, topic=topic, partition=partition, sequence=sequence)
    return Slice(topic=topic, partition=partition, start_offset=number, end_offset=number + 1, records=[record])


def everywhere(days: int, number: int = 0) -> list[Slice]:
    return [tick_slice(days, topic, partition, number) for topic in HOLDING for partition in (0, 1)]


def journal_slice(value: str, number: int) -> Slice:
    record = record_of(value, number, topic=BACK, sequence=number + 1)
    return Slice(topic=BACK, partition=0, start_offset=number, end_offset=number + 1, records=[record])


def test_who_reads_what_came_of_its_own_output_reads_it_as_feedback() -> None:
    """A circle of topics in which no reader is marked would wait for itself for ever: none is left."""
    owners = {topic.owner for topic in TOPICS.values()} - {None, "relay"}
    for start in owners:
        seen, queue = set(), [start]
        while queue:
            for topic in written_by(queue.pop()):
                for reader in set(topic.readers) - set(topic.feedback_readers) - seen:
                    assert reader != start, f"{topic.name} closes a circle of {start}"
                    seen.add(reader)
                    queue.append(reader)
    assert feedback_of("invoicing") == (LEDGER,)
    assert feedback_of("kpi") == ()
    assert LEDGER in read_by("invoicing")


async def test_time_moves_while_feedback_has_never_ticked(invoicing_worker, watch) -> None:
    await invoicing_worker.process(everywhere(1))
    assert await invoicing_worker.time.advance_if_due()
    assert await watch.fetchval("SELECT at FROM runtime.watermark WHERE agent = 'invoicing'") == (START.replace(day=2))


async def test_a_tick_of_feedback_neither_holds_time_nor_moves_it(invoicing_worker, watch) -> None:
    await invoicing_worker.process([*everywhere(3), tick_slice(1, BACK, 0)])
    assert await invoicing_worker.time.advance_if_due()
    assert await watch.fetchval("SELECT at FROM runtime.watermark") == START.replace(day=4)
    await invoicing_worker.process([tick_slice(9, BACK, 0, 1), tick_slice(9, BACK, 1)])
    assert not await invoicing_worker.time.advance_if_due()
    ticks = await watch.fetch("SELECT value FROM runtime.outbox WHERE topic = 'billing.invoices'")
    assert [msgspec.json.decode(row["value"])["data"]["at"] for row in ticks] == ["2013-01-04T00:00:00Z"] * 2


async def test_every_other_input_still_holds_time(invoicing_worker) -> None:
    *most, last = everywhere(1)
    await invoicing_worker.process([*most, tick_slice(1, BACK, 0), tick_slice(1, BACK, 1)])
    assert not await invoicing_worker.time.advance_if_due()
    await invoicing_worker.process([last])
    assert await invoicing_worker.time.advance_if_due()


async def test_feedback_is_read_once_and_a_lost_record_of_it_stops_its_partition(invoicing_worker, watch) -> None:
    await invoicing_worker.process([journal_slice("ok:paid", 0)])
    await invoicing_worker.process([journal_slice("ok:paid", 0)])
    assert await watch.fetchval("SELECT count(*) FROM toy.effect") == 1
    lost = record_of("ok:later", 1, topic=BACK, sequence=3)
    applied = await invoicing_worker.process(
        [Slice(topic=BACK, partition=0, start_offset=1, end_offset=2, records=[lost])]
    )
    assert list(applied.stopped) == [(BACK, 0)]


@pytest.mark.parametrize("read", [0, 1])
async def test_settlement_waits_until_feedback_has_been_read(invoicing_worker, watch, read: int) -> None:
    await watch.execute("INSERT INTO runtime.outbox_sequence VALUES ('billing.ledger', 0, 1)")
    for _ in range(read):
        await invoicing_worker.process([journal_slice("ok:paid", 0)])
        await watch.execute("DELETE FROM runtime.outbox")
    found = await behind(watch, {}, None)
    told = "invoicing has read billing.ledger-0 up to event 0 of 1"
    assert (told in found) is (read == 0)


async def test_a_slice_of_feedback_moves_its_own_cursor_alone(invoicing_worker, watch) -> None:
    await invoicing_worker.process([journal_slice("ok:paid", 0), slice_of("ok:asked", topic="billing.requests")])
    rows = await watch.fetch("SELECT topic, next_offset FROM runtime.cursor WHERE next_offset > 0 ORDER BY 1")
    assert [tuple(row) for row in rows] == [(BACK, 1), ("billing.requests", 1)]
