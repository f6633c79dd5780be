"""The SQL of the contracts agent (schema `contracts`, migrations 0002 and 0013).

Place     handler and publication -> [this] -> Postgres. Every function takes asyncpg's connection of the transaction.
Locks     record rows are locked in the order (entity, record_id), so two workers cannot deadlock on them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import msgspec

from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.reducer import Facts, RecordState
from fakturo.schemas.codec import encode

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""The watermark of a record that came before any tick of its partition."""

RecordKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change record reduced to facts; `watermark_at` is what time had reached in its partition.

    `is_row` says that the record was read, not told by an event; `gap_at` is the commit of the gap that the row
    answers, `snapshot` the whole reading of its object that it is part of.
    """

    entity: str
    record_id: str
    event_id: str
    fingerprint: bytes
    facts: Facts
    committed_ms: int
    committed_at: datetime
    recorded_at: datetime
    watermark_at: datetime
    is_row: bool = False
    gap_at: datetime | None = None
    org: str | None = None
    partition: int = 0
    snapshot: str | None = None
    is_reconciliation: bool = False

    @property
    def key(self) -> RecordKey:
        """Return what identifies the record."""
        return self.entity, self.record_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEnd:
    """All rows of `snapshot`, a reading of a whole object that began at `began_at`, have come in this partition."""

    entity: str
    record_id: str
    event_id: str
    fingerprint: bytes
    org: str | None
    partition: int
    snapshot: str
    began_ms: int
    began_at: datetime
    recorded_at: datetime
    watermark_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectGap:
    """Something of a whole object was not told, and no record named."""

    entity: str
    record_id: str
    event_id: str
    fingerprint: bytes
    change_type: str
    org: str | None
    partition: int
    committed_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """A row of a whole reading that is a dead letter: its record lives, so it must not be swept."""

    entity: str
    record_id: str
    snapshot: str


Identified = Change | SnapshotEnd | ObjectGap


async def claim_events(driver: asyncpg.Connection, changes: Sequence[Identified]) -> dict[tuple[str, str], bytes]:
    """Claim the identity (record id, event id) of each change; return the fingerprints of those claimed before."""
    ordered = sorted(changes, key=lambda change: (change.record_id, change.event_id))
    rows = await driver.fetch(
        "INSERT INTO contracts.applied_event (record_id, event_id, fingerprint)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])"
        " ON CONFLICT DO NOTHING RETURNING record_id, event_id",
        [change.record_id for change in ordered],
        [change.event_id for change in ordered],
        [change.fingerprint for change in ordered],
    )
    claimed = {(row["record_id"], row["event_id"]) for row in rows}
    repeated = [change for change in ordered if (change.record_id, change.event_id) not in claimed]
    if not repeated:
        return {}
    found = await driver.fetch(
        "SELECT record_id, event_id, fingerprint FROM contracts.applied_event"
        " JOIN unnest($1::text[], $2::text[]) AS g (record_id, event_id) USING (record_id, event_id)",
        [change.record_id for change in repeated],
        [change.event_id for change in repeated],
    )
    return {(row["record_id"], row["event_id"]): bytes(row["fingerprint"]) for row in found}


async def lock_records(driver: asyncpg.Connection, keys: Iterable[RecordKey]) -> dict[RecordKey, RecordState]:
    """Create the missing rows, lock all, and return what each record is now."""
    ordered = sorted(set(keys))
    entities, ids = [key[0] for key in ordered], [key[1] for key in ordered]
    await driver.execute(
        "INSERT INTO contracts.record (entity, record_id) SELECT * FROM unnest($1::text[], $2::text[])"
        " ORDER BY 1, 2 ON CONFLICT DO NOTHING",
        entities,
        ids,
    )
    rows = await driver.fetch(
        "SELECT r.entity, r.record_id, r.field_values::text AS field_values, r.field_versions::text AS field_versions"
        " FROM contracts.record r"
        " JOIN unnest($1::text[], $2::text[]) AS g (entity, record_id) USING (entity, record_id)"
        " ORDER BY r.entity, r.record_id FOR UPDATE OF r",
        entities,
        ids,
    )
    return {
        (row["entity"], row["record_id"]): RecordState(
            msgspec.json.decode(row["field_values"]), msgspec.json.decode(row["field_versions"])
        )
        for row in rows
    }


async def save_records(
    driver: asyncpg.Connection, states: dict[RecordKey, RecordState], changes: Sequence[Change]
) -> None:
    """Write what each record is now, and append every fact of `changes` to the history."""
    last = {change.key: change for change in changes}
    newest_ms: dict[RecordKey, int] = {}
    snapshots: dict[RecordKey, str] = {}
    for change in changes:
        newest_ms[change.key] = max(newest_ms.get(change.key, 0), change.committed_ms)
        if change.snapshot:
            snapshots[change.key] = change.snapshot
    await driver.executemany(
        "UPDATE contracts.record SET field_values = $3::text::jsonb, field_versions = $4::text::jsonb,"
        " recorded_at = greatest(recorded_at, $5), org = coalesce($6::text, org), partition = $7,"
        " committed_ms = greatest(committed_ms, $8), snapshot = coalesce($9::text, snapshot)"
        " WHERE entity = $1 AND record_id = $2",
        [
            (*key, encode(state.values).decode(), encode(state.versions).decode(), last[key].recorded_at,
             last[key].org, last[key].partition, newest_ms[key], snapshots.get(key))
            for key, state in states.items()
        ],
    )  # fmt: skip
    await driver.executemany(
        "INSERT INTO contracts.field_version (entity, record_id, field, value, effective_at, recorded_at, watermark_at,"
        " event_id, is_row, gap_at) VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $10)",
        [
            (*change.key, name, encode(value).decode(), change.committed_at, change.recorded_at, change.watermark_at,
             change.event_id, change.is_row, change.gap_at)
            for change in changes
            for name, value in change.facts.items()
        ],
    )  # fmt: skip


async def mark_seen(driver: asyncpg.Connection, rows: Sequence[UnreadableRow]) -> None:
    """Note that the records of `rows` were in the reading, although nothing could be taken from it."""
    await driver.executemany(
        "UPDATE contracts.record SET snapshot = $3 WHERE entity = $1 AND record_id = $2",
        sorted((row.entity, row.record_id, row.snapshot) for row in rows),
    )


async def save_references(driver: asyncpg.Connection, references: Sequence[tuple[str, str, str]]) -> None:
    """Remember (role, record id, target id): which records point to which, ever."""
    await driver.execute(
        "INSERT INTO contracts.reference (role, record_id, target_id)"
        " SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING",
        *([list(column) for column in zip(*references, strict=True)] if references else ([], [], [])),
    )


async def mark_changed(driver: asyncpg.Connection, marks: Iterable[tuple[str, str, datetime]]) -> None:
    """Append (role, record id, watermark): what publication has to look at. Never merged with an older mark."""
    rows = sorted(set(marks))
    await driver.execute(
        "INSERT INTO contracts.changed (role, record_id, watermark_at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])",
        *([list(column) for column in zip(*rows, strict=True)] if rows else ([], [], [])),
    )


async def load_histories(
    driver: asyncpg.Connection, ids: Sequence[str], fields: Iterable[str], cut_at: datetime
) -> dict[str, RecordHistory]:
    """Return the history of each record in `ids` by record id, of `fields`, as known before the tick after `cut_at`."""
    rows = await driver.fetch(
        "SELECT entity, record_id, field, value::text AS value, effective_at, recorded_at, is_row, gap_at, id"
        " FROM contracts.field_version"
        " WHERE record_id = ANY ($1::text[]) AND field = ANY ($2::text[]) AND watermark_at <= $3 ORDER BY id",
        list(ids),
        list(fields),
        cut_at,
    )
    facts: dict[RecordKey, list[Fact]] = {}
    for row in rows:
        facts.setdefault((row["entity"], row["record_id"]), []).append(
            Fact(
                field=row["field"],
                value=msgspec.json.decode(row["value"]),
                effective_at=row["effective_at"],
                recorded_at=row["recorded_at"],
                arrival=row["id"],
                is_row=row["is_row"],
                gap_at=row["gap_at"],
            )
        )
    return {key[1]: RecordHistory.of(key[0], key[1], found) for key, found in facts.items()}


async def sources_of(driver: asyncpg.Connection, role: str, targets: Sequence[str]) -> list[RecordKey]:
    """Return (record id, target id) of the records that ever pointed to `targets` in `role`."""
    rows = await driver.fetch(
        "SELECT record_id, target_id FROM contracts.reference WHERE role = $1 AND target_id = ANY ($2::text[])"
        " ORDER BY 1, 2",
        role,
        list(targets),
    )
    return [(row["record_id"], row["target_id"]) for row in rows]
