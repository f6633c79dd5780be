"""One round of sending: object by object, parents first, in chunks, each answer written down.

Place     pusher -> [this] -> push_store (rows), Org (the org), outcomes (what an answer means).
Chunks    up to 200 rows a call; above `BULK_ABOVE` waiting rows of one object a Bulk 2.0 job takes up to `BULK_ROWS`.
          One call at a time, and rows of one parent side by side: our own calls never wait for each other's locks.
Refusals  of a whole call: if the object is not as we write it, nothing of it is sent for a while; else the call is
          halved until the row that spoils it is alone.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import structlog

from fakturo.consumers.crm_sync import push_store
from fakturo.consumers.crm_sync.outcomes import (
    WRONG_OBJECT,
    Judged,
    Outcome,
    judge,
    retry_seconds,
    sentence,
    speaks_of_the_object,
)
from fakturo.consumers.crm_sync.sending import TakenRow, record_of, soql_text
from fakturo.consumers.runtime.metrics import CRM_WRITES
from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.limits import ApiUsage
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult
from fakturo.schemas.salesforce.written_fields import ACCOUNT, OBJECT_BY_NAME, WRITTEN_OBJECTS

CHUNK_ROWS = 200
BULK_ABOVE = 2_000
BULK_ROWS = 10_000
HOLD_SECONDS = 300.0

log = structlog.get_logger(__name__)


class WritableOrg(Protocol):
    """What is asked of an org; `consumers/runtime/salesforce/org.py` has it."""

    @property
    def api_usage(self) -> ApiUsage | None:
        """Return the day's calls as the newest answer said them."""

    async def upsert(self, entity: str, external_id: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Insert or update up to 200 records."""

    async def update(self, entity: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Update up to 200 records by `Id`."""

    async def bulk_upsert(self, entity: str, external_id: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Insert or update any number of records."""

    async def delete(self, record_ids: Sequence[str]) -> list[UpsertResult]:
        """Delete up to 200 records."""

    def query(self, soql: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the rows of a query page by page."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows go at once; tests make them small."""

    chunk_rows: int = CHUNK_ROWS
    bulk_above: int = BULK_ABOVE
    bulk_rows: int = BULK_ROWS


SIZES = Sizes()


class PushRound:
    """Sends what is ready over `org`; `pace` is awaited before each call and may raise to end the round."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        org: WritableOrg,
        pace: Callable[[], Awaitable[None]],
        sizes: Sizes = SIZES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._connection = connection
        self._org = org
        self._pace = pace
        self._sizes = sizes
        self._jitter = jitter

    async def run(self) -> int:
        """Send all that is ready, parents first; return how many rows were taken.

        Raises:
            OrgFault: the org, our rights there or its allocation stand in the way; what was taken is sent again.
        """
        return sum([await self._send_object(found.name) for found in WRITTEN_OBJECTS])

    async def _send_object(self, entity: str) -> int:
        total = 0
        while True:
            sizes = self._sizes
            ready = await push_store.count_ready(self._connection, entity, sizes.bulk_above + 1)
            is_bulk = ready > sizes.bulk_above
            if not ready:
                return total
            await self._pace()
            rows = await push_store.take(self._connection, entity, sizes.bulk_rows if is_bulk else sizes.chunk_rows)
            total += len(rows)
            await self._send_all([row for row in rows if row.fields is not None], is_bulk=is_bulk)
            gone = [row for row in rows if row.fields is None]
            for start in range(0, len(gone), sizes.chunk_rows):
                await self._send_all(gone[start : start + sizes.chunk_rows], is_bulk=False)

    async def _send_all(self, rows: Sequence[TakenRow], *, is_bulk: bool) -> None:
        """Send rows of one object and write down what became of them."""
        if not rows:
            return
        try:
            judged = await (self._delete(rows) if rows[0].fields is None else self._upsert(rows, is_bulk=is_bulk))
        except OrgRefused as refusal:
            await self._refused_whole(rows, refusal)
            return
        if failure := speaks_of_the_object(judged):
            await self._hold(rows, failure)
            return
        await push_store.end_hold(self._connection, rows[0].entity)
        await self._write_down(judged)

    async def _upsert(self, rows: Sequence[TakenRow], *, is_bulk: bool) -> list[Judged]:
        entity = rows[0].entity
        key_field = OBJECT_BY_NAME[entity].key_field
        records = [record_of(row) for row in rows]
        if is_bulk:
            results = await self._org.bulk_upsert(entity, key_field, records)
        elif entity == ACCOUNT:
            results = await self._org.update(entity, records)
        else:
            results = await self._org.upsert(entity, key_field, records)
        return [judge(row, result) for row, result in zip(rows, results, strict=True)]

    async def _delete(self, rows: Sequence[TakenRow]) -> list[Judged]:
        """Take records out of the org; one that is not there is done."""
        entity = rows[0].entity
        keys = [row.key for row in rows]
        ids = await self._ids_of(entity, keys)
        there = [row for row in rows if row.key in ids]
        results = await self._org.delete([ids[row.key] for row in there]) if there else []
        told = dict(zip((row.key for row in there), results, strict=True))
        absent = UpsertResult(True)
        judged = [judge(row, told.get(row.key, absent)) for row in rows]
        return [Judged(row=one.row, outcome=one.outcome, failure=one.failure, record_id=None) for one in judged]

    async def _ids_of(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the record ids of those of the external ids `keys` that are there."""
        key_field = OBJECT_BY_NAME[entity].key_field
        wanted = ", ".join(map(soql_text, keys))
        soql = f"SELECT Id, {key_field} FROM {entity} WHERE {key_field} IN ({wanted})"  # noqa: S608 - SOQL, escaped
        return {row[key_field]: row["Id"] async for page in self._org.query(soql) for row in page}

    async def _refused_whole(self, rows: Sequence[TakenRow], refusal: OrgRefused) -> None:
        failure = sentence(rows[0], refusal.code, refusal.message)
        if refusal.code in WRONG_OBJECT:
            await self._hold(rows, failure)
        elif refusal.is_lock:
            await self._write_down([Judged(row=row, outcome=Outcome.AGAIN, failure=failure) for row in rows])
        elif len(rows) == 1:
            await self._write_down([Judged(row=rows[0], outcome=Outcome.REFUSED, failure=failure)])
        else:
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                await self._pace()
                for start in range(0, len(half), self._sizes.chunk_rows):
                    await self._send_all(half[start : start + self._sizes.chunk_rows], is_bulk=False)

    async def _hold(self, rows: Sequence[TakenRow], failure: str) -> None:
        """Send nothing of the rows' object for a while: no other row of it would do better."""
        log.warning("object on hold", entity=rows[0].entity, because=failure)
        await push_store.hold(self._connection, rows[0].entity, HOLD_SECONDS, failure)
        await self._write_down([Judged(row=row, outcome=Outcome.AGAIN, failure=failure) for row in rows])

    async def _write_down(self, judged: Sequence[Judged]) -> None:
        seconds = [retry_seconds(one.row.attempts, self._jitter()) for one in judged]
        await push_store.save_outcomes(self._connection, judged, seconds)
        for one in judged:
            CRM_WRITES.labels(one.row.entity, one.outcome.value).inc()
            if one.outcome is Outcome.REFUSED:
                log.warning("refused", entity=one.row.entity, key=one.row.key, because=one.failure)
