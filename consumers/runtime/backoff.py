"""Waiting for the world: exponential pauses with jitter, said aloud at the start and once a minute.

Place     around every piece of work with the database or the broker; a declared wait keeps `/livez` well.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from fakturo.consumers.runtime.database_errors import driver_error, is_transient
from fakturo.consumers.runtime.errors import WorldAway
from fakturo.consumers.runtime.health import Health

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 5.0
SAY_SECONDS = 60.0
BEAT_SECONDS = 5.0

Result = TypeVar("Result")
log = structlog.get_logger(__name__)


class Backoff:
    """One wait for `what`: pauses that grow to five seconds, one line a minute."""

    def __init__(self, health: Health, what: str) -> None:
        self._health = health
        self._what = what
        self._pause = PAUSE_SECONDS_MIN
        self._tries = 0
        self._said_at: float | None = None

    async def rest(self, reason: str, what: str | None = None) -> None:
        """Say why at the start and once a minute, and pause; `what` where it is something else that is away."""
        what = what or self._what
        self._tries += 1
        now = time.monotonic()
        if self._said_at is None or now - self._said_at >= SAY_SECONDS:
            log.warning("waiting", waits_for=what, because=reason, tries=self._tries)
            self._said_at = now
        self._health.waiting(f"{what}: {reason}")
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)

    def over(self) -> None:
        """Say that the wait is over, if anything had been said."""
        if self._said_at is not None:
            log.info("works again", waited_for=self._what, tries=self._tries)
            self._said_at = None
        self._health.beat()


async def patiently(
    work: Callable[[], Awaitable[Result]], health: Health, what: str, forget: Callable[[], Awaitable[None]]
) -> Result:
    """Return what `work` gives; while the database is away or busy, wait and call it again.

    `forget` is called after each failure, to drop pooled connections that may be dead. What is no transient error is
    raised at once.
    """
    backoff = Backoff(health, what)
    while True:
        saying = asyncio.create_task(_say_while_working(health, what))
        try:
            result = await work()
        except Exception as error:
            if not is_transient(error):
                raise
            if isinstance(error, WorldAway):
                await backoff.rest(str(error), error.what)
                continue
            cause = driver_error(error)
            await forget()
            await backoff.rest(f"{type(cause).__name__}: {cause}")
        else:
            backoff.over()
            return result
        finally:
            saying.cancel()


async def _say_while_working(health: Health, what: str) -> None:
    """Declare the wait for long work: a statement of a minute is no reason to be restarted, and each has its end."""
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        health.waiting(f"{what} works on it")
