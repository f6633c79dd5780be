"""The one driver of time: writes `fakturo.clock.advanced.v1` to every partition of every input topic.

Place     [this] -> input topics -> agents' watermarks -> their topics' ticks (DESIGN.md, Time).
Clock     `run_clock` reads the system's clock once an interval: the only place outside the command line that does.
          Replay, demo and tests say themselves what time it is: `tick_event`, `tick`.
One       a session's advisory lock in Postgres: a second driver waits. Time never goes back: what agents have seen
          (`runtime.cursor`) is the floor at start, and a clock that is set back only makes time stand.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.health import Health, HealthServer
from fakturo.consumers.runtime.health_checks import broker_check, database_check, driver_url
from fakturo.consumers.runtime.logs import configure_logs
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import run_until_told
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.clock import ClockAdvanced
from fakturo.schemas.topics import CLOCK_ADVANCED, INPUT_TOPICS, Topic

INTERVAL_SECONDS = 1.0
LEASE_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 5.0
SAY_SECONDS = 60.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
CONTENT_TYPE = ("content-type", b"application/cloudevents+json")

log = structlog.get_logger(__name__)


def system_now() -> datetime:
    """Return what the system's clock says, in UTC, to the millisecond (Kafka's own resolution)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def tick_event(at: datetime) -> Event[ClockAdvanced]:
    """Return the event that says that time has reached `at`; the same `at` always gives the same event."""
    return event_of(
        agent="clock",
        event_type=CLOCK_ADVANCED,
        id=at.astimezone(UTC).isoformat(),
        subject=None,
        time=at.astimezone(UTC),
        data=ClockAdvanced(at=at.astimezone(UTC)),
    )


async def tick(
    producer: AIOKafkaProducer,
    topics: Iterable[Topic],
    at: datetime,
    *,
    prefix: str = "",
    recorded_at: datetime | None = None,
) -> dict[tuple[str, int], int]:
    """Write the tick of `at` to every partition of `topics`; return (topic, partition) -> the offset after it.

    `recorded_at` is the record's timestamp where the topics keep the producer's (replay); None leaves it to the broker.
    """
    value = encode(tick_event(at))
    timestamp_ms = None if recorded_at is None else (recorded_at - EPOCH) // MILLISECOND
    sent = [
        (
            topic.name,
            partition,
            await producer.send(
                prefix + topic.name, value, partition=partition, timestamp_ms=timestamp_ms, headers=[CONTENT_TYPE]
            ),
        )
        for topic in topics
        for partition in sorted(await producer.partitions_for(prefix + topic.name))
    ]
    return {(name, partition): (await acknowledged).offset + 1 for name, partition, acknowledged in sent}


class ClockDriver:
    """Ticks every `interval_seconds` while it holds the lease; a rest of the world's faults is retried in place."""

    def __init__(
        self,
        settings: Settings,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        now: Callable[[], datetime] = system_now,
        health: Health | None = None,
    ) -> None:
        self.health = health or Health("clock")
        self.ticked_at: datetime | None = None
        self._settings = settings
        self._interval_seconds = interval_seconds
        self._now = now
        self._said_at = -SAY_SECONDS

    async def run(self) -> None:
        """Drive time until cancelled."""
        pause = 0.2
        while True:
            try:
                await self._session()
            except (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._say(f"{type(error).__name__}: {error}")
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_SECONDS_MAX)
            else:
                pause = 0.2

    def next_at(self) -> datetime | None:
        """Return what time it is now, None where the clock has not gone on since the last tick."""
        at = self._now()
        return at if self.ticked_at is None or at > self.ticked_at else None

    async def _session(self) -> None:
        connection = await asyncpg.connect(driver_url(self._settings.database_url), timeout=5, command_timeout=10)
        try:
            await self._take_lease(connection)
            floor = await connection.fetchval("SELECT max(watermark_at) FROM runtime.cursor")
            self.ticked_at = max(filter(None, (floor, self.ticked_at)), default=None)
            await self._drive(connection)
        finally:
            await connection.close(timeout=2)

    async def _take_lease(self, connection: asyncpg.Connection) -> None:
        key = f"fakturo clock {self._settings.topic_prefix}"
        while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key):
            self.health.waiting("another clock driver holds the lease")
            await asyncio.sleep(LEASE_SECONDS)

    async def _drive(self, connection: asyncpg.Connection) -> None:
        producer = make_producer(self._settings.kafka)
        try:
            await asyncio.wait_for(producer.start(), 20)
            log.info("the clock ticks", interval_seconds=self._interval_seconds)
            while True:
                await connection.execute("SELECT 1")  # the lease is as alive as the session that holds it
                at = self.next_at()
                if at is not None:
                    await asyncio.wait_for(tick(producer, INPUT_TOPICS, at, prefix=self._settings.topic_prefix), 20)
                    self.ticked_at = at
                self.health.beat()
                self._said_at = -SAY_SECONDS
                await asyncio.sleep(self._interval_seconds)
        finally:
            await stop_producer(producer, seconds=3)

    def _say(self, reason: str) -> None:
        self.health.waiting(reason)
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            log.warning("the clock waits and tries again", because=reason)
            self._said_at = time.monotonic()


async def run_clock(settings: Settings, interval_seconds: float = INTERVAL_SECONDS) -> int:
    """Drive time by the system's clock until SIGTERM or SIGINT; return the exit status."""
    configure_logs(settings.log_format, "clock", settings.instance)
    driver = ClockDriver(settings, interval_seconds=interval_seconds)
    checks = {"database": database_check(settings), "broker": broker_check(settings)}
    server = HealthServer(driver.health, settings, checks)
    await run_until_told(driver.run(), server)
    return 0
