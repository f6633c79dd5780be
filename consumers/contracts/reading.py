"""Records of `sf.cdc.*` as what they say: a change of a record, the end of a whole reading, a gap without a record.

Place     handler -> [this] -> reducer (facts). What cannot be read is a dead letter here, before it claims anything.
Gaps      GAP_OVERFLOW and wildcard ids (`001*`) name no record but all of an object: they are kept beside the records.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from fakturo.consumers.contracts import store
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.reducer import check_values, facts_of
from fakturo.consumers.contracts.store import Change, Identified, ObjectGap, SnapshotEnd, UnreadableRow
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import EPOCH, ChangeRecord, decode_change
from fakturo.schemas.salesforce_ids import long_id

SNAPSHOT_END = "SNAPSHOT_END"
GAP_OVERFLOW = "GAP_OVERFLOW"
NO_RECORD = "000000000000000AAA"
ROWS = frozenset({"SYNC", "SNAPSHOT"})
RECONCILIATION = "reconcile"
"""The `src` of a row that was read to find what no event had told."""


@dataclass(frozen=True, slots=True)
class Read:
    """A record that could be read, and what it says."""

    record: Record
    content: Identified | UnreadableRow


def read(record: Record, profile: Profile, tx: Transaction) -> Read | None:
    """Return what `record` says; a record that says nothing that we know is rejected."""
    change: ChangeRecord | None = None
    try:
        change = decode_change(record.value)
        if change.changeType == SNAPSHOT_END:
            return Read(record, _snapshot_end(change, record))
        if _names_no_record(change):
            return Read(record, _object_gap(change, record))
        return Read(record, _change(change, record, profile))
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
        row = _unreadable_row(change)
        return Read(record, row) if row else None


def _unreadable_row(change: ChangeRecord | None) -> UnreadableRow | None:
    if change is None or not change.snapshot or change.changeType == SNAPSHOT_END:
        return None
    try:
        record_id = long_id(change.recordId)
    except ValueError:
        return None
    return UnreadableRow(entity=change.entity, record_id=record_id, snapshot=change.snapshot)


def _names_no_record(change: ChangeRecord) -> bool:
    is_gap = change.changeType.startswith("GAP_")
    return is_gap and (
        change.changeType == GAP_OVERFLOW or change.recordId.endswith("*") or change.recordId.startswith("0" * 15)
    )


def _change(change: ChangeRecord, record: Record, profile: Profile) -> Change:
    facts = facts_of(change)
    check_values(facts, change.entity, profile)
    record_id = _long_id(change.recordId, "$.recordId")
    for name in profile.reference_fields(change.entity):
        if facts.get(name):
            facts[name] = _long_id(facts[name], f"$.values.{name}")
    fingerprint = hashlib.sha256(encode([change.entity, change.changeType, change.commit.ts, facts])).digest()
    return Change(
        entity=change.entity,
        record_id=record_id,
        event_id=_event_id(change, fingerprint),
        fingerprint=fingerprint,
        facts=facts,
        committed_ms=change.commit.ts,
        committed_at=change.committed_at,
        recorded_at=record.recorded_at,
        watermark_at=record.watermark_at or store.BEGINNING,
        is_row=change.full or change.changeType in ROWS,
        gap_at=_gap_at(change),
        org=change.org,
        partition=record.partition,
        snapshot=change.snapshot,
        is_reconciliation=change.src == RECONCILIATION,
    )


def _event_id(change: ChangeRecord, fingerprint: bytes) -> str:
    """Return the change's identity; a row is read again in each reading, or the next one would miss its record."""
    identity = change.eventId or fingerprint.hex()
    return f"{identity}@{change.snapshot}" if change.snapshot else identity


def _gap_at(change: ChangeRecord) -> datetime | None:
    if change.gapTs is None:
        return None
    try:
        return EPOCH + timedelta(milliseconds=change.gapTs)
    except OverflowError as error:
        raise SchemaError(Reason.INVALID_TIME, f"{change.gapTs} ms is no date", "$.gapTs") from error


def _snapshot_end(change: ChangeRecord, record: Record) -> SnapshotEnd:
    if not change.snapshot:
        text = "the end of a snapshot does not say of which: `snapshot` is missing"
        raise SchemaError(Reason.UNKNOWN_SHAPE, text, "$.snapshot")
    # One a partition, whatever id they were given: each ends the reading of its own partition.
    identity = [change.org, change.entity, change.snapshot, record.partition]
    return SnapshotEnd(
        entity=change.entity,
        record_id=NO_RECORD,
        event_id="snapshot/" + hashlib.sha256(encode(identity)).hexdigest(),
        fingerprint=hashlib.sha256(encode(change.commit.ts)).digest(),
        org=change.org,
        partition=record.partition,
        snapshot=change.snapshot,
        began_ms=change.commit.ts,
        began_at=change.committed_at,
        recorded_at=record.recorded_at,
        watermark_at=record.watermark_at or store.BEGINNING,
    )


def _object_gap(change: ChangeRecord, record: Record) -> ObjectGap:
    identity = [change.entity, change.changeType, change.recordId, change.commit.ts]
    fingerprint = hashlib.sha256(encode(identity)).digest()
    return ObjectGap(
        entity=change.entity,
        record_id=change.recordId,
        event_id=change.eventId or fingerprint.hex(),
        fingerprint=fingerprint,
        change_type=change.changeType,
        org=change.org,
        partition=record.partition,
        committed_at=change.committed_at,
        recorded_at=record.recorded_at,
    )


def _long_id(record_id: str, path: str) -> str:
    try:
        return long_id(record_id)
    except ValueError as error:
        raise SchemaError(Reason.UNKNOWN_SHAPE, str(error), path) from error
