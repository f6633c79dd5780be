"""The SQL of what is sent: rows that are ready, what became of them, and how many wait.

Place     pushing, pusher, `fakturo salesforce written|retry` -> [this] -> crm_sync.written.
Claim     taking a row empties its `pushed_hash`: from then on it is not known what the org holds, so that the row is
          sent again whatever becomes of this process.
Guard     an answer counts for the generation that was sent; a row that has changed since stays dirty.
Ready     not held, not refused, not to be tried later, its object not on hold, its parent in the org.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from fakturo.consumers.crm_sync.outcomes import Judged, Outcome
from fakturo.consumers.crm_sync.sending import TakenRow
from fakturo.schemas.salesforce.written_fields import INVOICE

_READY = f"""
  FROM crm_sync.written w
 WHERE w.entity = $1 AND w.dirty AND w.held IS NULL AND NOT w.refused
   AND (w.retry_at IS NULL OR w.retry_at <= clock_timestamp())
   AND NOT EXISTS (SELECT FROM crm_sync.hold h WHERE h.entity = $1 AND h.until_at > clock_timestamp())
   AND (w.parent_key IS NULL OR w.fields IS NULL OR EXISTS (SELECT FROM crm_sync.written p
        WHERE p.entity = '{INVOICE}' AND p.key = w.parent_key AND p.record_id IS NOT NULL))
"""  # noqa: S608 - made of constants

_COUNT = f"SELECT count(*) FROM (SELECT {_READY} LIMIT $2) ready"  # noqa: S608 - made of constants

_TAKE = f"""
WITH picked AS (SELECT w.key {_READY} ORDER BY w.entity, w.account, w.parent_key, w.key LIMIT $2),
claimed AS (
    UPDATE crm_sync.written w SET pushed_hash = NULL FROM picked
     WHERE w.entity = $1 AND w.key = picked.key RETURNING w.*
)
SELECT c.entity, c.key, c.parent_key, c.fields, c.hash, c.generation, c.attempts, c.record_id,
       a.record_id AS account_record_id
  FROM claimed c JOIN crm_sync.account a USING (account)
 WHERE a.record_id IS NOT NULL ORDER BY c.account, c.parent_key, c.key
"""  # noqa: S608 - made of constants

_WRITTEN = """
UPDATE crm_sync.written w
   SET record_id = t.record_id, pushed_at = clock_timestamp(), dirty = w.generation <> t.generation,
       pushed_hash = CASE WHEN w.generation = t.generation THEN t.hash END,
       attempts = 0, retry_at = NULL, refused = false, failure = NULL
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[])
       AS t(entity, key, generation, hash, record_id)
 WHERE w.entity = t.entity AND w.key = t.key
"""

_FAILED = """
UPDATE crm_sync.written w
   SET attempts = w.attempts + 1, failure = t.failure, refused = t.refused,
       retry_at = clock_timestamp() + make_interval(secs => t.seconds)
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::double precision[])
       AS t(entity, key, generation, failure, refused, seconds)
 WHERE w.entity = t.entity AND w.key = t.key AND w.generation = t.generation
"""

_AGAIN = "generation = w.generation + 1, dirty = true, pushed_hash = NULL, changed_at = clock_timestamp()"

_CHILDREN = f"""
UPDATE crm_sync.written w SET {_AGAIN}
 WHERE w.parent_key = ANY($1::text[]) AND w.fields IS NOT NULL
"""  # noqa: S608 - made of constants

_PARENTS = f"""
UPDATE crm_sync.written w SET {_AGAIN}, record_id = NULL
 WHERE w.entity = '{INVOICE}' AND w.key = ANY($1::text[]) AND NOT w.dirty
"""  # noqa: S608 - made of constants

_FAILURES = """
SELECT entity AS object, key, account, refused, attempts,
       coalesce(failure, 'The account ' || account || ' is not known yet: '
                         'what is written of it waits until the contracts tell of it.') AS failure
  FROM crm_sync.written WHERE dirty AND (failure IS NOT NULL OR held = 'account_unknown')
 ORDER BY refused DESC, failure IS NULL, entity, key LIMIT $1
