"""How time advances for an agent: by the ticks in all its partitions, one transaction at a time under one lock.

Place     feed, after a batch with ticks and at start -> [this] -> the agent's `advance`, `flush` -> outbox -> relay.
Minimum   the agent's time is the least of its cursors' watermarks; a partition that has seen no tick holds it still.
Feedback  an input that came of the agent's own output (schemas/topics.py, `feedback_readers`) is read exactly once like
          any other, but neither holds time nor must have ticked: its ticks come only after time has moved here.
Chunks    `advance` does a bounded part and says whether more remains; only when nothing does the watermark moves and
          the tick goes on to every partition that the agent publishes to. A kill in between repeats nothing.
Jumps     ticks that several partitions have passed coalesce. An agent for which that is not the same as one after the
          other says where time has to stop on the way (`StopsOnTheWay`), and those who read it see it stop there.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from fakturo.consumers.runtime.agent import Agent, StopsOnTheWay
from fakturo.consumers.runtime.backoff import patiently
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.metrics import DEAD_LETTERS, EVENTS, WATERMARK_TIMESTAMP
from fakturo.consumers.runtime.outbox import write_out
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import CONTENT_TYPE, OutboxRow, Transaction, traceparent_of
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.clock import ClockAdvanced
from fakturo.schemas.topics import CLOCK_ADVANCED, CLOCK_KEY, feedback_of, written_by

SWEEP_RECORDS = 500
PLACE = ("runtime.watermark", 0)
"""Under this name `/readyz` shows that time has stopped because of a bug."""

log = structlog.get_logger(__name__)

_REACHED = """
WITH inputs AS (SELECT * FROM runtime.cursor WHERE agent = $1 AND topic <> ALL($2::text[]))
SELECT min(watermark_at) AS at, count(*) FILTER (WHERE watermark_at IS NULL) AS silent,
       max(watermark_recorded_at) FILTER (WHERE watermark_at = (SELECT min(watermark_at) FROM inputs)) AS recorded_at
  FROM inputs
"""
_AT = "SELECT at FROM runtime.watermark WHERE agent = $1"
_LOCK = "SELECT at FROM runtime.watermark WHERE agent = $1 FOR UPDATE"
_MOVE = "UPDATE runtime.watermark SET at = $2, recorded_at = $3 WHERE agent = $1"


@dataclass(frozen=True, slots=True)
class Reached:
    """What time has reached in all partitions, and when we knew."""

    at: datetime
    recorded_at: datetime


class Timekeeper:
    """Advances the time of `agent`; any worker of it may, one at a time."""

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
        self._turn = turn or asyncio.Lock()

    async def advance_if_due(self) -> bool:
        """Advance as far as all partitions have come; return whether time has moved; a bug only stops time."""
        moved = False
        while (outcome := await self._guarded(self._advance_part)) is not None:
            moved |= outcome
        return moved

    async def flush(self) -> float | None:
        """Publish interim outputs, unless another worker of the agent is at it.

        Returns after how many seconds there will be more, where the agent said so.
        """
        again_seconds: float | None = await self._guarded(self._flush)
        return again_seconds

    async def _guarded(self, work: Any) -> Any:
        try:
            async with self._turn:
                result = await patiently(work, self._health, "the database", self._database.forget_connections)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if self._health.stopped_partitions.get(PLACE) != reason:
                log.exception("time stands still", reason=reason)
                self._health.stopped(*PLACE, reason)
            return None
        if PLACE in self._health.stopped_partitions:
            self._health.resumed(*PLACE)
        return result

    async def _advance_part(self) -> bool | None:
        """Do one part; return True when time has moved, False when more remains, None when nothing is due."""
        name = self.agent.name
        async with self._database.transaction() as (sql, driver):
            stands_at = await driver.fetchval(_AT, name)
            if stands_at is not None:  # said by every worker, whichever of them has moved it
                WATERMARK_TIMESTAMP.labels(name).set(stands_at.timestamp())
            if await _due(driver, name, stands_at) is None:
                return None  # the usual answer, given without the lock
            stands_at = await driver.fetchval(_LOCK, name)
            target = await _due(driver, name, stands_at)
            if target is None:
                return None
            tx = Transaction(name, sql, driver, self._settings.partitions)
            step = await self._step(stands_at, target, tx)
            moved = step is not None and await self._take(step, tx)
            await write_out(tx)
        self._count(tx)
        if step is not None and moved:
            WATERMARK_TIMESTAMP.labels(name).set(step.at.timestamp())
        return moved

    async def _step(self, stands_at: datetime | None, target: Reached, tx: Transaction) -> Reached | None:
        """Return how far time goes in one step; None where something had to be done first."""
        if not isinstance(self.agent, StopsOnTheWay):
            return target
        at = await self.agent.next_stop(stands_at, target.at, tx)
        return None if at is None else replace(target, at=at)

    async def _take(self, step: Reached, tx: Transaction) -> bool:
        """Do a part of what falls due at `step`; if that was the last, move time and return True."""
        if await self.agent.advance(step.at, tx) or await self._sweep(step.at, tx):
            return False
        await self._pass_on(step, tx)
        return True

    async def _sweep(self, to: datetime, tx: Transaction) -> bool:
        """Dead-letter what has waited too long for its reference; return whether there may be more."""
        before = to - timedelta(seconds=self._settings.parked_seconds_max)
        taken = await tx.take_parked_too_long(before, SWEEP_RECORDS)
        for record, message in taken:
            tx.reject(record, DeadLetterReason.REFERENCE_NEVER_CAME, message)
        return len(taken) == SWEEP_RECORDS

    async def _pass_on(self, reached: Reached, tx: Transaction) -> None:
        if self._settings.interim_seconds == 0:
            await self.agent.flush(tx)
        await tx.driver.execute(_MOVE, tx.agent, reached.at, reached.recorded_at)
        event = event_of(
            agent=tx.agent,
            event_type=CLOCK_ADVANCED,
            id=f"clock/{tx.agent}/{reached.at.isoformat()}",
            subject=None,
            time=reached.at,
            data=ClockAdvanced(at=reached.at),
            recorded_at=reached.recorded_at,
        )
        value, headers = encode(event), (CONTENT_TYPE, ("traceparent", traceparent_of(event)))
        tx.outbox += [
            OutboxRow(topic.name, partition, CLOCK_KEY if topic.compacted else None, value, headers)
            for topic in written_by(tx.agent)
            for partition in range(self._settings.partitions)
        ]

    async def _flush(self) -> float | None:
        name = self.agent.name
        async with self._database.transaction() as (sql, driver):
            if not await driver.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"{name} flush"):
                return None
            tx = Transaction(name, sql, driver, self._settings.partitions)
            await self.agent.flush(tx)
            await write_out(tx)
        self._count(tx)
        return tx.flush_again_seconds

    def _count(self, tx: Transaction) -> None:
        for (topic, outcome), number in tx.outcomes.items():
            EVENTS.labels(tx.agent, topic, outcome).inc(number)
        for rejection in tx.rejections:
            DEAD_LETTERS.labels(tx.agent, rejection.record.topic, rejection.reason.value).inc()
        tx.tell_committed()


async def _due(driver: Any, agent: str, stands_at: datetime | None) -> Reached | None:
    """Return what time has reached in all partitions of all inputs but feedback, if later than `stands_at`."""
    row = await driver.fetchrow(_REACHED, agent, [topic.name for topic in feedback_of(agent)])
    if row["at"] is None or row["silent"] or (stands_at is not None and row["at"] <= stands_at):
        return None
    return Reached(row["at"], row["recorded_at"])
