"""Whole readings of an object: what lives in the book and was not found is deleted since the reading began.

Place     handler, at a SNAPSHOT_END -> [this] -> contracts.record, field_version, changed. One record ends the reading
          of one partition; the handler has applied by then all that came before it there, and nothing that came after.
Swept     a record of that object, org and partition that lives, was last committed before the reading began and was not
          in it. Nobody told when it was deleted, so the mark is `$swept` from the beginning of the reading on: a DELETE
          that comes later knows better, and a row that lives takes the mark back.
Source    reference: Salesforce Change Data Capture, mark and sweep after an overflow.
"""

from collections.abc import Sequence

import asyncpg

from fakturo.consumers.contracts.reducer import SWEPT
from fakturo.consumers.contracts.store import ObjectGap, SnapshotEnd

_SWEEP = """
WITH missing AS (
    SELECT record_id FROM contracts.record
     WHERE entity = $1 AND partition = $2 AND org IS NOT DISTINCT FROM $3::text AND committed_ms < $4
       AND (snapshot IS NULL OR snapshot < $5 OR snapshot > $5)
       AND NOT field_values @> '{"$deleted": true}' AND NOT field_values @> '{"$swept": true}'
     ORDER BY record_id FOR UPDATE
), swept AS (
    UPDATE contracts.record r SET field_values = r.field_values || jsonb_build_object($6::text, true),
           field_versions = r.field_versions || jsonb_build_object($6::text, $4::bigint),
           recorded_at = greatest(r.recorded_at, $8), committed_ms = $4
      FROM missing m WHERE r.entity = $1 AND r.record_id = m.record_id RETURNING r.record_id
), facts AS (
    INSERT INTO contracts.field_version (entity, record_id, field, value, effective_at, recorded_at, watermark_at,
                                         event_id)
    SELECT $1, record_id, $6, 'true'::jsonb, $7, $8, $9, $10 FROM swept ORDER BY record_id
)
INSERT INTO contracts.changed (role, record_id, watermark_at)
SELECT role, record_id, $9 FROM swept CROSS JOIN unnest($11::text[]) AS role ORDER BY 1, 2
"""

_MEND = """
UPDATE contracts.object_gap SET mended_at = $4
 WHERE entity = $1 AND partition = $2 AND org IS NOT DISTINCT FROM $3::text AND committed_at <= $5 AND mended_at IS NULL
"""


async def sweep(driver: asyncpg.Connection, end: SnapshotEnd, roles: Sequence[str]) -> None:
    """Mark what the reading did not find, make it due in `roles`, and close the object's gaps that came before it."""
    await driver.execute(
        _SWEEP,
        end.entity,
        end.partition,
        end.org,
        end.began_ms,
        end.snapshot,
        SWEPT,
        end.began_at,
        end.recorded_at,
        end.watermark_at,
        end.event_id,
        list(roles),
    )
    await driver.execute(_MEND, end.entity, end.partition, end.org, end.recorded_at, end.began_at)


async def keep_gaps(driver: asyncpg.Connection, gaps: Sequence[ObjectGap]) -> None:
    """Keep that something of a whole object was not told."""
    await driver.executemany(
        "INSERT INTO contracts.object_gap (entity, event_id, change_type, record_id, org, partition, committed_at,"
        " recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        [
            (gap.entity, gap.event_id, gap.change_type, gap.record_id, gap.org, gap.partition, gap.committed_at,
             gap.recorded_at)
            for gap in gaps
        ],
    )  # fmt: skip
