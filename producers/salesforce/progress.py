"""How far the stream has come: what its health, its metrics and the reconciliation go by.

Place     stream.py writes -> [this] -> bridge.py (health, gauges), reconciliation.py (`passed_ms`).
"""

import time
from collections.abc import Callable

HEARD_SECONDS_MAX = 300.0
"""The server says something every 270 s at most; longer silence means that the stream is dead, whatever TCP says."""


class StreamProgress:
    """What has been heard and published. Ages are in seconds of the process's own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_at = clock()
        self._heard_at: float | None = None
        self._published_at: float | None = None
        self.passed_ms: int | None = None
        """Instant of the org's clock, in milliseconds since 1970, up to which its events have been published."""
        self.stopped: str | None = None
        """Why the stream stands still until an administrator has looked; None where it does not."""
        self.waiting: str | None = None
        """What the stream waits for before it tries again."""

    def start(self) -> None:
        """Say that the work begins: ages count from here."""
        self._started_at = self._clock()
        self._heard_at = self._published_at = None
        self.stopped = self.waiting = None

    def heard(self) -> None:
        """Say that the org has sent something: so nothing stands still."""
        self._heard_at = self._clock()
        self.stopped = None

    def published(self, passed_ms: int | None) -> None:
        """Say that everything up to `passed_ms` (None: not known) and the position after it are in Kafka."""
        self._published_at = self._clock()
        if passed_ms is not None:
            self.passed_ms = max(self.passed_ms or 0, passed_ms)

    @property
    def heard_seconds(self) -> float:
        """Return how long ago the org sent something; from our start where it never did."""
        return self._clock() - (self._started_at if self._heard_at is None else self._heard_at)

    @property
    def published_seconds(self) -> float:
        """Return how long ago a position was published; from our start where none was."""
        return self._clock() - (self._started_at if self._published_at is None else self._published_at)

    def check(self) -> tuple[bool, str]:
        """Return whether the stream goes on, with a sentence."""
        if self.stopped:
            return False, f"the stream stands still: {self.stopped}"
        oldest = max(self.heard_seconds, self.published_seconds)
        if oldest > HEARD_SECONDS_MAX:
            reason = f" ({self.waiting})" if self.waiting else ""
            return False, f"nothing of the org has been published for {oldest:.0f} s{reason}"
        waits = f"; waits: {self.waiting}" if self.waiting else ""
        return True, f"heard {self.heard_seconds:.0f} s ago, published {self.published_seconds:.0f} s ago{waits}"
