"""Snapshots against the sandbox org: whole, resumed, with an org that goes on under the reader's hands."""

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce import snapshot as snapshot_module
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.snapshot import Reading, SnapshotLost, SnapshotReader
from fakturo.schemas.events.change_data import ChangeRecord
from tests.producers.salesforce.sandbox_reading import Follower, changes_of, living_in

NOON_MS = 1_793_534_400_000
PARTITIONS = 4


def accounts(sandbox: RunningSandbox, count: int) -> list[str]:
    with sandbox.org.transaction() as writing:
        return [writing.insert("Account", {"Name": f"A{number}", "Phone": "0"}) for number in range(count)]


def reader_of(org: Org, passed_ms: int | None = None) -> SnapshotReader:
    return SnapshotReader(org, PARTITIONS, lambda: passed_ms)


async def read_to_end(
    sandbox: RunningSandbox,
    reader: SnapshotReader,
    reading: Reading,
    between: Callable[[Reading], None] = lambda _: None,
) -> list[Outgoing]:
    """Step until the end, a second of the org's clock a step; `between` is called before each."""
    records: list[Outgoing] = []
    for _ in range(200):
        between(reading)
        step = await reader.step(reading)
        if step is None:
            sandbox.org.clock.advance(1)
            await asyncio.sleep(0.01)
            continue
        records += step.records
        reading = step.reading
        if reading.is_done:
            return records
    raise AssertionError(f"no end in sight: {reading}")


def rows_among(changes: list[ChangeRecord]) -> list[ChangeRecord]:
    return [change for change in changes if change.changeType == "SYNC"]


def ends_among(changes: list[ChangeRecord]) -> list[ChangeRecord]:
    return [change for change in changes if change.changeType == "SNAPSHOT_END"]


async def test_every_row_comes_once_and_then_an_end_in_every_partition(sandbox: RunningSandbox, org: Org) -> None:
    ids = accounts(sandbox, 12)
    sandbox.org.clock.advance(60)
    with sandbox.org.transaction() as writing:
        writing.delete("Account", ids[0])
    sandbox.org.clock.advance(60)
    reader = reader_of(org)
    reading = await reader.begin("Account", (4,), None)
    records = await read_to_end(sandbox, reader, reading)
    changes = changes_of(records)
    assert sorted(one.recordId for one in rows_among(changes)) == sorted(ids)
    assert [one.recordId for one in rows_among(changes) if one.values["IsDeleted"] is True] == [ids[0]]
    assert {one.snapshot for one in changes} == {reading.snapshot}
    assert [record.partition for record in records[-PARTITIONS:]] == [0, 1, 2, 3]
    ends = ends_among(changes)
    # The snapshot began at 12:02:00 by the org's clock; what was stamped up to two seconds before is sure to be in it.
    assert [(one.recordId, one.commit.ts) for one in ends] == [("000000000000000AAA", NOON_MS + 118_000)] * PARTITIONS
    assert len({one.eventId for one in changes}) == len(changes)


async def test_a_killed_reader_goes_on_where_its_position_stands(
    sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "PAGE_ROWS", 3)
    ids = accounts(sandbox, 11)
    sandbox.org.clock.advance(60)
    reading = await reader_of(org).begin("Account", (), None)
    records: list[Outgoing] = []
    while not reading.is_done:
        reading = msgspec.json.decode(msgspec.json.encode(reading), type=Reading)  # as it lies in sf.progress
        step = await reader_of(org).step(reading)  # another process each time
        if step is None:
            sandbox.org.clock.advance(1)
            await asyncio.sleep(0.01)
            continue
        records += step.records
        reading = step.reading
    changes = changes_of(records)
    assert sorted(one.recordId for one in rows_among(changes)) == sorted(ids)
    assert len(ends_among(changes)) == PARTITIONS


async def test_a_job_that_the_org_has_forgotten_means_a_new_snapshot(sandbox: RunningSandbox, org: Org) -> None:
    accounts(sandbox, 2)
    sandbox.org.clock.advance(60)
    reading = await reader_of(org).begin("Account", (), None)
    gone = msgspec.structs.replace(reading, job_id="750000000009999AAA")
    with pytest.raises(SnapshotLost):
        await reader_of(org).step(gone)


