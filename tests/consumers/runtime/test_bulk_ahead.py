"""The bulk runner reads ahead while a batch is applied, and throws that away when the batch did not end there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from fakturo.consumers.runtime.errors import GapError
from fakturo.consumers.runtime.processor import Applied
from fakturo.consumers.runtime.records import Record, Slice
from fakturo.consumers.runtime.runner_bulk import BulkRunner

TOPIC = "billing.usage"
PLACE = (TOPIC, 0)


@dataclass
class FakeConsumer:
    """A partition of `length` records, given out three at a time."""

    length: int
    at: int = 0
    seeks: list[int] = field(default_factory=list)

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.001 if self.at < self.length else timeout_ms / 1000)
        offsets = range(self.at, min(self.at + 3, self.length))
        self.at = max(self.at, offsets.stop)
        records = [SimpleNamespace(timestamp=0, offset=one, key=None, value=b"v", headers=()) for one in offsets]
        return {TopicPartition(TOPIC, 0): records} if records else {}

    @property
    def _coordinator(self) -> None:
        """Nothing is asked of it while there are partitions."""

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, 0)}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.seeks.append(offset)
        self.at = offset

    def pause(self, partition: TopicPartition) -> None:
        """Nothing is asked of it."""


@dataclass
class FakeFeed:
    """Applies slices when told to; `gap_at` is a cursor that another worker moved back."""

    positions: dict[tuple[str, int], int] = field(default_factory=lambda: {PLACE: 0})
    stopped: dict[tuple[str, int], str] = field(default_factory=dict)
    applied: list[tuple[int, int, list[int]]] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    gap_at: int | None = None
    settings: Any = field(
        default_factory=lambda: SimpleNamespace(batch_records_max=3, bulk_records_max=9, bulk_bytes_max=10**6)
    )
    health: Any = field(default_factory=lambda: SimpleNamespace(beat=lambda: None))

    async def apply(self, slices: Sequence[Slice]) -> Applied:
        (found,) = slices
        await asyncio.sleep(0.05)
        if self.gap_at is not None:
            gap, self.gap_at = self.gap_at, None
            self.positions[PLACE] = gap
            return Applied(gaps=[GapError(TOPIC, 0, gap, found.start_offset)])
        self.applied.append((found.start_offset, found.end_offset, [record.offset for record in found.records]))
        self.positions[PLACE] = found.end_offset
        return Applied(next_offsets={PLACE: found.end_offset})

    def read_ahead(self, records: Sequence[Record]) -> None:
        self.read += [record.offset for record in records]

    def place_of(self, name: str, partition: int) -> tuple[str, int]:
        return name, partition

    def broker_name(self, topic: str) -> str:
        return topic


@pytest.fixture
def feed() -> FakeFeed:
    """Return a feed that stands at the beginning."""
    return FakeFeed()


def runner_of(feed: FakeFeed, length: int) -> BulkRunner:
    """Return a runner that is seated at a topic of `length` records."""
    runner = BulkRunner(feed)  # type: ignore[arg-type]
    runner.consumer = FakeConsumer(length)
    runner._seek_all()
    runner._is_seated = True
    runner._hinted_at = float("inf")  # no commit to a broker
    return runner


async def rounds(runner: BulkRunner, until: int) -> None:
    """Run rounds until the feed stands at `until`."""
    async with asyncio.timeout(10):
        while runner.feed.positions[PLACE] < until:
            await runner._round()


async def test_the_batch_after_the_first_is_what_came_meanwhile_but_no_more_than_the_bound(feed: FakeFeed) -> None:
    await rounds(runner_of(feed, 30), 30)
    assert feed.applied[0] == (0, 3, [0, 1, 2])  # nothing was under way: what had come goes at once
    assert feed.applied[1] == (3, 12, list(range(3, 12)))  # nine records, the bound, while the first took its 50 ms
    assert [offset for _, _, offsets in feed.applied for offset in offsets] == list(range(30))
    assert feed.read == list(range(30))


async def test_what_was_fetched_ahead_of_a_gap_is_fetched_again_from_the_cursor(feed: FakeFeed) -> None:
    runner = runner_of(feed, 30)
    await rounds(runner, 6)
    done = len(feed.applied)
    feed.gap_at = 3
    async with asyncio.timeout(10):
        while feed.gap_at is not None:
            await runner._round()
    assert runner.consumer.seeks[-1] == 3
    await rounds(runner, 30)
    assert feed.applied[done][0] == 3
    assert [offset for _, _, offsets in feed.applied[done:] for offset in offsets] == list(range(3, 30))


async def test_what_was_fetched_of_a_partition_that_stopped_meanwhile_is_not_applied(feed: FakeFeed) -> None:
    runner = runner_of(feed, 12)
    await runner._round()
    feed.stopped[PLACE] = "a bug"
    await runner._round()
    await runner._drop_ahead()
    assert feed.applied == [(0, 3, [0, 1, 2])]


async def test_a_gap_found_while_partitions_are_being_assigned_leaves_the_worker_seated(feed: FakeFeed) -> None:
    """The batch in flight began under the assignment before; what it meets must not undo the new one."""
    runner = runner_of(feed, 30)
    await rounds(runner, 3)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def cursors_of(places: object, starts: object) -> dict[tuple[str, int], int]:
        asked.set()
        await may_answer.wait()
        return {PLACE: 3}

    feed.cursors_of = cursors_of  # type: ignore[attr-defined]
    feed.health.assigned = lambda count: None
    runner.on_partitions_revoked([TopicPartition(TOPIC, 0)])
    seating = asyncio.create_task(runner.on_partitions_assigned([TopicPartition(TOPIC, 0)]))
    await asked.wait()
    await runner._act(Applied(gaps=[GapError(TOPIC, 0, 3, 6)]))
    may_answer.set()
    await seating
    await rounds(runner, 30)
    assert runner._is_seated
