"""The worker that reads again: takes the requests on `sf.resync`, answers them on `sf.cdc.*`, keeps its place.

Place     stream.py (gaps, a lost position), `fakturo salesforce resync` -> `sf.resync` -> [this], with rereading.py
          (records) and snapshot.py (objects) -> PositionedPublisher: rows and position in one transaction.
Order     records first, between the pages of a snapshot too; one snapshot at a time, the longest waiting object first.
Refused   what the org refuses (no such object, no right) is tried again, later and later, and does not hold up other
          objects; after TRIES_MAX, or at once where the object does not exist, it is given up, said as an error and
          counted. Nothing loops: a job that fails is begun again at most as often.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from fakturo.consumers.runtime.fetch_pacing import pace_fetches
from fakturo.consumers.runtime.metrics import BRIDGE_RESYNC_PENDING, BRIDGE_RESYNC_REFUSED, BRIDGE_ROWS_READ
from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.intake import entity_label
from fakturo.producers.salesforce.publishing import Outgoing, PositionedPublisher
from fakturo.producers.salesforce.rereading import Rereader
from fakturo.producers.salesforce.resync_queue import ResyncQueue, earliest_gap
from fakturo.producers.salesforce.resync_requests import PARTITION, ResyncRequest, decode_request
from fakturo.producers.salesforce.row_values import RowFault
from fakturo.producers.salesforce.snapshot import Reading, SnapshotLost, SnapshotReader
from fakturo.schemas.topics import SF_RESYNC

PAUSE_SECONDS = (0.2, 2.0)
FETCH_MS = 1_000
ASIDE_SECONDS = (1.0, 300.0)
TRIES_MAX = 12

log = structlog.get_logger(__name__)


class ResyncPosition(msgspec.Struct, frozen=True):
    """Where the worker stands: see ResyncQueue (`offset`, `answered`) and Reading."""

    offset: int = 0
    answered: tuple[int, ...] = ()
    reading: Reading | None = None


@dataclass(slots=True)
class _Aside:
    """An object that the org has refused: how often, and when it is tried again (monotonic)."""

    tries: int = 0
    until: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ResyncPosition)


class ResyncWorker:
    """Answers the requests for one org. `passed_ms` tells up to which instant the stream has been published."""

    def __init__(
        self,
        settings: Settings,
        org: Org,
        publisher: PositionedPublisher,
        *,
        passed_ms: Callable[[], int | None],
        on_round: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._org = org
        self._publisher = publisher
        self._on_round = on_round
        self._rereader = Rereader(org, settings.partitions, passed_ms)
        self._snapshots = SnapshotReader(org, settings.partitions, passed_ms)
        self._queue = ResyncQueue()
        self._reading: Reading | None = None
        self._aside: dict[str, _Aside] = {}

    def is_busy_with(self, entity: str) -> bool:
        """Return whether anything of the object is still to be read again."""
        return self._queue.is_asked(entity)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            OrgUnavailable, AllocationUsedUp, AuthenticationRefused, KafkaError, OSError, TimeoutError: the world; run
                again after a pause, from the position.
            Fenced: another process has taken over.
        """
        position = await self._open()
        consumer = self._consumer()
        await consumer.start()
        try:
            place = TopicPartition(self._settings.topic_prefix + SF_RESYNC.name, PARTITION)
            consumer.assign([place])
            consumer.seek(place, position.offset)
            pause = PAUSE_SECONDS[0]
            while True:
                await self._take(consumer, place)
                worked = await self._work()
                self._on_round()
                BRIDGE_RESYNC_PENDING.set(len(self._queue))
                pause = PAUSE_SECONDS[0] if worked else min(pause * 1.5, PAUSE_SECONDS[1])
                if not worked and len(self._queue):
                    await asyncio.sleep(pause)
        finally:
            await consumer.stop()
            await self._publisher.close()

    async def _open(self) -> ResyncPosition:
        stored = await self._publisher.open()
        position = ResyncPosition() if stored is None else _decoder.decode(stored)
        self._queue = ResyncQueue(position.offset, position.answered)
        self._reading = position.reading
        return position

    def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # requests older than the topic keeps were answered, or nobody was there
        )
        return pace_fetches(consumer)

    async def _take(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        """Take what is asked; wait for it where there is nothing else to do."""
        wait_ms = 0 if len(self._queue) else FETCH_MS
        fetched = await consumer.getmany(place, timeout_ms=wait_ms)
        for record in fetched.get(place, ()):
            self._queue.add(record.offset, self._request_of(record))

    def _request_of(self, record: Any) -> ResyncRequest | None:
        try:
            request = decode_request(record.value)
        except (msgspec.DecodeError, TypeError):
            log.exception("a request to read again is not understood and left out", offset=record.offset)
            return None
        return request if request.org == self._org.org_id else None

    async def _work(self) -> bool:
        """Do the next piece of work; return whether there was any."""
        worked = False
        for entity in self._queue.entities(whole=False):
            worked |= await self._guarded(entity, self._answer_records)
        if self._reading is not None and not self._is_aside(self._reading.entity):
            return await self._guarded(self._reading.entity, self._read_on) or worked
        for entity in self._queue.entities(whole=True):
            if self._reading is None and not self._is_aside(entity):
                return await self._guarded(entity, self._begin) or worked
        return worked

    async def _guarded(self, entity: str, work: Callable[[str], Any]) -> bool:
        """Do `work` for an object; set the object aside where the org refuses it."""
        if self._is_aside(entity):
            return False
        try:
            worked = bool(await work(entity))
        except (OrgRefused, RowFault, SnapshotLost) as fault:
            await self._refused(entity, fault)
            return True
        if worked:
            self._aside.pop(entity, None)
        return worked

    async def _answer_records(self, entity: str) -> bool:
        answer = await self._rereader.answer(entity, self._queue.of_records(entity))
        if not answer.offsets:
            return False
        self._queue.answer(answer.offsets)
        await self._publish(answer.records)
        BRIDGE_ROWS_READ.labels(entity_label(entity), "resync").inc(len(answer.records))
        return True

    async def _begin(self, entity: str) -> bool:
        requests = self._queue.of_whole(entity)
        self._reading = await self._snapshots.begin(entity, tuple(requests), earliest_gap(requests))
        await self._publish([])
        return True

    async def _read_on(self, entity: str) -> bool:
        reading = self._reading
        if reading is None:
            return False
        step = await self._snapshots.step(reading)
        if step is None:
            return False
        if step.reading.is_done:
            self._queue.answer(step.reading.requests)
        self._reading = None if step.reading.is_done else step.reading
        await self._publish(step.records)
        BRIDGE_ROWS_READ.labels(entity_label(entity), "snapshot").inc(len(step.records))
        return True

    async def _refused(self, entity: str, fault: Exception) -> None:
        aside = self._aside.setdefault(entity, _Aside())
        aside.tries += 1
        pause = min(ASIDE_SECONDS[0] * 2.0**aside.tries, ASIDE_SECONDS[1])
        aside.until = time.monotonic() + pause
        if self._reading is not None and self._reading.entity == entity:
            self._reading = None  # its requests are pending still: another snapshot, with another id, answers them
        is_missing = isinstance(fault, OrgRefused) and fault.is_missing
        if not is_missing and aside.tries < TRIES_MAX:
            log.warning("could not be read again, is tried later", entity=entity, reason=str(fault), seconds=pause)
            return
        log.error("can't be read again and is given up: `fakturo salesforce check`", entity=entity, reason=str(fault))
        requests: Mapping[int, ResyncRequest] = self._queue.of_records(entity) | self._queue.of_whole(entity)
        BRIDGE_RESYNC_REFUSED.labels(entity_label(entity)).inc(len(requests))
        self._queue.answer(requests)
        del self._aside[entity]
        await self._publish([])

    def _is_aside(self, entity: str) -> bool:
        aside = self._aside.get(entity)
        return aside is not None and time.monotonic() < aside.until

    async def _publish(self, records: list[Outgoing]) -> None:
        position = ResyncPosition(self._queue.offset, self._queue.answered, self._reading)
        await self._publisher.publish(records, _encoder.encode(position))
