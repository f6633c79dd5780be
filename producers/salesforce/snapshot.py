"""An object read whole: a Bulk 2.0 job page by page, then what changed meanwhile, then a mark of the end a partition.

Place     resync.py asks for step after step and publishes each with the position -> [this] -> Org.
Steps     1. a queryAll job; its settled rows, in any order (those of the recycle bin too, as deleted)
          2. rounds over what has changed since the job began, by stamp and id, until nothing that was there at the
             beginning is missing; after ROUNDS_MAX, what still changes all the time (settling.py, Hot)
          3. SNAPSHOT_END to every partition: what the book has, was committed before `began_ms` and did not come with
             this snapshot's id, is gone. A record made since then was committed later and is never swept.
Resume    `Reading` is the position: a killed process goes on with the job's page, or with the round's cursor. A job
          that is gone (SnapshotLost) means a new snapshot with a new id.
Empty     no row at all, not even in the recycle bin, looks the same as a right that was taken away: then no mark is
          set, and nothing is swept.
Memory    one page at a time: PAGE_ROWS of a job, 2,000 of a query.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
import structlog

from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.changed_rows import Cursor, changed_rows, has_changed_after
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.row_values import ReadRow, RowPlan, instant_soql, plan_rows
from fakturo.producers.salesforce.settling import SETTLE_MS, hot_version_ms, settled_ms
from fakturo.producers.salesforce.sync_records import outgoing, snapshot_ends, sync_record

PAGE_ROWS = 5_000
ROUNDS_MAX = 5
PASSED_SECONDS_MAX = 300.0
"""How long is waited for the stream: it says something every 270 s, or it is dead."""
STILL_SECONDS_MAX = 10.0

log = structlog.get_logger(__name__)


class SnapshotLost(Exception):
    """The org has failed the job, or does not know it any more."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How far a snapshot has come. `locator` is the job's next page, None after the last; `changes` the round's cursor,
    `until_ms` where it ends (None: it has not begun). `requests` are the offsets that it answers.
    """

    entity: str
    snapshot: str
    began_ms: int
    job_id: str
    requests: tuple[int, ...] = ()
    gap_ms: int | None = None
    locator: str | None = ""
    row_count: int = 0
    changes: Cursor | None = None
    until_ms: int | None = None
    rounds: int = 0
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be published, and how far the reading has come with it."""

    records: list[Outgoing]
    reading: Reading


