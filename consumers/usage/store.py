"""The hot path's SQL: identities with raw events, totals, marks; one statement a table and batch.

Place     claiming, handler -> [this] -> Postgres schema `usage`.
Locks     the contracts lock first (account_store.py), then events, totals and marks, each sorted by its key: two
          workers wait for each other but never in a ring.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from fakturo.consumers.usage.folding import RollupColumns
from fakturo.consumers.usage.matching import Counted

_EVER = datetime(1, 1, 1, tzinfo=UTC)

Identity = tuple[str, str]
"""(`source`, `id`) of a usage event."""


async def insert_events(driver: asyncpg.Connection, rows: Sequence[Counted]) -> set[Identity]:
    """Store the events whose identity is new; return the identities that were not. `rows` are sorted by identity."""
    inserted = await driver.fetch(
        "INSERT INTO usage.event (source, id, payload_hash, account_id, type, at, data, late, recorded_at, partition, "
        '"offset", watermark_at) SELECT source, id, payload_hash, account_id, type, at, data::jsonb, late, '
        'recorded_at, partition, "offset", watermark_at FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], '
        "$5::text[], $6::timestamptz[], $7::text[], $8::bool[], $9::timestamptz[], $10::int[], $11::bigint[], "
        "$12::timestamptz[]) AS new(source, id, "
        'payload_hash, account_id, type, at, data, late, recorded_at, partition, "offset", watermark_at) '
        "ON CONFLICT DO NOTHING RETURNING source, id",
        [row.event.source for row in rows],
        [row.event.id for row in rows],
        [row.event.payload_hash for row in rows],
        [row.account_id for row in rows],
        [row.event.type for row in rows],
        [row.event.at for row in rows],
        [row.event.data_text for row in rows],
        [row.late for row in rows],
        [row.event.record.recorded_at for row in rows],
        [row.event.record.partition for row in rows],
        [row.event.record.offset for row in rows],
        [row.event.record.watermark_at for row in rows],
    )
    if len(inserted) == len(rows):
        return set()
    return {(row.event.source, row.event.id) for row in rows}.difference((row[0], row[1]) for row in inserted)


async def note_for_rating(driver: asyncpg.Connection, rows: Sequence[Counted]) -> None:
    """Note of events that were just stored that they are rated themselves."""
    await driver.execute(
        'INSERT INTO usage.event_rated (account_id, type, at, partition, "offset", source, id, watermark_at) '
        "SELECT account, type, at, partition, \"offset\", source, id, coalesce(watermark_at, '-infinity') "
        "FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[], $5::bigint[], $6::text[], $7::text[], "
        '$8::timestamptz[]) AS new(account, type, at, partition, "offset", source, id, watermark_at)',
        [row.account_id for row in rows],
        [row.event.type for row in rows],
        [row.event.at for row in rows],
        [row.event.record.partition for row in rows],
        [row.event.record.offset for row in rows],
        [row.event.source for row in rows],
        [row.event.id for row in rows],
        [row.event.record.watermark_at for row in rows],
    )


async def payload_hashes(driver: asyncpg.Connection, identities: Sequence[Identity]) -> dict[Identity, bytes]:
    """Return the payload fingerprint of each identity that is stored."""
    rows = await driver.fetch(
        "SELECT source, id, payload_hash FROM unnest($1::text[], $2::text[]) AS asked(source, id) "
        "JOIN usage.event USING (source, id)",
        [identity[0] for identity in identities],
        [identity[1] for identity in identities],
    )
    return {(row["source"], row["id"]): row["payload_hash"] for row in rows}


async def add_rollups(driver: asyncpg.Connection, columns: RollupColumns) -> None:
    """Add totals to what is there. `columns` are sorted by key; of equal times the later arrival is the last."""
    await driver.execute(
        "INSERT INTO usage.rollup AS old (account_id, meter_id, bucket_start_at, dimensions, event_count, sum_value, "
        "max_value, min_value, last_value, last_at, recorded_at) SELECT account, meter, bucket, dimensions, count, "
        "sum::numeric, max::numeric, min::numeric, last::numeric, last_at, recorded_at FROM unnest($1::text[], "
        "$2::int[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], "
        "$10::timestamptz[], $11::timestamptz[]) AS new(account, meter, bucket, dimensions, count, sum, max, min, "
        "last, last_at, recorded_at) ON CONFLICT (account_id, meter_id, bucket_start_at, dimensions) "
        "DO UPDATE SET event_count = old.event_count + excluded.event_count, "
        "sum_value = old.sum_value + excluded.sum_value, "
        "max_value = greatest(old.max_value, excluded.max_value), "
        "min_value = least(old.min_value, excluded.min_value), "
        "last_value = CASE WHEN excluded.last_at >= old.last_at THEN excluded.last_value ELSE old.last_value END, "
        "last_at = greatest(old.last_at, excluded.last_at), "
        "recorded_at = greatest(old.recorded_at, excluded.recorded_at)",
        *columns.arrays(),
    )


Mark = tuple[str, int, datetime]
"""Account, meter, and the earliest quarter of an hour whose totals changed."""

_MARK = """
INSERT INTO usage.dirty AS old (account_id, meter_id, since_at, from_at)
SELECT account_id, meter_id, clock_timestamp(), from_at
  FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS new(account_id, meter_id, from_at)
ON CONFLICT (account_id, meter_id) DO UPDATE SET since_at = coalesce(old.since_at, excluded.since_at),
    from_at = CASE WHEN old.since_at IS NULL THEN excluded.from_at ELSE least(old.from_at, excluded.from_at) END
"""


async def mark_dirty(driver: asyncpg.Connection, pairs: Sequence[tuple[str, int]]) -> None:
    """Note that totals of (account, meter) changed, nobody knows when; `pairs` are sorted."""
    await mark_changed(driver, [(account_id, meter_id, _EVER) for account_id, meter_id in pairs])


async def mark_changed(driver: asyncpg.Connection, marks: Sequence[Mark]) -> None:
    """Note that totals of (account, meter) changed from a quarter on; `marks` are sorted.

    The update is not idle: it locks the row, so a flush that takes the mark either sees these totals or waits. Who
    changes totals and does not say so leaves running statements that are wrong (running_store.py).
    """
    await driver.execute(_MARK, [one[0] for one in marks], [one[1] for one in marks], [one[2] for one in marks])
