"""The relay: the only way out. One task an agent moves rows of its outbox to Kafka, each exactly once and in order.

Place     runtime.outbox -> [this] -> topics -> next agents, accounting.
Loop      lease -> producer (fences a predecessor, ends its transaction) -> progress read back -> stamp in Postgres ->
          publish with the progress in one Kafka transaction -> take out and stamp the next in one Postgres transaction.
Crash     before the stamp commits: nothing has happened. Between stamp and Kafka's commit: the same rows are published
          by the next relay, the aborted ones are unseen. Between Kafka's commit and Postgres's: the progress says so,
          the next relay only takes the rows out. Commit's answer lost: the producer is thrown away, the next one's
          start settles the transaction, the progress tells which way.
Stops     ProgressLost, RecordRefused: this agent's relay stops with a sentence and tries again every half minute;
          the others go on. Anything of the world (database, broker): back-off, said once a minute.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.errors import ProgressLost
from fakturo.consumers.runtime.health import Health, HealthServer
from fakturo.consumers.runtime.health_checks import broker_check, database_check
from fakturo.consumers.runtime.logs import configure_logs
from fakturo.consumers.runtime.metrics import (
    RELAY_PUBLISHED,
    RELAY_STOPPED,
    RELAY_TRANSACTION_SECONDS,
    initialise_relay,
)
from fakturo.consumers.runtime.relay_doorbell import Doorbell
from fakturo.consumers.runtime.relay_gauges import keep_gauges
from fakturo.consumers.runtime.relay_outbox import OutboxBook, StampedRow, check_joined
from fakturo.consumers.runtime.relay_progress import check_progress, read_progress
from fakturo.consumers.runtime.relay_publisher import Publisher, RecordRefused
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import until_told
from fakturo.schemas.topics import TOPICS

LEASE_SECONDS = 0.25
BACKOFF_SECONDS_MAX = 5.0
STOPPED_SECONDS = 30.0
SHUTDOWN_SECONDS_MAX = 10.0
SAY_SECONDS = 60.0

WORLD = (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What goes away by itself: retried in place."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


def publishing_agents() -> tuple[str, ...]:
    """Return every agent that can have outbox rows: those that write a topic or may dead-letter a record."""
    named = {name for topic in TOPICS.values() for name in (*topic.readers, topic.owner or "")}
    return tuple(sorted(named - {"", "relay"}))


class AgentRelay:
    """The relay of one agent."""

    def __init__(self, agent: str, settings: Settings, doorbell: Doorbell, health: Health) -> None:
        self.agent = agent
        self.stopping = False
        self.health = health
        self._settings = settings
        self._doorbell = doorbell
        self._backoff_seconds = 0.1
        self._said_at = -SAY_SECONDS
        self._said = ""

    async def run(self) -> None:
        """Publish until `stopping`; every error ends the session, and the next one starts from what is on record."""
        while not self.stopping:
            try:
                await self._session()
            except (ProgressLost, RecordRefused) as error:
                await self._stopped(str(error))
            except WORLD as error:
                await self._back_off(error)

    async def _session(self) -> None:
        book = await OutboxBook.open(self.agent, self._settings)
        try:
            while not await book.take_lease():
                self.health.waiting("another relay holds the lease")
                await asyncio.sleep(LEASE_SECONDS)
                if self.stopping:
                    return
            await self._serve(book)
        finally:
            await book.close()

    async def _serve(self, book: OutboxBook) -> None:
        publisher = await self._declaring("opens its producer", Publisher.open(self.agent, self._settings))
        try:
            published = await self._declaring("reads its progress", self._resume(book))
            await self._pump(book, publisher, published)
        finally:
            await publisher.discard()

    async def _resume(self, book: OutboxBook) -> int:
        known = await book.position()
        progress = await read_progress(self._settings, self.agent)
        published = check_progress(self.agent, progress, known)
        await book.settle(published)
        RELAY_STOPPED.labels(self.agent).set(0)
        log.info("relay publishes", relayed=self.agent, published=published, stamped=known.stamped)
        return published

    async def _declaring(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives, and say once a second that we wait for it: it may take longer than livez bears."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                self.health.waiting(what)
                await asyncio.wait((task,), timeout=1)
            return task.result()
        finally:
            task.cancel()

    async def _pump(self, book: OutboxBook, publisher: Publisher, published: int) -> None:
        rows = await book.stamped()
        to_settle: int | None = None
        while True:
            if not rows:
                if self.stopping:
                    return await book.settle(published)
                rows = await book.settle_and_stamp(to_settle)
                to_settle = None
            self._all_well()
            if rows:
                check_joined(self.agent, published, rows)
                await self._publish(publisher, rows)
                published = to_settle = rows[-1].position
                rows = []
            else:
                await self._doorbell.wait(self.agent)

    async def _publish(self, publisher: Publisher, rows: Sequence[StampedRow]) -> None:
        started_at = time.monotonic()
        await publisher.publish(rows)
        RELAY_TRANSACTION_SECONDS.labels(self.agent).observe(time.monotonic() - started_at)
        RELAY_PUBLISHED.labels(self.agent).inc(len(rows))

    def _all_well(self) -> None:
        self.health.beat()
        if self._said:
            log.info("relay works again", relayed=self.agent)
            self._said, self._said_at = "", -SAY_SECONDS
        self._backoff_seconds = 0.1

    async def _stopped(self, reason: str) -> None:
        RELAY_STOPPED.labels(self.agent).set(1)
        if reason != self._said:
            log.error("relay stopped", relayed=self.agent, reason=reason)
            self._said = reason
        self.health.stopped_partitions["outbox", 0] = reason
        await self._rest(f"stopped: {reason}", STOPPED_SECONDS)
        self.health.stopped_partitions.clear()

    async def _back_off(self, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            log.warning("relay waits and tries again", relayed=self.agent, because=reason)
            self._said_at = time.monotonic()
            self._said = reason
        await self._rest(reason, self._backoff_seconds)
        self._backoff_seconds = min(self._backoff_seconds * 2, BACKOFF_SECONDS_MAX)

    async def _rest(self, reason: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            self.health.waiting(reason)
            await asyncio.sleep(min(left, 0.5))


class FleetHealth(Health):
    """The health of a relay process: as alive as the least alive of its relays."""

    def __init__(self, relays: Iterable[AgentRelay]) -> None:
        super().__init__("relay")
        self._relays = tuple(relays)

    def livez(self) -> tuple[bool, str]:
        """Return whether every relay moves, with a sentence."""
        answers = {relay.agent: relay.health.livez() for relay in self._relays}
        return all(live for live, _ in answers.values()), "; ".join(f"{name}: {s}" for name, (_, s) in answers.items())

    def assignment(self) -> tuple[bool, str]:
        """Return whether no relay has stopped, with a sentence."""
        stopped = [why for relay in self._relays for why in relay.health.stopped_partitions.values()]
        return not stopped, "; ".join(stopped) or f"{len(self._relays)} relays, none stopped"


async def run_relay(settings: Settings, agents: Sequence[str] | None = None) -> int:
    """Run the relays of `agents` (default: all that can publish) until SIGTERM or SIGINT; return the exit status."""
    names = tuple(agents) if agents else publishing_agents()
    configure_logs(settings.log_format, "relay", settings.instance)
    initialise_relay(names)
    doorbell = Doorbell(settings, names)
    relays = [AgentRelay(name, settings, doorbell, Health(name)) for name in names]
    server = _server(settings, FleetHealth(relays))
    await server.start()
    log.info("relay started", relays=",".join(names), metrics_port=server.port)
    side = [asyncio.create_task(doorbell.run()), asyncio.create_task(keep_gauges(settings, names))]
    working = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        await until_told(working)  # a relay that ends by itself has met a bug, which is raised
    finally:
        await _wind_up(relays, working, side)
        await server.stop()
    return 0


def _server(settings: Settings, health: FleetHealth) -> HealthServer:
    async def relays() -> tuple[bool, str]:
        return health.assignment()

    checks = {"database": database_check(settings), "broker": broker_check(settings), "relays": relays}
    return HealthServer(health, settings, checks)


async def _wind_up(
    relays: Sequence[AgentRelay], working: Sequence[asyncio.Task[None]], side: Sequence[asyncio.Task[None]]
) -> None:
    for relay in relays:
        relay.stopping = True
    await asyncio.wait(working, timeout=SHUTDOWN_SECONDS_MAX)
    for task in (*working, *side):
        task.cancel()
    for task in (*working, *side):
        with suppress(asyncio.CancelledError, *WORLD):
            await task
