"""What was read again as change records: a row SYNC, a record that is gone DELETE, the end of a snapshot a partition.

Place     snapshot, resync, reconciliation -> [this] -> PositionedPublisher -> `sf.cdc.<SObject>` -> contracts. Pure.
Version   `commit.ts` is the row's last change (SystemModstamp): of each field the later of event and row counts.
Size      an event of more than 1 MB comes as a gap; its row would be as large, and no reader of ours takes that. The
          longest texts are left out and named in `diff`: what is billed is short.
Identity  `sync/<record>/<stamp>/<why>`: the same reading of the same state has the same id.
"""

from collections.abc import Iterable

import msgspec

from fakturo.producers.salesforce.intake import change_record_out
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.row_values import ReadRow
from fakturo.schemas.events.change_data import ChangeRecord, Commit, FieldValue
from fakturo.schemas.topics import change_data_topic

NOBODY = "000000000000000AAA"
"""The record id of a record that is about a whole object, as in GAP_OVERFLOW."""
SNAPSHOT_END = "SNAPSHOT_END"
VALUES_BYTES_MAX = 900_000
"""Below the size of an event that an agent takes (Settings.event_bytes_max, 1 MiB), with room for the rest."""
JSON_BYTES_MAX = 6
"""What a character takes in JSON at most: a control character, as six ASCII characters."""


def sync_record(
    org_id: str,
    entity: str,
    row: ReadRow,
    *,
    src: str,
    why: str,
    gap_ms: int | None = None,
    snapshot: str | None = None,
    version_ms: int | None = None,
) -> ChangeRecord:
    """Return a row as a SYNC record. `why` is the request, snapshot or reconciliation that it was read for.

    `version_ms` stands for the row's stamp where that must not win (see settling.hot_version_ms).
    """
    values = _fitting(row.values)
    return ChangeRecord(
        v=1,
        org=org_id,
        entity=entity,
        recordId=row.record_id,
        changeType="SYNC",
        values=values,
        diff=tuple(name for name in row.values if name not in values),
        full=True,
        commit=Commit(ts=row.stamp_ms if version_ms is None else version_ms),
        eventId=f"sync/{row.record_id}/{row.stamp_ms}/{why}",
        src=src,
        gapTs=gap_ms,
        snapshot=snapshot,
    )


def gone_record(org_id: str, entity: str, record_id: str, *, gone_ms: int, why: str) -> ChangeRecord:
    """Return the DELETE of a record that is in the org no more, not even in its recycle bin."""
    return ChangeRecord(
        v=1,
        org=org_id,
        entity=entity,
        recordId=record_id,
        changeType="DELETE",
        commit=Commit(ts=gone_ms),
        eventId=f"sync/{record_id}/gone/{why}",
        src="resync",
    )


def snapshot_ends(org_id: str, entity: str, snapshot: str, began_ms: int, partitions: int) -> list[Outgoing]:
    """Return the marks, one a partition, after the last row of a snapshot that began at `began_ms` (org clock)."""
    return [_snapshot_end(org_id, entity, snapshot, began_ms, partition) for partition in range(partitions)]


def outgoing(changes: Iterable[ChangeRecord], partitions: int) -> list[Outgoing]:
    """Return the Kafka records of `changes`, each to its record's partition."""
    return [change_record_out(change, partitions) for change in changes]


def _fitting(values: dict[str, FieldValue]) -> dict[str, FieldValue]:
    """Return `values` without the longest texts, where they would be too large for a record together."""
    if sum(len(value) for value in values.values() if isinstance(value, str)) < VALUES_BYTES_MAX // JSON_BYTES_MAX:
        return values
    kept = dict(values)
    while len(msgspec.json.encode(kept)) > VALUES_BYTES_MAX:
        del kept[max(kept, key=lambda name: len(str(kept[name])))]
    return kept


def _snapshot_end(org_id: str, entity: str, snapshot: str, began_ms: int, partition: int) -> Outgoing:
    change = ChangeRecord(
        v=1,
        org=org_id,
        entity=entity,
        recordId=NOBODY,
        changeType=SNAPSHOT_END,
        commit=Commit(ts=began_ms),
        eventId=f"end/{snapshot}/{partition}",
        src="snapshot",
        snapshot=snapshot,
    )
    record = change_record_out(change, 1)
    return Outgoing(
        topic=change_data_topic(entity).name,
        partition=partition,
        key=record.key,
        value=record.value,
        timestamp_ms=record.timestamp_ms,
        headers=record.headers,
    )
