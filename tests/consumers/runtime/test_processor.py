"""The processor on a real Postgres: each record applied once, whatever is delivered, bad, or goes wrong in between."""

import asyncio
import re
from types import SimpleNamespace

import asyncpg
import msgspec
import pytest
from toy_agent import record_of, slice_of

from fakturo.consumers.runtime.errors import DeadLetterFlood
from fakturo.consumers.runtime.flood import FloodGuard
from fakturo.consumers.runtime.records import Slice
from fakturo.consumers.runtime.transaction import decode_headers

PAYMENTS, INVOICES = "billing.payments", "billing.invoices"


async def effects(watch: asyncpg.Connection) -> list[str]:
    rows = await watch.fetch('SELECT name FROM toy.effect ORDER BY topic, partition, "offset"')
    return [row["name"] for row in rows]


async def cursor(watch: asyncpg.Connection, topic: str = PAYMENTS, partition: int = 0) -> int:
    return await watch.fetchval(
        "SELECT next_offset FROM runtime.cursor WHERE agent = 'ledger' AND topic = $1 AND partition = $2",
        topic,
        partition,
    )


async def dead_letters(watch: asyncpg.Connection) -> list[tuple[int, str]]:
    rows = await watch.fetch('SELECT "offset", reason FROM runtime.dead_letter ORDER BY topic, partition, "offset"')
    return [(row["offset"], row["reason"]) for row in rows]


def ours(*numbers: int, start: int = 0, topic: str = INVOICES) -> Slice:
    records = [record_of(f"ok:{number}", start + n, topic=topic, sequence=number) for n, number in enumerate(numbers)]
    return Slice(topic=topic, partition=0, start_offset=start, end_offset=start + len(numbers), records=records)


