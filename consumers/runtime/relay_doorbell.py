"""Tells the relays that wait which agent has something to publish: one cheap query for all, every 20 ms.

Place     runtime.outbox -> [this] -> the relay of the agent wakes and stamps.
Why poll  NOTIFY in the agents' transactions would serialise their commits on one lock of the whole database.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import asyncpg

from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.settings import Settings

POLL_SECONDS = 0.02
REPLAY_POLL_SECONDS = 0.004
"""A replay waits until everything is through before it goes on, so each wait of ours is a wait of its own."""
REST_FACTOR = 4
"""A poll that took t is followed by a rest of at least this many t, so polling never takes a core."""
UNRUNG_SECONDS_MAX = 1.0

_PENDING = """
SELECT agent FROM unnest($1::text[]) agent
 WHERE EXISTS (SELECT FROM runtime.outbox o WHERE o.agent = agent.agent AND o.position IS NULL)
"""


class Doorbell:
    """Rings for an agent whose outbox has unstamped rows."""

    def __init__(self, settings: Settings, agents: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._poll_seconds = POLL_SECONDS if settings.interim_seconds else REPLAY_POLL_SECONDS
        self._bells = {agent: asyncio.Event() for agent in agents}
        self._waiting: set[str] = set()

    async def wait(self, agent: str) -> None:
        """Wait until `agent` has something to publish, or a second: then the relay looks for itself."""
        bell = self._bells[agent]
        bell.clear()
        self._waiting.add(agent)
        with suppress(TimeoutError):
            await asyncio.wait_for(bell.wait(), UNRUNG_SECONDS_MAX)
        self._waiting.discard(agent)

    async def run(self) -> None:
        """Watch for ever; while the database is away nobody is rung, and the relays find out for themselves."""
        while True:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._watch()
            await asyncio.sleep(UNRUNG_SECONDS_MAX)

    async def _watch(self) -> None:
        connection = await asyncpg.connect(driver_url(self._settings.database_url), timeout=5, command_timeout=10)
        try:
            while True:
                started_at = self._clock()
                if self._waiting:
                    for row in await connection.fetch(_PENDING, sorted(self._waiting)):
                        self._bells[row["agent"]].set()
                await asyncio.sleep(max(self._poll_seconds, REST_FACTOR * (self._clock() - started_at)))
        finally:
            await connection.close(timeout=2)
