"""One batch, one transaction: effects, outbox rows, dead letters and the next offsets commit together or not at all.

Place     runner (Faust or bulk) -> [this] -> the agent's `handle` -> Postgres -> relay.
Order     lock the cursors (topic, partition) -> drop what they have passed, refuse a gap -> check sequences, take ticks
          out (intake.py) -> handle, bad records singled out (isolation.py) -> outbox and dead letters -> move cursors.
Errors    world: again, in place, with back-off. Gap: told to the runner, which seeks. Anything else is a bug: the
          slices are tried one at a time, those that fail stop their partition, the others go on; nothing is skipped.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from fakturo.consumers.runtime.agent import Agent
from fakturo.consumers.runtime.backoff import patiently
from fakturo.consumers.runtime.cursor import Cursor, Place, lock_cursors, move_cursors
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.errors import GapError, RuntimeFault
from fakturo.consumers.runtime.flood import FloodGuard
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.intake import Intake, take_in
from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.runtime.metrics import BATCH_SECONDS, DEAD_LETTERS, END_TO_END_SECONDS, EVENTS
from fakturo.consumers.runtime.outbox import write_out
from fakturo.consumers.runtime.records import Slice
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Applied:
    """What became of a batch: where each partition stands now, what must be fetched again, what has stopped."""

    next_offsets: dict[Place, int] = field(default_factory=dict)
    gaps: list[GapError] = field(default_factory=list)
    stopped: dict[Place, str] = field(default_factory=dict)
    record_count: int = 0
    ticked: bool = False


class Processor:
    """Applies the batches of one worker of `agent`."""

    def __init__(
        self,
        agent: Agent,
        database: Database,
        settings: Settings,
        health: Health,
        turn: asyncio.Lock | None = None,
    ) -> None:
        self.agent = agent
        self._database = database
        self._settings = settings
        self._health = health
        self._flood = FloodGuard()
        self._turn = turn or asyncio.Lock()

    async def process(self, slices: Sequence[Slice]) -> Applied:
        """Apply `slices`, at most one a partition; return once it is committed, however long the world is away."""
        ordered = sorted(slices, key=lambda found: found.place)
        async with self._turn:
            try:
                return await self._patiently(ordered)
            except Exception as error:  # noqa: BLE001 - an unknown exception is a bug: it stops its partition
                if len(ordered) == 1:
                    return Applied(stopped={ordered[0].place: self._stop(ordered[0], error)})
                return await self._one_by_one(ordered)

    async def _one_by_one(self, slices: Sequence[Slice]) -> Applied:
        whole = Applied()
        for found in slices:
            try:
                part = await self._patiently([found])
            except Exception as error:  # noqa: BLE001 - as above
                whole.stopped[found.place] = self._stop(found, error)
                continue
            whole.next_offsets |= part.next_offsets
            whole.gaps += part.gaps
            whole.record_count += part.record_count
            whole.ticked |= part.ticked
        return whole

    async def _patiently(self, slices: Sequence[Slice]) -> Applied:
        return await patiently(
            lambda: self._apply(slices), self._health, "the database", self._database.forget_connections
        )

    async def _apply(self, slices: Sequence[Slice]) -> Applied:
        started_at = time.monotonic()
        name = self.agent.name
        async with self._database.transaction() as (sql, driver):
            cursors = await lock_cursors(driver, name, [found.place for found in slices])
            applied, joined = _join(slices, cursors)
            intakes = [take_in(found, cursor, self._settings.event_bytes_max) for found, cursor in joined]
            tx = Transaction(name, sql, driver, self._settings.partitions)
            await self._handle(intakes, tx)
            self._flood.check(sum(len(i.records) + len(i.refused) for i in intakes), len(tx.rejections))
            await write_out(tx)
            moved = [intake.cursor for intake in intakes]
            if moved:
                await move_cursors(driver, name, moved)
        self._count(intakes, tx, time.monotonic() - started_at)
        applied.next_offsets |= {cursor.place: cursor.next_offset for cursor in moved}
        applied.record_count = sum(len(intake.records) for intake in intakes)
        applied.ticked = any(intake.tick_count for intake in intakes)
        return applied

    async def _handle(self, intakes: Sequence[Intake], tx: Transaction) -> None:
        for intake in intakes:
            if intake.duplicate_count:
                tx.count(intake.cursor.topic, "duplicate", intake.duplicate_count)
            for record, reason, message in intake.refused:
                tx.reject(record, reason, message)
        records = [record for intake in intakes for record in intake.records]
        if records:
            await handle_isolated(self.agent, records, tx)

    def _stop(self, found: Slice, error: Exception) -> str:
        reason = f"{type(error).__name__}: {error}"
        log.error(
            "partition stopped",
            topic=found.topic,
            partition=found.partition,
            offset=found.start_offset,
            reason=reason,
            exc_info=error,
        )
        self._health.stopped(found.topic, found.partition, reason)
        return reason

    def _count(self, intakes: Sequence[Intake], tx: Transaction, seconds: float) -> None:
        name = self.agent.name
        BATCH_SECONDS.labels(name).observe(seconds)
        self._flood.add(sum(len(i.records) + len(i.refused) for i in intakes), len(tx.rejections))
        for (topic, outcome), number in _outcomes(intakes, tx).items():
            EVENTS.labels(name, topic, outcome).inc(number)
        for rejection in tx.rejections:
            DEAD_LETTERS.labels(name, rejection.record.topic, rejection.reason.value).inc()
        tx.tell_committed()
        now = time.time()
        for intake in intakes:
            if intake.records:
                END_TO_END_SECONDS.labels(name).observe(max(now - intake.records[0].recorded_at.timestamp(), 0.0))


def _join(slices: Sequence[Slice], cursors: dict[Place, Cursor]) -> tuple[Applied, list[tuple[Slice, Cursor]]]:
    """Sort slices into those that join on to their cursor, those that leave a gap, and those that are old."""
    applied, joined = Applied(), []
    for found in slices:
        cursor = cursors.get(found.place)
        if cursor is None:
            raise RuntimeFault(f"{found.topic}-{found.partition} has no cursor: FAKTURO_PARTITIONS is not the broker's")
        if found.start_offset > cursor.next_offset:
            applied.gaps.append(GapError(found.topic, found.partition, cursor.next_offset, found.start_offset))
        elif found.end_offset > cursor.next_offset:
            joined.append((found, cursor))
        else:
            applied.next_offsets[found.place] = cursor.next_offset
    return applied, joined


def _outcomes(intakes: Sequence[Intake], tx: Transaction) -> Counter[tuple[str, str]]:
    """Return the counts by topic and outcome; what the agent has not counted otherwise was applied."""
    counted = Counter(tx.outcomes)
    arrived: Counter[str] = Counter()
    for intake in intakes:
        arrived[intake.cursor.topic] += len(intake.records) + len(intake.refused) + intake.duplicate_count
    told: Counter[str] = Counter()
    for (topic, outcome), number in tx.outcomes.items():
        told[topic] += 0 if outcome == "released" else number
    for topic, number in arrived.items():
        if number > told[topic]:
            counted[topic, "applied"] += number - told[topic]
    return counted
