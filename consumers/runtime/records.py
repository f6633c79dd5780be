"""The words of the runtime: a record as received, and a slice of a partition that was fetched without a hole.

Place     broker -> runner -> [these] -> processor -> agent's `handle`. Imports nothing of the runtime.
Why C     records are made a hundred thousand times a second: a msgspec struct costs a sixth of a frozen dataclass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

Headers = Sequence[tuple[str, bytes | None]]
"""Kafka's record headers; the protocol allows null for a value, and anybody may send one."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record as received.

    `recorded_at` is the broker's append time: when we knew. `watermark_at` is what time had reached in this
    record's own partition before it (None before the first tick): whether an event is late is judged by it, so that
    two runs of one history agree.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    recorded_at: datetime
    watermark_at: datetime | None = None

    def header(self, name: str) -> bytes | None:
        """Return the value of the last header called `name`, or None."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one fetch gave of one partition: everything from `start_offset` up to, not including, `end_offset`.

    `start_offset` is the position that the fetch began at, so offsets that hold transaction markers or compacted
    records are covered although no record has them.
    """

    topic: str
    partition: int
    start_offset: int
    end_offset: int
    records: Sequence[Record]

    @property
    def place(self) -> tuple[str, int]:
        """Return the topic and the partition."""
        return self.topic, self.partition
