"""What is still to be read again, and from where the requests are to be read after a restart.

Place     resync.py -> [this]. Pure.
Merging   requests of one object are answered together; of a record that several ask for, the earliest gap counts.
Position  the offset of the first request that is not answered, and those after it that are: requests are answered out
          of order, since a snapshot takes long and a few records do not wait for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fakturo.producers.salesforce.resync_requests import ResyncRequest

RECORDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """One record to read again: since when something of it is not known, for which request, asked when."""

    record_id: str
    gap_ms: int | None
    request_id: str
    requested_ms: int


class ResyncQueue:
    """The requests that were read and not answered yet, by offset."""

    def __init__(self, offset: int = 0, answered: Iterable[int] = ()) -> None:
        self._next = offset
        self._answered = set(answered)
        self._pending: dict[int, ResyncRequest] = {}

    def add(self, offset: int, request: ResyncRequest | None) -> None:
        """Take the request at `offset`; None: what lies there is none of ours, and counts as answered."""
        self._next = max(self._next, offset + 1)
        if request is not None and offset not in self._answered:
            self._pending[offset] = request

    def answer(self, offsets: Iterable[int]) -> None:
        """Say that these are answered."""
        for offset in offsets:
            if self._pending.pop(offset, None) is not None:
                self._answered.add(offset)
        first = self.offset
        self._answered = {offset for offset in self._answered if offset > first}

    @property
    def offset(self) -> int:
        """Return from where requests are read again: everything before it is answered."""
        return min(self._pending, default=self._next)

    @property
    def answered(self) -> tuple[int, ...]:
        """Return the offsets after `offset` that are answered all the same."""
        return tuple(sorted(offset for offset in self._answered if offset > self.offset))

    def __len__(self) -> int:
        return len(self._pending)

    def is_asked(self, entity: str) -> bool:
        """Return whether anything of the object is still to be read again."""
        return any(request.entity == entity for request in self._pending.values())

    def entities(self, *, whole: bool) -> list[str]:
        """Return the objects of which records (or which, `whole`, as such) are asked for, the longest waiting first."""
        found = (one for _, one in sorted(self._pending.items()) if (one.record_ids is None) is whole)
        return list(dict.fromkeys(request.entity for request in found))

    def of_records(self, entity: str) -> dict[int, ResyncRequest]:
        """Return the oldest requests for records of the object, about RECORDS_AT_ONCE records in all."""
        found: dict[int, ResyncRequest] = {}
        count = 0
        for offset, request in sorted(self._pending.items()):
            if request.entity == entity and request.record_ids is not None and count < RECORDS_AT_ONCE:
                found[offset] = request
                count += len(request.record_ids)
        return found

    def of_whole(self, entity: str) -> dict[int, ResyncRequest]:
        """Return all requests for the object as a whole."""
        return {offset: one for offset, one in self._pending.items() if one.entity == entity and one.record_ids is None}


def wanted_records(requests: Mapping[int, ResyncRequest]) -> dict[str, WantedRecord]:
    """Return the records that `requests` ask for; of several requests for one, the one with the earliest gap."""
    wanted: dict[str, WantedRecord] = {}
    for _, request in sorted(requests.items()):
        for record_id in request.record_ids or ():
            one = WantedRecord(record_id, request.gap_ms, request.request_id, request.requested_at_ms)
            known = wanted.get(record_id)
            if known is None or _is_earlier(one, known):
                wanted[record_id] = one
    return wanted


def earliest_gap(requests: Mapping[int, ResyncRequest]) -> int | None:
    """Return the earliest gap of `requests`, None where none has one."""
    return min((one.gap_ms for one in requests.values() if one.gap_ms is not None), default=None)


def _is_earlier(one: WantedRecord, known: WantedRecord) -> bool:
    return one.gap_ms is not None and (known.gap_ms is None or one.gap_ms < known.gap_ms)
