"""Keeps a companion going: a bug in it neither stops the agent beside it nor goes unseen.

Place     worker -> [this] -> the companion's `run` and `check`.
Rules     what it raises is logged and shown in `/readyz` for as long as it has not run well for `WELL_SECONDS`; it is
          started again after a pause. Nothing of the agent's input is skipped by that: a companion reads none.
"""

import asyncio
import time

import structlog

from fakturo.consumers.runtime.agent import Companion

PAUSE_SECONDS = 5.0
WELL_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Beside:
    """A companion, started again whenever it ends."""

    def __init__(self, companion: Companion, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.name = companion.name
        self._companion = companion
        self._pause_seconds = pause_seconds
        self._crashed: str | None = None
        self._crashed_at = 0.0

    async def run(self) -> None:
        """Run it until cancelled."""
        while True:
            try:
                await self._companion.run()
                self._crashed = "it has ended by itself"
            except Exception as error:
                log.exception("crashed beside the agent", companion=self.name)
                self._crashed = f"{type(error).__name__}: {error}"
            self._crashed_at = time.monotonic()
            await asyncio.sleep(self._pause_seconds)

    async def check(self) -> tuple[bool, str]:
        """Return what the companion says, unless it has crashed lately."""
        if self._crashed is not None and time.monotonic() - self._crashed_at < WELL_SECONDS:
            return False, f"crashed: {self._crashed}"
        return await self._companion.check()
