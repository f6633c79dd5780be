"""When an agent's interim outputs are published next: at the latest after a pause, sooner where something has come.

Place     feed (the beat of time) -> [this]. Pure: the clock is given.
Soon      for an agent whose readers wait for it (contracts, usage), a batch brings the next flush forward. It then
          comes SOON_SECONDS after the last one, or `soon` times as long after it as that one took: a backlog is still
          folded into few outputs, and publishing takes no more than its share of the time: with 1 half, with 4 a fifth.
          Who keeps up with what comes has time to spare: half of it.
Again     a flush may say when there will be more to publish though nothing comes (an item that rests has changed, or
          there was too much for one flush): then the next one comes at that time, by the same rule no sooner.
"""

import time
from collections.abc import Callable

SOON_SECONDS = 0.05
SOON_KEEPING_UP = 1.0
"""`soon` where the batches since the last flush were small: nothing waits for the worker but its outputs."""


class FlushPace:
    """The flushes of one worker; `pause_seconds` 0 means none at all, only ticks publish (a replay)."""

    def __init__(self, pause_seconds: float, *, soon: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_seconds = pause_seconds
        self._soon = soon
        self._clock = clock
        self._began_at = self._ended_at = clock()
        self._is_changed = self._is_behind = False
        self._again_seconds: float | None = None

    def changed(self, *, behind: bool = False) -> bool:
        """Say that a batch was applied, and whether more waits; return whether the next flush comes forward for it."""
        self._is_behind |= behind
        if not self._soon or not self._pause_seconds or self._is_changed:
            return False
        self._is_changed = True
        return True

    @property
    def left_seconds(self) -> float:
        """Return how long to wait for the next flush; 0 or less: it is due."""
        if not self._pause_seconds:
            return float("inf")
        pause = self._pause_seconds
        again = 0.0 if self._is_changed else self._again_seconds
        if again is not None:
            soon = self._soon if self._is_behind else min(self._soon, SOON_KEEPING_UP)
            pause = min(pause, max(SOON_SECONDS, soon * (self._ended_at - self._began_at), again))
        return self._ended_at + pause - self._clock()

    def began(self) -> None:
        """Say that a flush begins: what is applied from now on is for the next one."""
        self._is_changed = self._is_behind = False
        self._began_at = self._clock()

    def ended(self, again_seconds: float | None = None) -> None:
        """Say that the flush is committed, and after how many seconds there will be more (None: nobody knows)."""
        self._again_seconds = again_seconds if self._soon else None
        self._ended_at = self._clock()
