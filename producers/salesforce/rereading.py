"""Records read again by their ids: after a gap, a text diff, a number that lost digits, or because somebody asked.

Place     resync.py -> [this] -> Org.query (queryAll: deleted rows come too) -> SYNC and DELETE records.
Whole     a request is answered as a whole or not yet: so no answer is published twice after a restart.
Not yet   a row that has not settled (settling.py), and after a gap one whose last change the stream has not passed:
          what differs is taken for what the gap has hidden, so the events of later changes must come first.
Gone      an id that the org does not know at all, not even as deleted: a DELETE as of the gap, or of the request.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

import structlog

from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.resync_queue import WantedRecord, wanted_records
from fakturo.producers.salesforce.resync_requests import ResyncRequest
from fakturo.producers.salesforce.row_values import ReadRow, RowPlan, plan_rows
from fakturo.producers.salesforce.settling import hot_version_ms, settled_ms
from fakturo.producers.salesforce.sync_records import gone_record, outgoing, sync_record
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.salesforce_ids import long_id

IDS_PER_QUERY = 200
URL_BYTES_MAX = 14_000
"""Salesforce takes 16,384 bytes of address and headers (reference, 6)."""
ID_BYTES = len("%27001000000000001AAA%27%2C+")
SETTLE_SECONDS_MAX = 15.0
PASSED_SECONDS_MAX = 300.0
"""How long is waited for the stream: it says something every 270 s, or it is dead."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The records to publish, and the requests (by offset) that they answer."""

    records: list[Outgoing]
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows that were found of what is wanted, and up to which stamp a row has settled."""

    wanted: Mapping[str, WantedRecord]
    rows: Mapping[str, ReadRow]
    settled_ms: int

    def is_ready(self, record_id: str, passed_ms: int | None, waited_seconds: float) -> bool:
        """Return whether the record can be answered after it was waited for so long."""
        row = self.rows.get(record_id)
        if row is None:
            return True
        if row.stamp_ms > self.settled_ms and waited_seconds < SETTLE_SECONDS_MAX:
            return False
        gap_ms = self.wanted[record_id].gap_ms
        if gap_ms is None or row.stamp_ms <= gap_ms or waited_seconds > PASSED_SECONDS_MAX:
            return True
        return passed_ms is not None and row.stamp_ms <= passed_ms


class Rereader:
    """Reads records of one org again. `passed_ms` tells up to which instant the stream has been published."""

    def __init__(self, org: Org, partitions: int, passed_ms: Callable[[], int | None]) -> None:
        self._org = org
        self._partitions = partitions
        self._passed_ms = passed_ms
        self._first_tried_at: dict[int, float] = {}

    async def answer(self, entity: str, requests: Mapping[int, ResyncRequest]) -> Answer:
        """Return what answers those of `requests` that can be answered now; for the others, ask again in a second.

        Raises:
            OrgFault, RowFault: see Org and row_values.
        """
        found = await self._find(entity, wanted_records(requests))
        passed_ms, now = self._passed_ms(), time.monotonic()
        ready: dict[int, ResyncRequest] = {}
        for offset, request in requests.items():
            waited = now - self._first_tried_at.setdefault(offset, now)
            if all(found.is_ready(one, passed_ms, waited) for one in request.record_ids or ()):
                ready[offset] = request
        for offset in ready:
            del self._first_tried_at[offset]
        records = [self._record(entity, found, one) for one in wanted_records(ready).values() if _is_id(one.record_id)]
        return Answer(outgoing(records, self._partitions), tuple(ready))

    async def _find(self, entity: str, wanted: Mapping[str, WantedRecord]) -> _Found:
        plan = plan_rows(await self._org.describe(entity))
        border_ms = await settled_ms(self._org)
        rows: dict[str, ReadRow] = {}
        ids = sorted(filter(_is_id, wanted))
        at_once = ids_per_query(plan)
        for start in range(0, len(ids), at_once):
            quoted = ", ".join(f"'{record_id}'" for record_id in ids[start : start + at_once])
            async for page in self._org.query(plan.soql(f"WHERE Id IN ({quoted})"), deleted=True):
                rows.update((row.record_id, row) for row in map(plan.read, page))
        return _Found(wanted, rows, border_ms)

    def _record(self, entity: str, found: _Found, one: WantedRecord) -> ChangeRecord:
        gap_ms = found.wanted[one.record_id].gap_ms  # of all that is asked, what is not ready yet too
        row = found.rows.get(one.record_id)
        if row is None:
            gone_ms = one.requested_ms if gap_ms is None else gap_ms
            return gone_record(self._org.org_id, entity, one.record_id, gone_ms=gone_ms, why=one.request_id)
        is_hot = row.stamp_ms > found.settled_ms
        return sync_record(
            self._org.org_id,
            entity,
            row,
            src="resync",
            why=one.request_id,
            gap_ms=gap_ms,
            version_ms=hot_version_ms(row.stamp_ms) if is_hot else None,
        )


def ids_per_query(plan: RowPlan) -> int:
    """Return how many ids fit into one query's address beside the object's columns."""
    room = URL_BYTES_MAX - len(quote_plus(plan.soql("WHERE Id IN ()")))
    return max(1, min(IDS_PER_QUERY, room // ID_BYTES))


def check_ids(record_ids: Iterable[str]) -> tuple[str, ...]:
    """Return record ids in their 18 characters.

    Raises:
        ValueError: one is none.
    """
    return tuple(dict.fromkeys(long_id(record_id) for record_id in record_ids))


def _is_id(record_id: str) -> bool:
    try:
        return long_id(record_id) == record_id
    except ValueError:
        log.warning("what is no record id can't be read again", record_id=record_id)
        return False
