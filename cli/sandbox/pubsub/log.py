"""The event log of the sandbox org: what was told, in bus order, under opaque replay ids, until it is too old.

Place     EventBus -> [this] -> Subscribe. In memory.
Rules     - A replay id is eight bytes, big-endian, and two of zero, as on the real bus. The numbers have holes, and
            a reset begins at a number without relation to those before: who computes with ids
            is found out.
          - A position without an event (a keep-alive's) has an id of its own: the bus is shared, so it moves on anyway.
          - Only an id that was given out, and is not older than the retention, can be read from.
Holds     each event as the bytes of a FetchResponse that has it alone: serialised messages, one after the other, are
          the merged message, so a response is a join of what lies here.
"""

import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

_SUFFIX = bytes(2)
_MARK = ""
PLATFORM_EVENT = "/event/"
"""What the topic of a platform event begins with; a change event's topic is its object's name."""
_LARGEST_HOLE = 40
_KEPT_EXPIRED = 4096  # so many are held beyond the retention, before the lists are cut


@dataclass(slots=True)
class Batch:
    """What was read: the responses' bytes, the position after them, and the last event's replay id."""

    events: list[bytes]
    position: int
    replay_id: bytes


class EventLog:
    """Positions are absolute: they go on counting when old events are cut, and after a reset."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - holes, not secrets
        self._epoch = 0
        self._number = self._chance.randrange(2**20, 2**21)
        self._topics: dict[str, int] = {_MARK: 0}
        self._not_changes: set[int] = {0}
        self._base = 0  # position of the first element held
        self._earliest = 0  # position of the first event that may be read
        self._events: list[bytes] = []
        self._numbers, self._times, self._kinds = array("Q"), array("q"), array("H")

    @property
    def earliest(self) -> int:
        """Return the position of the oldest event that is not expired."""
        return self._earliest

    @property
    def end(self) -> int:
        """Return the position after the newest event."""
        return self._base + len(self._events)

    def append(self, topic: str, at_ms: int, event: pb.ProducerEvent, *, shared_id: bool = False) -> bytes:
        """Add an event and return its replay id; with `shared_id` it gets that of the one before (enrichment)."""
        replay_id = self._id(self._number) if shared_id and self._events else self._next_id()
        response = pb.FetchResponse(events=[pb.ConsumerEvent(event=event, replay_id=replay_id)])
        self._add(topic, at_ms, response.SerializeToString())
        return replay_id

    def append_like(
        self, topic: str, at_ms: int, event: pb.ProducerEvent, changes: Iterable[dict[bytes, bytes]]
    ) -> int:
        """Add a copy of `event` for each of `changes` (old bytes to new ones of the same length); return how many.

        For a bench: nothing is encoded again.
        """
        marker = bytes(range(0xF1, 0xFB))
        response = pb.FetchResponse(events=[pb.ConsumerEvent(event=event, replay_id=marker)])
        template = response.SerializeToString()
        count = 0
        for count, change in enumerate(changes, start=1):  # noqa: B007 - the last one is the answer
            data = template.replace(marker, self._next_id())
            for old, new in change.items():
                if len(old) != len(new):
                    raise ValueError(f"{old!r} and {new!r} differ in length")
                data = data.replace(old, new)
            self._add(topic, at_ms, data)
        return count

    def mark(self, at_ms: int) -> bytes:
        """Return the replay id of a new position at the end that has no event."""
        replay_id = self._next_id()
        self._add(_MARK, at_ms, b"")
        return replay_id

    def read(self, position: int, topics: frozenset[str] | None, limit: int, max_bytes: int) -> Batch:
        """Return at most `limit` events of `topics` (None: all change events) from `position` on, at least one if any.

        Positions below `earliest` are read from there.
        """
        wanted = None if topics is None else {self._topics[name] for name in topics if name in self._topics}
        index = max(position, self._earliest) - self._base
        found: list[bytes] = []
        size, last = 0, -1
        events, kinds, aside, end = self._events, self._kinds, self._not_changes, len(self._events)
        while index < end and len(found) < limit:
            if kinds[index] not in aside if wanted is None else kinds[index] in wanted:
                size += len(events[index])
                if found and size > max_bytes:
                    break
                found.append(events[index])
                last = index
            index += 1
        return Batch(found, self._base + index, self._id(self._numbers[last]) if last >= 0 else b"")

    def position_after(self, replay_id: bytes) -> int | None:
        """Return the position after `replay_id`; None if it was never given out, or is too old, or before a reset."""
        if len(replay_id) != len(self._id(0)) or replay_id[8:] != _SUFFIX:
            return None
        number = int.from_bytes(replay_id[:8], "big")
        index = bisect_right(self._numbers, number)
        known = index > self._earliest - self._base and self._numbers[index - 1] == number
        return self._base + index if known else None

    def expire(self, before_ms: int) -> None:
        """Make what was told before `before_ms` unreadable."""
        expired = bisect_left(self._times, before_ms)
        self._earliest = max(self._earliest, self._base + expired)
        gone = self._earliest - self._base
        if gone > _KEPT_EXPIRED or gone == len(self._events):
            for held in (self._events, self._numbers, self._times, self._kinds):
                del held[:gone]
            self._base = self._earliest

    def reset(self) -> None:
        """Forget every event and every id, as a move to another instance does."""
        self._base = self._earliest = self.end
        self._events, self._numbers, self._times, self._kinds = [], array("Q"), array("q"), array("H")
        self._epoch += 1
        # Odd factor: no two epochs share their upper bits, and their order says nothing.
        self._number = (self._epoch * 648_055 % 2**20 << 30) + self._chance.randrange(2**20, 2**21)

    def _next_id(self) -> bytes:
        self._number += self._chance.randrange(1, _LARGEST_HOLE)
        return self._id(self._number)

    @staticmethod
    def _id(number: int) -> bytes:
        return number.to_bytes(8, "big") + _SUFFIX

    def _add(self, topic: str, at_ms: int, data: bytes) -> None:
        self._events.append(data)
        self._numbers.append(self._number)
        # A clock that was set back does not make newer events older than those before them.
        self._times.append(max(at_ms, self._times[-1]) if self._times else at_ms)
        if topic not in self._topics:
            self._topics[topic] = len(self._topics)
            if topic.startswith(PLATFORM_EVENT):
                self._not_changes.add(self._topics[topic])
        self._kinds.append(self._topics[topic])