async def test_what_changes_while_it_is_read_comes_as_it_is_at_the_end(
    sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "PAGE_ROWS", 4)
    ids = accounts(sandbox, 30)
    sandbox.org.clock.advance(60)
    book = Follower()
    reader = reader_of(org)
    reading = await reader.begin("Account", (), None)
    random_ = random.Random(7)
    steps = 0

    def org_goes_on(_: Reading) -> None:
        nonlocal steps
        steps += 1
        if steps > 12:
            return
        sandbox.org.clock.advance(random_.choice([0.1, 0.4, 1.1]))
        alive = sorted(living_in(sandbox.org, "Account", "Phone"))
        with sandbox.org.transaction() as writing:
            writing.update("Account", random_.choice(alive), {"Phone": str(steps)})
        with sandbox.org.transaction() as writing:
            writing.delete("Account", random_.choice(alive))
        with sandbox.org.transaction() as writing:
            writing.insert("Account", {"Name": f"new {steps}", "Phone": "new"})

    book.take(changes_of(await read_to_end(sandbox, reader, reading, org_goes_on)))
    # No event was told at all: the snapshot alone must have found everything that settled before its end.
    assert book.of("Phone") == living_in(sandbox.org, "Account", "Phone")
    assert set(ids) <= set(book.values)


async def test_a_record_made_just_before_a_snapshot_is_told_however_young_it_is(
    sandbox: RunningSandbox, org: Org
) -> None:
    """No event tells of it where the stream was opened after it was made, and its row settles only later."""
    ids = accounts(sandbox, 3)
    sandbox.org.clock.advance(0.9)
    reader = reader_of(org)
    records = await read_to_end(sandbox, reader, await reader.begin("Account", (), None))
    assert sorted(one.recordId for one in rows_among(changes_of(records))) == sorted(ids)


async def test_a_record_made_during_a_snapshot_is_never_swept(sandbox: RunningSandbox, org: Org) -> None:
    accounts(sandbox, 3)
    sandbox.org.clock.advance(0.7)
    book = Follower()
    reader = reader_of(org)
    reading = await reader.begin("Account", (), None)
    with sandbox.org.transaction() as writing:
        made = writing.insert("Account", {"Name": "made in the second of the snapshot"})
    book.committed[made] = NOON_MS  # its event, cut to the second, has come before
    book.values[made] = {"Name": "made in the second of the snapshot"}
    records = await read_to_end(sandbox, reader, reading)
    book._sweep(ends_among(changes_of(records))[0])
    assert made in book.living


async def test_a_record_that_changes_all_the_time_does_not_hold_up_the_end(sandbox: RunningSandbox, org: Org) -> None:
    ids = accounts(sandbox, 5)
    sandbox.org.clock.advance(60)
    reader = reader_of(org)
    reading = await reader.begin("Account", (), None)

    def hot(_: Reading) -> None:
        sandbox.org.clock.advance(1)
        with sandbox.org.transaction() as writing:
            writing.update("Account", ids[0], {"Phone": "hot"})

    changes = changes_of(await read_to_end(sandbox, reader, reading, hot))
    told = [one for one in rows_among(changes) if one.recordId == ids[0]]
    stamp = int(str(told[-1].eventId).split("/")[2])
    assert told[-1].commit.ts == stamp - 1  # an event of its last second wins over it, an earlier one does not
    assert told[-1].values["Phone"] == "hot"
    assert len(ends_among(changes)) == PARTITIONS


async def test_an_object_without_any_row_sweeps_nothing(sandbox: RunningSandbox, org: Org) -> None:
    sandbox.org.clock.advance(60)
    reader = reader_of(org)
    assert await read_to_end(sandbox, reader, await reader.begin("Contract", (), None)) == []


async def test_after_an_overflow_rows_wait_until_the_stream_has_passed_them(sandbox: RunningSandbox, org: Org) -> None:
    accounts(sandbox, 2)
    sandbox.org.clock.advance(60)
    passed: list[int | None] = [None]
    reader = SnapshotReader(org, PARTITIONS, lambda: passed[0])
    reading = await reader.begin("Account", (0,), NOON_MS)
    for _ in range(5):
        assert await reader.step(reading) is None
        await asyncio.sleep(0.02)
    passed[0] = NOON_MS + 3_600_000
    rows = rows_among(changes_of(await read_to_end(sandbox, reader, reading)))
    assert [one.gapTs for one in rows] == [NOON_MS, NOON_MS]


async def test_an_org_whose_clock_others_drive_is_read_to_its_end_all_the_same(
    sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "STILL_SECONDS_MAX", 0.1)
    ids = accounts(sandbox, 3)  # of this very second, which never ends
    reader = reader_of(org)
    reading = await reader.begin("Account", (), None)
    records: list[Outgoing] = []
    while not reading.is_done:
        step = await reader.step(reading)
        await asyncio.sleep(0.05)
        if step is not None:
            records, reading = records + step.records, step.reading
    assert sorted(one.recordId for one in rows_among(changes_of(records))) == sorted(ids)
