"""What can go wrong in the runtime, by the decision that it asks for.

RuntimeFault
├── SettingsFault      the process can't start: one sentence, exit 2
├── BadEvent           dead-letter this one record, run the rest again
├── GapError           the batch does not join on to the cursor: seek to the cursor and fetch again
├── SequenceLost       a record of ours is missing from a topic: stop the partition, alert
├── DeadLetterFlood    too many dead letters: stop, somebody has deployed a mistake
├── WorldAway          something beyond database and broker does not answer: the same work again, in place
└── ProgressLost       the relay's progress is missing although it has published: stop the relay
Anything else is either the world (database or broker away: retried in place) or a bug (stops the partition).
"""

from fakturo.schemas.dead_letters import DeadLetterReason


class RuntimeFault(Exception):
    """The root of the runtime's errors."""


class SettingsFault(RuntimeFault):
    """A setting is missing or wrong."""


class BadEvent(RuntimeFault):
    """A record that no retry can mend. `record_index` is its place in the batch that the handler was given."""

    def __init__(self, record_index: int, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.record_index = record_index
        self.reason = reason


class GapError(RuntimeFault):
    """A slice starts after the cursor: what lies between would be lost."""

    def __init__(self, topic: str, partition: int, next_offset: int, start_offset: int) -> None:
        super().__init__(f"{topic}-{partition}: the batch starts at {start_offset}, the cursor stands at {next_offset}")
        self.topic = topic
        self.partition = partition
        self.next_offset = next_offset


class SequenceLost(RuntimeFault):
    """The gapless sequence of a topic of ours has a hole."""

    def __init__(self, topic: str, partition: int, expected: int, found: int) -> None:
        super().__init__(f"{topic}-{partition}: expected {expected} in fakturo-sequence, found {found}")


class DeadLetterFlood(RuntimeFault):
    """More than the allowed share of recent events was dead-lettered."""


class WorldAway(RuntimeFault):
    """Something that is neither the database nor the broker does not answer; `what` says what is waited for."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what


class ProgressLost(RuntimeFault):
    """The progress topic has no record of a relay whose outbox says that it has published."""