"""

_STAND = """
SELECT entity,
       count(*) FILTER (WHERE dirty AND held IS NULL AND NOT refused) AS waiting,
       count(*) FILTER (WHERE refused) AS refused,
       count(*) FILTER (WHERE held = 'account_unknown') AS account_unknown,
       count(*) FILTER (WHERE held = 'foreign_account') AS foreign_account,
       coalesce(extract(epoch FROM clock_timestamp() - min(changed_at)
                        FILTER (WHERE dirty AND held IS NULL AND NOT refused)), 0)::float8 AS oldest_seconds
  FROM crm_sync.written WHERE dirty GROUP BY entity
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How many rows of an object wait, and why; `oldest_seconds` is how long the oldest of `waiting` has."""

    entity: str
    waiting: int = 0
    refused: int = 0
    account_unknown: int = 0
    foreign_account: int = 0
    oldest_seconds: float = 0.0


async def count_ready(connection: asyncpg.Connection, entity: str, most: int) -> int:
    """Return how many rows could be sent now, `most` at most."""
    return int(await connection.fetchval(_COUNT, entity, most))


async def take(connection: asyncpg.Connection, entity: str, most: int) -> list[TakenRow]:
    """Claim and return up to `most` rows that are ready, those of a parent together."""
    return [TakenRow(**dict(row)) for row in await connection.fetch(_TAKE, entity, most)]


async def save_outcomes(connection: asyncpg.Connection, judged: Sequence[Judged], seconds: Sequence[float]) -> None:
    """Write down what became of rows; `seconds` is how long each is not tried again if it failed."""
    pairs = sorted(zip(judged, seconds, strict=True), key=lambda pair: (pair[0].row.entity, pair[0].row.key))
    written = [one for one, _ in pairs if one.outcome is Outcome.WRITTEN]
    failed = [pair for pair in pairs if pair[0].outcome is not Outcome.WRITTEN]
    async with connection.transaction():
        await _save_written(connection, written)
        await _save_failed(connection, failed)
        orphaned_by = {one.row.parent_key or "" for one, _ in failed if one.outcome is Outcome.PARENT_GONE}
        if orphaned_by:
            await connection.execute(_PARENTS, sorted(orphaned_by))
        # A record that had been there before and is made anew has lost its children with it.
        lost = orphaned_by | {one.row.key for one in written if one.is_created and one.row.record_id}
        if lost:
            await connection.execute(_CHILDREN, sorted(lost))


async def _save_written(connection: asyncpg.Connection, written: Sequence[Judged]) -> None:
    if written:
        await connection.execute(
            _WRITTEN,
            [one.row.entity for one in written],
            [one.row.key for one in written],
            [one.row.generation for one in written],
            [one.row.hash for one in written],
            [one.record_id for one in written],
        )


async def _save_failed(connection: asyncpg.Connection, failed: Sequence[tuple[Judged, float]]) -> None:
    if failed:
        await connection.execute(
            _FAILED,
            [one.row.entity for one, _ in failed],
            [one.row.key for one, _ in failed],
            [one.row.generation for one, _ in failed],
            [one.failure for one, _ in failed],
            [one.outcome is Outcome.REFUSED for one, _ in failed],
            [seconds for _, seconds in failed],
        )


async def hold(connection: asyncpg.Connection, entity: str, seconds: float, failure: str) -> None:
    """Send nothing of an object for so many seconds."""
    await connection.execute(
        "INSERT INTO crm_sync.hold (entity, until_at, failure) "
        "VALUES ($1, clock_timestamp() + make_interval(secs => $2), $3) "
        "ON CONFLICT (entity) DO UPDATE SET until_at = excluded.until_at, failure = excluded.failure",
        entity,
        seconds,
        failure,
    )


async def end_hold(connection: asyncpg.Connection, entity: str) -> None:
    """Forget that an object was on hold."""
    await connection.execute("DELETE FROM crm_sync.hold WHERE entity = $1", entity)


async def retry(connection: asyncpg.Connection) -> int:
    """Send at once what was refused or is to be tried later; return how many rows that are."""
    async with connection.transaction():
        await connection.execute("DELETE FROM crm_sync.hold")
        done = await connection.execute(
            "UPDATE crm_sync.written SET refused = false, failure = NULL, retry_at = NULL, attempts = 0 "
            "WHERE dirty AND (refused OR retry_at IS NOT NULL)"
        )
    return int(done.split()[-1])


async def stand(connection: asyncpg.Connection) -> list[Stand]:
    """Return how many rows of each object wait, and why."""
    return [Stand(**dict(row)) for row in await connection.fetch(_STAND)]


async def holds(connection: asyncpg.Connection) -> dict[str, str]:
    """Return the sentence of each object that is on hold."""
    rows = await connection.fetch("SELECT entity, failure FROM crm_sync.hold WHERE until_at > clock_timestamp()")
    return {row["entity"]: row["failure"] for row in rows}


async def failures(connection: asyncpg.Connection, most: int) -> list[dict[str, object]]:
    """Return the records that wait with a sentence, those that wait for a person first."""
    rows = await connection.fetch(_FAILURES, most)
    return [dict(row) for row in rows]
