"""A member of a group that was given no partitions asks for another assignment, in case it is a mistake.

Place     runner_bulk, faust_transport -> [this] -> aiokafka's group coordinator.
Why       A leader that has just reconnected to a restarted broker may know no topic yet: it gives nobody anything. It
          would mend that as soon as it knows them, but a static member that was restarted meanwhile does not know that
          it leads, and the broker hands out the stored assignment, empty, for ever (KIP-345). Seen in the storm.
Rule      Joining again makes the broker rebalance if the leader asks, and does nothing if another member does. Who is
          one worker too many rightly has nothing: so the pause doubles, and is begun anew when something is assigned.
"""

from dataclasses import dataclass, field
from typing import Any

import structlog

FIRST_SECONDS = 5.0
SECONDS_MAX = 300.0
NOT_JOINED = -1

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class EmptySeats:
    """How long a member has had nothing; `look` is called again and again, a few times a second."""

    pause_seconds: float = FIRST_SECONDS
    empty_since: float | None = field(default=None, init=False)

    def look(self, coordinator: Any, *, has_partitions: bool, now: float) -> None:
        """Ask for another assignment where the member has joined and has had none for the pause; `now` is monotonic."""
        if has_partitions:
            self.pause_seconds, self.empty_since = FIRST_SECONDS, None
        elif coordinator.generation == NOT_JOINED or self.empty_since is None:
            self.empty_since = now
        elif now - self.empty_since >= self.pause_seconds:
            log.warning("no partitions were assigned: asks again", after_seconds=self.pause_seconds)
            self.pause_seconds = min(2 * self.pause_seconds, SECONDS_MAX)
            self.empty_since = now
            coordinator.request_rejoin()
