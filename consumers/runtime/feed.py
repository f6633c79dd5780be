"""What both runners share: positions of the partitions, the processor behind them, and the beat of time.

Place     runner_bulk, runner_faust -> [this] -> processor, watermark.
Truth     a position is what the cursor in Postgres said at the assignment, moved on by what was committed since. A
          record that does not join on to it is fetched again, never skipped.
Turn      `handle`, `advance` and `flush` of one worker take turns, a transaction at a time: an agent's own memory sees
          no interleaving, and a long bill run lets batches through between its parts.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import structlog

from fakturo.consumers.runtime.agent import Agent, ReadsAhead
from fakturo.consumers.runtime.backoff import patiently
from fakturo.consumers.runtime.cursor import Place, begin_at, ensure_cursors, read_offsets
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.flush_pacing import FlushPace
from fakturo.consumers.runtime.foreign_topics import ensure_dead_letter_topics
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.processor import Applied, Processor
from fakturo.consumers.runtime.records import Record, Slice
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_names import broker_name, logical_name
from fakturo.consumers.runtime.watermark import Timekeeper
from fakturo.schemas.topics import TOPICS, read_by

LOOK_SECONDS = 1.0
"""Time is looked at this often even without a tick of our own: another worker may have brought the last one."""
BEHIND_PART = 2
"""A batch of this part of the largest one or more: the worker does not keep up."""

log = structlog.get_logger(__name__)


class Feed:
    """One worker's way from fetched slices to committed effects.

    `more_topics` are read beside those that the map gives to the agent: other people's, which have their own numbers of
    partitions and take no part in time. With `flush_soon` the agent's interim outputs follow its inputs closely.
    """

    def __init__(
        self,
        agent: Agent,
        database: Database,
        settings: Settings,
        health: Health,
        more_topics: Sequence[str] = (),
        *,
        flush_soon: float = 0.0,
    ) -> None:
        turn = asyncio.Lock()
        self.agent = agent
        self.settings = settings
        self.health = health
        self.topics = [topic.name for topic in read_by(agent.name)] + list(more_topics)
        self.foreign_topics = frozenset(self.topics) - TOPICS.keys()
        self.positions: dict[Place, int] = {}
        self.stopped: dict[Place, str] = {}
        self._database = database
        self._processor = Processor(agent, database, settings, health, turn)
        self._timekeeper = Timekeeper(agent, database, settings, health, turn)
        self._pace = FlushPace(settings.interim_seconds, soon=flush_soon)
        self._many = settings.bulk_records_max // BEHIND_PART
        self._woken = asyncio.Event()
        self._is_ticked = True
        self._looked_at = 0.0

    async def prepare(self) -> None:
        """Make the cursor rows of every partition of every input of the map; foreign ones get theirs when assigned."""
        mapped = [topic for topic in self.topics if topic not in self.foreign_topics]
        await self._ensure_cursors(dict.fromkeys(mapped, self.settings.partitions))

    async def cursors_of(self, places: Collection[Place], log_starts: dict[Place, int]) -> dict[Place, int]:
        """Return where `places` are to be read from; stop those whose next record the broker has deleted."""
        offsets = await self._read_offsets()
        if grown := {place for place in places if place[0] in self.foreign_topics and place not in offsets}:
            await self._take_up(grown)
            offsets |= dict.fromkeys(grown, 0)
        unread = {place: log_starts.get(place, 0) for place in places if offsets.get(place) == 0}
        unread = {place: start for place, start in unread.items() if start > 0}
        if unread:
            await self._begin_at(unread)
            offsets |= unread
        for place in places:
            if offsets.get(place, 0) < log_starts.get(place, 0):
                self.stop(
                    place, f"the broker's log begins at {log_starts[place]}, the cursor stands at {offsets[place]}"
                )
        return {place: offsets.get(place, 0) for place in places}

    def stop(self, place: Place, reason: str) -> None:
        """Read `place` no further, until a person has looked and the process is started again."""
        if place not in self.stopped:
            log.error("partition stopped", topic=place[0], partition=place[1], reason=reason)
            self.stopped[place] = reason
            self.health.stopped(*place, reason)

    async def apply(self, slices: Sequence[Slice]) -> Applied:
        """Process `slices` and move the positions; gaps and stopped partitions are the runner's to act on."""
        applied = await self._processor.process(slices)
        for place, offset in applied.next_offsets.items():
            if place in self.positions:
                self.positions[place] = offset
        for gap in applied.gaps:
            if (gap.topic, gap.partition) in self.positions:
                self.positions[gap.topic, gap.partition] = gap.next_offset
        self.stopped |= applied.stopped
        has_flush_to_come = self._pace.changed(behind=applied.record_count >= self._many)
        self._is_ticked |= applied.ticked
        if applied.ticked or has_flush_to_come:
            self._woken.set()
        return applied

    def read_ahead(self, records: Sequence[Record]) -> None:
        """Let the agent read what it will be given next, if it can."""
        if isinstance(self.agent, ReadsAhead):
            self.agent.read_ahead(records)

    async def keep_time(self) -> None:
        """Advance after ticks and once a second, flush when it is due; for ever.

        A flush does not look at time first: each look waits for its turn among the batches, and for another one then.
        """
        while True:
            self._woken.clear()
            if self._is_ticked or time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._is_ticked = False
                await self._timekeeper.advance_if_due()
                self._looked_at = time.monotonic()
            if self._pace.left_seconds <= 0:
                self._pace.began()
                self._pace.ended(await self._timekeeper.flush())
            pause = min(LOOK_SECONDS, max(self._pace.left_seconds, 0.01))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def _take_up(self, places: Collection[Place]) -> None:
        """Make what partitions of other people's topics need that we have never read: dead letters' first, cursors."""
        counts: dict[str, int] = {}
        for topic, partition in places:
            counts[topic] = max(counts.get(topic, 0), partition + 1)
        await ensure_dead_letter_topics(self.settings, counts)
        await self._ensure_cursors(counts)

    async def _ensure_cursors(self, partitions: Mapping[str, int]) -> None:
        async def work() -> None:
            async with self._database.transaction() as (_, driver):
                await ensure_cursors(driver, self.agent.name, partitions)

        await patiently(work, self.health, "the database", self._database.forget_connections)

    def broker_name(self, topic: str) -> str:
        """Return what the broker calls one of the agent's topics."""
        return broker_name(topic, self.settings.topic_prefix)

    def place_of(self, name: str, partition: int) -> Place:
        """Return the place that the broker's topic `name` and `partition` are."""
        return logical_name(name, self.settings.topic_prefix), partition

    async def _read_offsets(self) -> dict[Place, int]:
        async def work() -> dict[Place, int]:
            async with self._database.transaction() as (_, driver):
                return await read_offsets(driver, self.agent.name)

        return await patiently(work, self.health, "the database", self._database.forget_connections)

    async def _begin_at(self, starts: dict[Place, int]) -> None:
        async def work() -> None:
            async with self._database.transaction() as (_, driver):
                await begin_at(driver, self.agent.name, starts)

        for (topic, partition), start in starts.items():
            log.warning("begins where the broker's log begins", topic=topic, partition=partition, offset=start)
        await patiently(work, self.health, "the database", self._database.forget_connections)
