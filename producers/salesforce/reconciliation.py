"""Looking for what no event told: on a schedule, the rows that have changed are read and published beside the stream.

Place     Org.query -> [this] -> PositionedPublisher -> `sf.cdc.*` as `src: "reconcile"` -> contracts, which counts as
          drift what such a row changes.
Span      from the last row taken less OVERLAP_MS, by stamp and id, to what the stream has passed less MARGIN_MS: a row
          whose event is only on its way is no drift. What the overlap repeats was published and is left out.
Skipped   an object of which something is being read again: the answer dates what a gap has hidden, we could not.
          A round, when no more API calls are left than the reserve, which is for others.
Deleted   rows in the recycle bin come as deleted; what has left it too, only a snapshot finds.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from fakturo.consumers.runtime.metrics import BRIDGE_RECONCILED_AT, BRIDGE_ROWS_READ
from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.changed_rows import Cursor, changed_rows
from fakturo.producers.salesforce.intake import entity_label
from fakturo.producers.salesforce.publishing import PositionedPublisher
from fakturo.producers.salesforce.row_values import ReadRow, RowFault, plan_rows
from fakturo.producers.salesforce.settling import settled_ms
from fakturo.producers.salesforce.sync_records import outgoing, sync_record

OVERLAP_MS = 600_000
"""A long transaction's rows show up with stamps that lie back by its length; ten minutes is the longest."""
MARGIN_MS = 5_000
LOOK_SECONDS = 1.0

log = structlog.get_logger(__name__)


class ReconcilePosition(msgspec.Struct, frozen=True):
    """The last row taken of each object, and the stamp from which on it is reconciled: a snapshot read the rest."""

    cursors: dict[str, Cursor] = {}
    began_ms: dict[str, int] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ReconcilePosition)


class Reconciler:
    """Reconciles `entities` of one org every `org.settings.reconcile_seconds`.

    `passed_ms` tells up to which instant the stream has been published; `is_busy_with` whether anything of an object
    is being read again.
    """

    def __init__(
        self,
        settings: Settings,
        org: Org,
        publisher: PositionedPublisher,
        entities: Sequence[str],
        *,
        passed_ms: Callable[[], int | None],
        is_busy_with: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._settings = settings
        self._org = org
        self._publisher = publisher
        self._entities = tuple(entities)
        self._passed_ms = passed_ms
        self._is_busy_with = is_busy_with
        self._cursors: dict[str, Cursor] = {}
        self._began_ms: dict[str, int] = {}
        self._taken: dict[str, dict[str, int]] = {}

    async def run(self) -> None:
        """Reconcile until cancelled.

        Raises:
            OrgUnavailable, AllocationUsedUp, AuthenticationRefused, KafkaError, OSError, TimeoutError: the world; run
                again after a pause, from the position.
            Fenced: another process has taken over.
        """
        await self.open()
        try:
            while True:
                due_at = time.monotonic() + self._org.settings.reconcile_seconds
                await self.round()
                await asyncio.sleep(max(due_at - time.monotonic(), LOOK_SECONDS))
        finally:
            await self._publisher.close()

    async def open(self) -> None:
        """Take up the position that was published last."""
        stored = await self._publisher.open()
        position = ReconcilePosition() if stored is None else _decoder.decode(stored)
        self._cursors, self._began_ms = dict(position.cursors), dict(position.began_ms)
        self._taken = {}

    async def round(self) -> None:
        """Compare every object once, as far as the stream has come."""
        if await self._is_reserve_left():
            log.warning("no reconciliation: the rest of the API calls is for others")
            return
        passed_ms = self._passed_ms()
        until_ms = await settled_ms(self._org)
        if passed_ms is None:
            return
        for entity in self._entities:
            if self._is_busy_with(entity):
                continue
            try:
                await self._reconcile(entity, min(until_ms, passed_ms - MARGIN_MS))
            except (OrgRefused, RowFault) as fault:
                log.warning("could not be compared with the org", entity=entity, reason=str(fault))

    async def _is_reserve_left(self) -> bool:
        """Return whether no more API calls are left than the reserve; asked anew where the last answer said so."""
        reserve_percent = self._org.settings.api_reserve_percent
        usage = self._org.api_usage
        if usage is None or usage.leaves(reserve_percent):
            return False
        await self._org.limits()
        usage = self._org.api_usage
        return usage is not None and not usage.leaves(reserve_percent)

    async def _reconcile(self, entity: str, until_ms: int) -> None:
        cursor = self._cursors.get(entity)
        if cursor is None:  # what was before us a snapshot has read
            self._cursors[entity], self._began_ms[entity] = Cursor(until_ms), until_ms
            await self._publish(entity, [], until_ms)
            return
        if until_ms <= cursor.stamp_ms:
            return
        taken = self._taken.setdefault(entity, {})
        plan = plan_rows(await self._org.describe(entity))
        after = Cursor(max(cursor.stamp_ms - OVERLAP_MS, self._began_ms.get(entity, 0)))
        async for page in changed_rows(self._org, plan, after, until_ms):
            fresh = [row for row in page if taken.get(row.record_id) != row.stamp_ms]
            if self._is_busy_with(entity):  # a gap was told meanwhile: from this page on, another time
                return
            taken.update((row.record_id, row.stamp_ms) for row in fresh)
            last = max((Cursor(row.stamp_ms, row.record_id) for row in fresh), default=self._cursors[entity])
            self._cursors[entity] = max(last, self._cursors[entity])
            await self._publish(entity, fresh, until_ms)
        self._cursors[entity] = Cursor(until_ms)
        self._taken[entity] = {name: stamp for name, stamp in taken.items() if stamp > until_ms - OVERLAP_MS}
        await self._publish(entity, [], until_ms)
        BRIDGE_RECONCILED_AT.labels(entity_label(entity)).set(until_ms / 1000)

    async def _publish(self, entity: str, rows: Sequence[ReadRow], until_ms: int) -> None:
        changes = [
            sync_record(self._org.org_id, entity, row, src="reconcile", why=f"reconcile/{until_ms}") for row in rows
        ]
        position = _encoder.encode(ReconcilePosition(self._cursors, self._began_ms))
        await self._publisher.publish(outgoing(changes, self._settings.partitions), position)
        BRIDGE_ROWS_READ.labels(entity_label(entity), "reconcile").inc(len(rows))
