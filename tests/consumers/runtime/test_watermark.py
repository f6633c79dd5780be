"""Time as an event: ticks through partitions, workers and restarts; no step twice, none left out."""

import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace

import asyncpg
import msgspec
from prometheus_client import REGISTRY
from toy_agent import START, Slice, record_of, slice_of, tick_value

from fakturo.consumers.runtime.cursor import Cursor
from fakturo.consumers.runtime.intake import take_in
from fakturo.consumers.runtime.metrics import WATERMARK_TIMESTAMP
from fakturo.consumers.runtime.transaction import Transaction

PAYMENTS, INVOICES = "billing.payments", "billing.invoices"
DAY = timedelta(days=1)


def tick_slice(days: int, start: int, topic: str, partition: int) -> Slice:
    sequence = start + 1 if topic == INVOICES else None
    record = record_of(tick_value(days), start, topic=topic, partition=partition, sequence=sequence)
    return Slice(topic=topic, partition=partition, start_offset=start, end_offset=start + 1, records=[record])


def everywhere(days: int, start: int = 0) -> list[Slice]:
    return [tick_slice(days, start, topic, partition) for topic in (PAYMENTS, INVOICES) for partition in (0, 1)]


async def steps(watch: asyncpg.Connection) -> list[tuple[str, int | None]]:
    rows = await watch.fetch("SELECT kind, at FROM toy.step ORDER BY n")
    return [(row["kind"], None if row["at"] is None else (row["at"] - START) // DAY) for row in rows]


async def ticks(watch: asyncpg.Connection) -> list[asyncpg.Record]:
    return await watch.fetch("SELECT topic, partition, key, value FROM runtime.outbox ORDER BY id")


async def test_a_record_is_told_its_own_partitions_time_before_it(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process(
        [slice_of("ok:a", tick_value(1), "ok:b", tick_value(3), "ok:c"), slice_of("ok:x", partition=1)]
    )
    await worker.process([slice_of("ok:d", start=5)])
    rows = await watch.fetch("SELECT name, watermark_at FROM toy.effect ORDER BY name")
    assert {row["name"]: row["watermark_at"] for row in rows} == {
        "a": None,
        "b": START + DAY,
        "c": START + 3 * DAY,
        "d": START + 3 * DAY,
        "x": None,
    }


async def test_an_event_that_names_the_tick_is_an_event(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([slice_of("ok:fakturo.clock.advanced.v1")])
    assert await watch.fetchval("SELECT name FROM toy.effect") == "fakturo.clock.advanced.v1"


async def test_a_tick_never_moves_time_back(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    applied = await worker.process([slice_of(tick_value(5), tick_value(2))])
    assert applied.ticked
    assert await watch.fetchval("SELECT max(watermark_at) FROM runtime.cursor") == START + 5 * DAY


async def test_time_stands_until_every_partition_has_ticked(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    *most, last = everywhere(1)
    await worker.process(most)
    assert not await worker.time.advance_if_due()
    await worker.process([last])
    assert await worker.time.advance_if_due()
    assert await steps(watch) == [("advance", 1), ("flush", None)]


async def test_the_least_partition_holds_time(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process(everywhere(1))
    await worker.process([tick_slice(9, 1, PAYMENTS, 0)])
    await worker.time.advance_if_due()
    assert await watch.fetchval("SELECT at FROM runtime.watermark") == START + DAY


async def test_the_tick_is_passed_on_once_all_parts_are_done(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    worker.toy.parts = 3
    await worker.process(everywhere(1))
    await worker.time.advance_if_due()
    assert await steps(watch) == [("advance", 1)] * 3 + [("flush", None)]
    passed = await ticks(watch)
    assert [(row["topic"], row["partition"], row["key"]) for row in passed] == [
        ("billing.ledger", 0, None),
        ("billing.ledger", 1, None),
    ]
    event = msgspec.json.decode(passed[0]["value"])
    assert event["id"] == "clock/ledger/2013-01-02T00:00:00+00:00"
    assert event["data"] == {"at": "2013-01-02T00:00:00Z"}
    assert event["recordedat"] == "2013-01-01T00:00:00Z"


async def test_a_jump_stops_where_the_agent_says_and_passes_each_stop_on(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    """From day 1 to day 9 with stops at 4 and 7; before the second stop something else is done first."""
    asked = []
    stops = iter([START + 4 * DAY, None, START + 7 * DAY, START + 9 * DAY])

    async def next_stop(after: datetime | None, to: datetime, tx: Transaction) -> datetime | None:
        asked.append((after, to))
        return next(stops)

    await worker.process(everywhere(1))
    await worker.time.advance_if_due()
    worker.toy.next_stop = next_stop
    await worker.process(everywhere(9, 1))
    assert await worker.time.advance_if_due()
    assert [((after - START) // DAY, (to - START) // DAY) for after, to in asked] == [(1, 9), (4, 9), (4, 9), (7, 9)]
    assert [at for kind, at in await steps(watch) if kind == "advance"] == [1, 4, 7, 9]
    times = [msgspec.json.decode(row["value"])["data"]["at"] for row in await ticks(watch) if row["partition"] == 0]
    assert times == ["2013-01-02T00:00:00Z", "2013-01-05T00:00:00Z", "2013-01-08T00:00:00Z", "2013-01-10T00:00:00Z"]
    assert await watch.fetchval("SELECT at FROM runtime.watermark") == START + 9 * DAY


async def test_two_workers_advance_once(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    slices = everywhere(1)
    await asyncio.gather(worker.process(slices[:2]), second_worker.process(slices[2:]))
    await asyncio.gather(worker.time.advance_if_due(), second_worker.time.advance_if_due())
    assert await steps(watch) == [("advance", 1), ("flush", None)]
    assert len(await ticks(watch)) == 2


async def test_a_bug_in_advance_stops_time_and_skips_nothing(
    worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    async def broken(to: object, tx: object) -> bool:
        raise ZeroDivisionError("a bug")

    mended, worker.toy.advance = worker.toy.advance, broken
    await worker.process(everywhere(1))
    assert not await worker.time.advance_if_due()
    assert not worker.health.assignment()[0]
    worker.toy.advance = mended
    assert await worker.time.advance_if_due()
    assert worker.health.stopped_partitions == {}
    assert await steps(watch) == [("advance", 1), ("flush", None)]


async def test_what_is_parked_too_long_is_dead_lettered(worker: SimpleNamespace, watch: asyncpg.Connection) -> None:
    await worker.process([slice_of(tick_value(1), "needs:UA:flight")])
    await worker.process([tick_slice(1, 2, PAYMENTS, 0), *everywhere(1)[1:]])
    await worker.time.advance_if_due()
    assert await watch.fetchval("SELECT count(*) FROM runtime.parked") == 1
    later = [
        tick_slice(40, 3, PAYMENTS, 0),
        *(tick_slice(40, 1, t, p) for t, p in [(PAYMENTS, 1), (INVOICES, 0), (INVOICES, 1)]),
    ]
    await worker.process(later)
    await worker.time.advance_if_due()
    row = await watch.fetchrow('SELECT reason, message, "offset" FROM runtime.dead_letter')
    assert tuple(row) == ("reference_never_came", "UA is not known", 1)
    assert await watch.fetchval("SELECT count(*) FROM runtime.parked") == 0


async def test_a_flush_is_left_to_the_worker_that_is_at_it(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    async with watch.transaction():
        await watch.execute("SELECT pg_advisory_xact_lock(hashtextextended('ledger flush', 0))")
        await worker.time.flush()
    assert await steps(watch) == []
    await worker.time.flush()
    assert await steps(watch) == [("flush", None)]


async def test_every_worker_shows_what_time_has_reached_whoever_moved_it(
    worker: SimpleNamespace, second_worker: SimpleNamespace, watch: asyncpg.Connection
) -> None:
    await worker.process(everywhere(1))
    await worker.time.advance_if_due()
    WATERMARK_TIMESTAMP.labels("ledger").set(0)  # the second worker is a process of its own
    await second_worker.time.advance_if_due()
    shown = REGISTRY.get_sample_value("fakturo_watermark_timestamp_seconds", {"agent": "ledger"})
    assert shown == (START + DAY).timestamp()


def test_a_tick_in_somebody_elses_topic_moves_no_time_and_is_handed_on_as_what_they_wrote() -> None:
    stands = Cursor(
        topic="sfdc.Account",
        partition=2,
        next_offset=0,
        last_sequence=0,
        watermark_at=None,
        watermark_recorded_at=None,
    )
    tick = slice_of(tick_value(3), topic="sfdc.Account", partition=2)
    intake = take_in(tick, stands, 1000)
    assert [record.value for record in intake.records] == [tick_value(3)]
    assert intake.cursor.watermark_at is None
    assert (intake.cursor.next_offset, intake.tick_count) == (1, 0)