class SnapshotReader:
    """Reads objects of one org whole. `passed_ms` tells up to which instant the stream has been published."""

    def __init__(self, org: Org, partitions: int, passed_ms: Callable[[], int | None]) -> None:
        self._org = org
        self._partitions = partitions
        self._passed_ms = passed_ms
        self._pages: tuple[Reading, AsyncIterator[list[ReadRow]]] | None = None
        self._waiting_since: float | None = None
        self._still_since: float | None = None

    async def begin(self, entity: str, requests: tuple[int, ...], gap_ms: int | None) -> Reading:
        """Start a job. Nothing is lost if the process dies before the reading is published: another job is started.

        Raises:
            OrgFault, RowFault: the object can't be read.
        """
        plan = plan_rows(await self._org.describe(entity))
        began_ms = await settled_ms(self._org)
        job_id = await self._org.start_query_job(plan.soql(), deleted=True)
        reading = Reading(
            entity=entity,
            snapshot=f"{entity}/{uuid.uuid4()}",
            began_ms=began_ms,
            job_id=job_id,
            requests=requests,
            gap_ms=gap_ms,
        )
        log.info("a snapshot begins", entity=entity, snapshot=reading.snapshot, job_id=job_id)
        return reading

    async def step(self, reading: Reading) -> Step | None:
        """Return what comes next; None: nothing yet, ask again in a second.

        Raises:
            SnapshotLost: begin again.
            OrgFault, RowFault: see Org and row_values.
        """
        plan = plan_rows(await self._org.describe(reading.entity))
        if reading.locator is not None:
            return await self._page(plan, reading, reading.locator)
        if reading.until_ms is None:
            return await self._next_round(plan, reading)
        return await self._changes(plan, reading, reading.changes or Cursor(reading.began_ms), reading.until_ms)

    async def _page(self, plan: RowPlan, reading: Reading, locator: str) -> Step | None:
        try:
            if not await self._org.is_query_job_complete(reading.job_id) or not self._is_passed(reading):
                return None
            page = await self._org.query_job_page(reading.job_id, locator, PAGE_ROWS)
        except OrgRefused as refusal:
            raise SnapshotLost(str(refusal)) from None
        rows = (plan.read(row) for row in page.rows)
        settled = [row for row in rows if row.stamp_ms <= reading.began_ms]
        following = msgspec.structs.replace(reading, locator=page.locator, row_count=reading.row_count + len(page.rows))
        return Step(self._records(reading, settled), following)

    async def _next_round(self, plan: RowPlan, reading: Reading) -> Step | None:
        until_ms = await settled_ms(self._org)
        after = reading.changes or Cursor(reading.began_ms)
        if until_ms <= after.stamp_ms:
            return await self._end(plan, reading, after.stamp_ms, "") if self._stands_still() else None
        self._still_since = None
        if not self._is_passed(reading, until_ms):
            return None
        return Step([], msgspec.structs.replace(reading, changes=after, until_ms=until_ms, rounds=reading.rounds + 1))

    async def _changes(self, plan: RowPlan, reading: Reading, after: Cursor, until_ms: int) -> Step | None:
        """Publish the round's next page; at its end, begin another or end the snapshot."""
        if self._pages is None or self._pages[0] != reading:
            self._pages = (reading, changed_rows(self._org, plan, after, until_ms))
        pages, self._pages = self._pages[1], None  # a generator that has failed once would only say that it is over
        rows = await anext(pages, None)
        if rows is None:
            return await self._round_over(plan, reading, until_ms)
        last = max((Cursor(row.stamp_ms, row.record_id) for row in rows), default=after)
        following = msgspec.structs.replace(reading, changes=last, row_count=reading.row_count + len(rows))
        self._pages = (following, pages)
        return Step(self._records(reading, rows), following)

    async def _round_over(self, plan: RowPlan, reading: Reading, until_ms: int) -> Step:
        """Ask whether anything that was there when the job began has a newer stamp: then it may not have come yet.

        It was there up to the second in which the org was asked, not only up to `began_ms`: what was made just before
        the stream was opened has neither an event nor, so far, a settled row.
        """
        asked_ms = reading.began_ms + SETTLE_MS
        there = f"CreatedDate <= {instant_soql(asked_ms)}" if "CreatedDate" in plan.columns else ""
        if not await has_changed_after(self._org, plan, until_ms, there):
            return self._ended(reading, [])
        if reading.rounds >= ROUNDS_MAX:
            return await self._end(plan, reading, until_ms, there)
        return Step([], msgspec.structs.replace(reading, changes=Cursor(until_ms), until_ms=None))

    async def _end(self, plan: RowPlan, reading: Reading, after_ms: int, also: str) -> Step:
        """End the snapshot with what would not settle."""
        hot = [row async for rows in changed_rows(self._org, plan, Cursor(after_ms), None, also=also) for row in rows]
        return self._ended(reading, hot)

    def _ended(self, reading: Reading, hot: list[ReadRow]) -> Step:
        row_count = reading.row_count + len(hot)
        records = self._records(reading, hot, is_hot=True)
        if row_count:
            records += snapshot_ends(
                self._org.org_id, reading.entity, reading.snapshot, reading.began_ms, self._partitions
            )
            log.info("a snapshot is complete", entity=reading.entity, snapshot=reading.snapshot, rows=row_count)
        else:
            log.warning(
                "a snapshot without any row: nothing is taken for deleted; may the integration user see the object?",
                entity=reading.entity,
                snapshot=reading.snapshot,
            )
        return Step(records, msgspec.structs.replace(reading, row_count=row_count, is_done=True))

    def _records(self, reading: Reading, rows: list[ReadRow], *, is_hot: bool = False) -> list[Outgoing]:
        changes = [
            sync_record(
                self._org.org_id,
                reading.entity,
                row,
                src="snapshot",
                why=reading.snapshot,
                gap_ms=reading.gap_ms,
                snapshot=reading.snapshot,
                version_ms=hot_version_ms(row.stamp_ms) if is_hot else None,
            )
            for row in rows
        ]
        return outgoing(changes, self._partitions)

    def _is_passed(self, reading: Reading, until_ms: int | None = None) -> bool:
        """Return whether every event up to then is published, where that matters: after a gap.

        What differs in a row is taken for what the gap has hidden. An event that is still on its way must come first,
        or its change would be dated back to the gap.
        """
        passed_ms = self._passed_ms()
        if reading.gap_ms is None or (passed_ms is not None and passed_ms >= (until_ms or reading.began_ms)):
            self._waiting_since = None
            return True
        self._waiting_since = self._waiting_since or time.monotonic()
        return time.monotonic() - self._waiting_since > PASSED_SECONDS_MAX

    def _stands_still(self) -> bool:
        """Return whether the org's clock has not gone on for a while: a stand-in whose time others drive."""
        self._still_since = self._still_since or time.monotonic()
        return time.monotonic() - self._still_since > STILL_SECONDS_MAX
