"""Stops when too much is dead-lettered: then it is our mistake, or a whole sender's, and a person should look.

Place     asked by the processor before each commit, told after it.
Rule      more than 20 % of the last 10,000 events, or of the batch if that is larger; counted against 10,000 also while
          fewer have come, so that a handful of bad events at the start stops nothing. Of a batch that lies partly
          further back its share counts. A restart begins to count anew.
"""

from collections import deque

from fakturo.consumers.runtime.errors import DeadLetterFlood

WINDOW_EVENTS = 10_000
SHARE_MAX = 5
"""One in five."""


class FloodGuard:
    """Counts events and dead letters of the last `WINDOW_EVENTS` events, a batch at a time."""

    def __init__(self, window_events: int = WINDOW_EVENTS) -> None:
        self._window_events = window_events
        self._batches: deque[tuple[int, int]] = deque()
        self._event_count = 0

    def check(self, event_count: int, rejected_count: int) -> None:
        """Refuse a batch that would make it too many.

        Raises:
            DeadLetterFlood: roll back, stop.
        """
        if not rejected_count:
            return
        total = rejected_count + self._rejected_among(self._window_events - event_count)
        if total * SHARE_MAX > max(self._window_events, event_count):
            raise DeadLetterFlood(
                f"{total} of the last {max(min(self._event_count + event_count, self._window_events), event_count)} "
                "events would be dead letters; `fakturo dlq list` shows them. A restart begins to count anew"
            )

    def add(self, event_count: int, rejected_count: int) -> None:
        """Count a batch that was committed."""
        self._batches.append((event_count, rejected_count))
        self._event_count += event_count
        while self._batches and self._event_count - self._batches[0][0] >= self._window_events:
            self._event_count -= self._batches.popleft()[0]

    def _rejected_among(self, newest_count: int) -> int:
        """Return how many of the newest so many events that were committed are dead letters."""
        rejected_count = 0
        for events, rejected in reversed(self._batches):
            if newest_count <= 0:
                break
            rejected_count += rejected if events <= newest_count else -(-rejected * newest_count // events)
            newest_count -= events
        return rejected_count
