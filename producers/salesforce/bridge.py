"""The bridge of one org and channel: a lease, the stream, and the workers that read again; one event loop.

Place     app.py (process `salesforce`) -> [this] -> stream.py, workers.py.
Lease     a session's advisory lock in Postgres per org and channel: a second process waits, healthy, and takes over
          within a second or two. Kafka's fencing of the transactional ids is the second line: who has lost the lease
          and does not know it yet can commit nothing any more.
Faults    what goes away by itself (org, broker, database) is retried in place; a fenced publisher means that somebody
          else has taken over, and the lease is taken anew. Anything else is a bug and ends the process.
"""

import asyncio
import time
from collections.abc import Sequence

import asyncpg
import msgspec
import structlog
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.metrics import (
    BRIDGE_ALLOCATION_USED,
    BRIDGE_HEARD_AGE,
    BRIDGE_POSITION_AGE,
    BRIDGE_STOPPED,
)
from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgFault
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import end_tasks, run_together
from fakturo.producers.salesforce.position import StreamPosition, decode_position
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import Fenced, PositionedPublisher, RecordRefused
from fakturo.producers.salesforce.stream import Pauses, Stream
from fakturo.producers.salesforce.stream_session import Tempo
from fakturo.producers.salesforce.workers import PARTS, rereading_workers, transactional_id

LEASE_SECONDS = 1.0
TICK_SECONDS = 1.0
BACKOFF_SECONDS = (0.2, 30.0)
REFUSED_SECONDS = 60.0
LIMITS_SECONDS = 600.0
LIMITS = (
    *("DailyDeliveredPlatformEvents", "MonthlyPlatformEventsUsageEntitlement", "DailyApiRequests"),
    *("DailyBulkV2QueryJobs",),
)
"""The limits of the org that the bridge uses up, as `/limits` names them."""
WORLD = (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError, OrgFault, Fenced)

log = structlog.get_logger(__name__)


class Bridge:
    """Runs until cancelled. `entities` are read whole at first and compared from time to time."""

    def __init__(
        self,
        settings: Settings,
        salesforce: SalesforceSettings,
        entities: Sequence[str],
        *,
        health: Health | None = None,
        tempo: Tempo | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self.health = health or Health("salesforce")
        self.progress = StreamProgress()
        self.has_lease = False
        self._is_second = False
        self._settings = settings
        self._salesforce = salesforce
        self._entities = tuple(entities)
        self._tempo = tempo
        self._pauses = pauses
        self._waiting = ""

    async def run(self) -> None:
        """Bridge until cancelled; every fault of the world ends a session, and the next one starts from the position.

        Raises:
            whatever is no fault of the world: a bug.
        """
        ticking = asyncio.create_task(self._tick())
        pause, pause_max = BACKOFF_SECONDS
        try:
            while True:
                started_at = time.monotonic()
                try:
                    await self._session()
                except (RecordRefused, AuthenticationRefused) as refused:
                    await self._rest(str(refused), REFUSED_SECONDS, stopped=True)
                except WORLD as error:
                    pause = BACKOFF_SECONDS[0] if time.monotonic() - started_at > pause_max else pause
                    await self._rest(f"{type(error).__name__}: {error}", pause)
                    pause = min(pause * 2, pause_max)
        finally:
            await end_tasks([ticking])

    async def check(self) -> tuple[bool, str]:
        """Return whether the bridge does its work, or waits for its turn, with a sentence: the answer of `/readyz`."""
        if self._is_second:
            return True, self._waiting
        return self.progress.check()

    async def _session(self) -> None:
        org = Org(self._salesforce)
        connection = None
        try:
            await org.open()
            connection = await asyncpg.connect(driver_url(self._settings.database_url), timeout=5, command_timeout=10)
            await self._take_lease(connection, org.org_id)
            await self._work(org, connection)
        finally:
            self.has_lease = False
            await org.close()
            if connection is not None:
                await connection.close(timeout=2)

    async def _take_lease(self, connection: asyncpg.Connection, org_id: str) -> None:
        key = f"fakturo salesforce {self._settings.topic_prefix} {org_id} {self._salesforce.channel}"
        while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key):
            self._is_second, self._waiting = True, "another bridge holds the lease"
            await asyncio.sleep(LEASE_SECONDS)
        if self._is_second:
            self.progress.start()
        self._is_second, self._waiting, self.has_lease = False, "", True

    async def _work(self, org: Org, connection: asyncpg.Connection) -> None:
        publishers = {part: self._publisher(org, part) for part in PARTS}
        try:
            await asyncio.gather(*(publisher.fence() for publisher in publishers.values()))
            position = _position_of(await publishers["stream"].open())
            log.info("the bridge works", org=org.org_id, channel=self._salesforce.channel, is_new=position is None)
            stream = Stream(
                org,
                publishers["stream"],
                self.progress,
                position,
                partitions=self._settings.partitions,
                entities=self._entities,
                tempo=self._tempo,
                pauses=self._pauses,
            )
            workers = rereading_workers(self._settings, org, self.progress, self._entities, publishers)
            await run_together([stream.run(), self._keep_lease(connection), self._keep_limits(org), *workers])
        finally:
            await asyncio.gather(*(publisher.close() for publisher in publishers.values()))

    def _publisher(self, org: Org, part: str) -> PositionedPublisher:
        name = transactional_id(org.org_id, self._salesforce.channel, part)
        return PositionedPublisher(self._settings, name, on_waiting=self._kafka_is_away)

    async def _keep_lease(self, connection: asyncpg.Connection) -> None:
        while True:
            await connection.execute("SELECT 1")  # the lease is as alive as the session that holds it
            await asyncio.sleep(LEASE_SECONDS)

    async def _keep_limits(self, org: Org) -> None:
        while True:
            try:
                limits = await org.limits()
            except OrgFault as fault:
                log.warning("the org's limits are not known", reason=str(fault))
            else:
                for name in LIMITS:
                    if (found := limits.get(name)) and found.get("Max"):
                        BRIDGE_ALLOCATION_USED.labels(name).set(1 - found["Remaining"] / found["Max"])
            await asyncio.sleep(LIMITS_SECONDS)

    async def _tick(self) -> None:
        """Say that the loop goes round, and set the gauges that age."""
        while True:
            if waiting := self.progress.waiting or self._waiting:
                self.health.waiting(waiting)
            else:
                self.health.beat()
            BRIDGE_STOPPED.set(1 if self.progress.stopped else 0)
            if self.has_lease:
                BRIDGE_HEARD_AGE.set(self.progress.heard_seconds)
                BRIDGE_POSITION_AGE.set(self.progress.published_seconds)
            await asyncio.sleep(TICK_SECONDS)

    async def _rest(self, reason: str, seconds: float, *, stopped: bool = False) -> None:
        if stopped:
            self.progress.stopped = reason
            log.error("the bridge stands still", reason=reason)
        elif reason != self._waiting:
            log.warning("the bridge waits and tries again", because=reason)
        self.progress.waiting = self._waiting = reason
        await asyncio.sleep(seconds)

    def _kafka_is_away(self, reason: str) -> None:
        self.progress.waiting = f"Kafka: {reason}"


def _position_of(value: bytes | None) -> StreamPosition | None:
    """Return the stored position; one that can't be read is none of ours, and the stream starts as at first."""
    if value is None:
        return None
    try:
        return decode_position(value)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        log.warning("the stored position can't be read: everything is read again", reason=str(error))
        return None