async def test_a_batch_moves_effects_outbox_and_cursor_together(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    applied = await worker.process([slice_of("ok:a", "ok:b"), slice_of("ok:c", partition=1)])
    assert applied.next_offsets == {(PAYMENTS, 0): 2, (PAYMENTS, 1): 1}
    assert await effects(watch) == ["a", "b", "c"]
    assert await cursor(watch) == 2
    assert await watch.fetchval("SELECT count(*) FROM runtime.outbox WHERE topic = 'billing.ledger'") == 3


async def test_a_batch_delivered_again_or_overlapping_is_applied_once(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process([slice_of("ok:a", "ok:b", "ok:c")])
    await worker.process([slice_of("ok:a", "ok:b", "ok:c")])
    applied = await worker.process([slice_of("ok:b", "ok:c", "ok:d", start=1)])
    assert await effects(watch) == ["a", "b", "c", "d"]
    assert applied.next_offsets == {(PAYMENTS, 0): 4}


async def test_two_workers_with_the_same_batch_apply_it_once(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    found = slice_of(*(f"ok:{n}" for n in range(50)))
    again = slice_of(*(f"ok:{n}" for n in range(60)))
    await asyncio.gather(worker.process([found]), second_worker.process([again]), worker.process([found]))
    assert sorted(await effects(watch), key=int) == [str(n) for n in range(60)]


async def test_a_gap_is_refused_and_the_other_partitions_go_on(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    applied = await worker.process([slice_of("ok:late", start=5), slice_of("ok:x", partition=1)])
    assert [(gap.partition, gap.next_offset) for gap in applied.gaps] == [(0, 0)]
    assert await effects(watch) == ["x"]
    assert await cursor(watch) == 0


async def test_offsets_without_records_are_covered_by_the_slice(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process([slice_of("ok:a", end=4)])  # offsets 1 to 3 hold transaction markers
    await worker.process([slice_of("ok:b", start=4)])
    assert await effects(watch) == ["a", "b"]
    assert await cursor(watch) == 5


async def test_a_bad_event_is_dead_lettered_alone(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([slice_of("ok:a", "bad", "ok:b", "bad", "ok:c")])
    assert await effects(watch) == ["a", "b", "c"]
    assert await dead_letters(watch) == [(1, "value_missing"), (3, "value_missing")]
    dlq = await watch.fetch("SELECT partition, key, value FROM runtime.outbox WHERE topic = 'billing.payments.dlq'")
    assert [bytes(row["value"]) for row in dlq] == [b"bad", b"bad"]


async def test_what_postgres_cannot_hold_is_found_by_halving(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    values = [f"ok:{n}" for n in range(64)]
    values[37] = "nul"
    await worker.process([slice_of(*values)])
    assert await effects(watch) == [str(n) for n in range(64) if n != 37]
    assert await dead_letters(watch) == [(37, "rejected_by_database")]
    assert len(worker.toy.calls) <= 2 * 6 + 1
    assert await watch.fetchval("SELECT count(*) FROM runtime.outbox WHERE topic = 'billing.ledger'") == 63


async def test_a_body_too_large_never_reaches_the_handler(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([slice_of("ok:a", b"x" * 1001, "ok:b")])
    assert worker.toy.calls == [[b"ok:a", b"ok:b"]]
    assert await dead_letters(watch) == [(1, "body_too_large")]


async def test_a_long_record_of_ours_is_no_bad_event(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    record = record_of("ok:" + "x" * 2000, 0, topic=INVOICES, sequence=1)
    await worker.process([Slice(topic=INVOICES, partition=0, start_offset=0, end_offset=1, records=[record])])
    assert await effects(watch) == ["x" * 2000]
    assert await dead_letters(watch) == []


async def test_a_header_without_value_and_half_a_character_stop_nothing(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    record = msgspec.structs.replace(record_of("bad", 0), headers=(("trace", None), ("x", b"\xff")))
    found = Slice(topic=PAYMENTS, partition=0, start_offset=0, end_offset=1, records=[record])
    worker.toy.complaint = "it says \ud800"
    assert (await worker.process([found])).stopped == {}
    stored = await watch.fetchval("SELECT headers FROM runtime.outbox WHERE topic = 'billing.payments.dlq'")
    assert decode_headers(stored)[:2] == (("trace", None), ("x", b"\xff"))
    assert await dead_letters(watch) == [(0, "value_missing")]


async def test_a_bug_stops_its_partition_and_skips_nothing(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    applied = await worker.process([slice_of("ok:a", "bug", "ok:b"), slice_of("ok:x", partition=1)])
    assert list(applied.stopped) == [(PAYMENTS, 0)]
    assert "ZeroDivisionError" in worker.health.stopped_partitions[PAYMENTS, 0]
    assert await effects(watch) == ["x"]
    assert await cursor(watch) == 0
    assert await dead_letters(watch) == []


async def test_a_hole_in_the_sequence_stops_the_partition(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([ours(1, 2)])
    applied = await worker.process([ours(4, start=2)])
    assert "expected 3 in fakturo-sequence, found 4" in applied.stopped[INVOICES, 0]
    assert await cursor(watch, INVOICES) == 2


async def test_a_repeat_in_the_sequence_is_dropped(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([ours(1, 2, 2, 3)])
    await worker.process([ours(2, 3, 4, start=4)])
    assert await effects(watch) == ["1", "2", "3", "4"]


async def test_the_sequence_of_a_compacted_topic_may_jump(toy_settings: object, watch: asyncpg.Connection) -> None:
    from fakturo.consumers.runtime.cursor import Cursor
    from fakturo.consumers.runtime.intake import take_in

    stands = Cursor(
        topic="billing.contracts",
        partition=0,
        next_offset=0,
        last_sequence=0,
        watermark_at=None,
        watermark_recorded_at=None,
    )
    intake = take_in(ours(3, 7, 7, 9, topic="billing.contracts"), stands, 1000)
    assert [record.offset for record in intake.records] == [0, 1, 3]
    assert intake.cursor.last_sequence == 9
    assert intake.duplicate_count == 1


async def test_a_stranger_on_a_topic_of_ours_is_dead_lettered(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process([slice_of("ok:stranger", topic=INVOICES)])
    assert await effects(watch) == []
    assert await dead_letters(watch) == [(0, "unknown_shape")]


async def test_too_many_dead_letters_stop_the_partition(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    worker.processor._flood = FloodGuard(window_events=20)
    await worker.process([slice_of(*["ok:a"] * 16, *["bad"] * 4)])
    applied = await worker.process([slice_of("bad", "ok:b", start=20)])
    assert "DeadLetterFlood" in applied.stopped[PAYMENTS, 0]
    assert await cursor(watch) == 20


def test_the_flood_guard_forgets_what_is_older_than_its_window() -> None:
    guard = FloodGuard(window_events=100)
    guard.add(50, 20)
    with pytest.raises(DeadLetterFlood):
        guard.check(10, 1)
    guard.add(50, 0)
    guard.add(50, 0)
    guard.check(10, 1)


async def test_usage_that_races_its_reference_is_applied_once(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    """The reference comes between the look-up that missed it and the parking: the second look finds it."""
    worker.toy.before_park, worker.toy.at_park = asyncio.Event(), asyncio.Event()
    parking = asyncio.create_task(worker.process([slice_of("needs:UA:flight")]))
    await worker.toy.at_park.wait()
    await second_worker.process([slice_of("brings:UA", partition=1)])
    worker.toy.before_park.set()
    await parking
    assert await effects(watch) == ["flight"]
    assert await watch.fetchval("SELECT count(*) FROM runtime.parked") == 0


async def test_who_brings_a_reference_waits_for_who_parks(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    """The parking transaction holds the lock and is not committed yet: the bringer must see what it parks."""
    async with worker.database.transaction() as (_, driver):
        key = "SELECT pg_advisory_xact_lock_shared(hashtextextended('ledger/UA', 0))"
        await driver.execute(key)
        bringing = asyncio.create_task(second_worker.process([slice_of("brings:UA", partition=1)]))
        await asyncio.sleep(0.2)
        assert not bringing.done()
        await driver.execute(
            'INSERT INTO runtime.parked (agent, reference, message, topic, partition, "offset", value, headers, '
            "recorded_at) VALUES ('ledger', 'UA', 'm', 'billing.payments', 0, 0, 'needs:UA:flight', '[]', now())"
        )
    await bringing
    assert await effects(watch) == ["flight"]


async def test_a_worker_waits_for_the_database_in_place(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([slice_of("ok:a")])
    await watch.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fakturo'")
    applied = await worker.process([slice_of("ok:b", start=1)])
    assert applied.next_offsets == {(PAYMENTS, 0): 2}
    assert await effects(watch) == ["a", "b"]


async def test_a_lock_held_by_a_frozen_worker_is_waited_for_and_said(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    async with watch.transaction():
        await watch.execute("SELECT 1 FROM runtime.cursor FOR UPDATE")
        waiting = asyncio.create_task(worker.process([slice_of("ok:a")]))
        async with asyncio.timeout(20):  # the lock timeout is 5 s; before it, long work is a declared wait as well
            while "LockNotAvailable" not in (worker.health.waiting_for or ""):
                await asyncio.sleep(0.05)
    await waiting
    assert await effects(watch) == ["a"]
    assert worker.health.waiting_for is None


async def test_every_event_of_ours_carries_a_trace_that_a_rerun_gives_again(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process([slice_of("ok:a", "ok:a", "ok:b")])
    rows = await watch.fetch("SELECT headers FROM runtime.outbox WHERE topic = 'billing.ledger' ORDER BY id")
    one, again, other = (dict(decode_headers(row["headers"]))["traceparent"] for row in rows)
    assert re.fullmatch(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00", one or b"")
    assert one == again != other
