"""SQL of corrected usage: which events no longer count, the events that do, and the corrections themselves.

Place     corrected, chains, exchanging, metering, whoever rates from events -> [this] -> `usage.correction`,
          `usage.superseded_event`, event_store.
Current   an event counts while no correction has replaced or voided it. A replacement is stored like any other event.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from fakturo.consumers.usage.corrected_reading import TO_APPLY, Correction
from fakturo.consumers.usage.event_store import Identity, StoredEvent, stored_events

_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_SUPERSEDED = """
SELECT source, id FROM usage.superseded_event
 WHERE account_id = $1 AND type = ANY($2::text[]) AND at >= $3 AND at < $4 AND known_watermark_at < $5
"""
_PARKED = """
SELECT DISTINCT reference FROM runtime.parked WHERE agent = $1 AND reference = $2
UNION ALL
(SELECT DISTINCT reference FROM runtime.parked WHERE agent = $1 AND reference LIKE 'usage event %' LIMIT $3)
"""
_ROOTS = """
SELECT replacement_source, replacement_id, root_source, root_id FROM usage.correction
 WHERE (replacement_source, replacement_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_STANDING = """
SELECT DISTINCT ON (root_source, root_id) root_source, root_id, at, source, id, replacement_source, replacement_id
  FROM usage.correction WHERE (root_source, root_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
 ORDER BY root_source, root_id, at DESC, source DESC, id DESC
"""
_SAVE = """
INSERT INTO usage.correction (source, id, payload_hash, at, corrects_source, corrects_id, root_source, root_id,
    replacement_source, replacement_id, known_watermark_at, recorded_at, partition, "offset")
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::int[], $14::bigint[])
"""

Standing = tuple[datetime, Identity, Identity | None]
"""The correction that stands: its time, its identity, its replacement (None: it voids)."""


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A correction that was bound to `root`; ticks after `known_at` know it."""

    correction: Correction
    root: Identity
    known_at: datetime


async def superseded(
    driver: asyncpg.Connection,
    account_id: str,
    types: Sequence[str],
    from_at: datetime,
    until_at: datetime,
    known_before: datetime | None = None,
) -> set[Identity]:
    """Return which of the account's events of `types` in [from_at, until_at) no longer counted at `known_before`."""
    rows = await driver.fetch(_SUPERSEDED, account_id, list(types), from_at, until_at, known_before or _END_OF_TIME)
    return {(row["source"], row["id"]) for row in rows}


async def current_events(
    driver: asyncpg.Connection,
    account_id: str,
    types: Sequence[str],
    from_at: datetime,
    until_at: datetime,
    known_before: datetime | None = None,
) -> AsyncIterator[StoredEvent]:
    """Yield the account's events of `types` in [from_at, until_at) that count, in order.

    `known_before` (None: now) asks as of the tick at that instant: what had come, and what was corrected, by then.
    """
    gone = await superseded(driver, account_id, types, from_at, until_at, known_before)
    async for event in stored_events(driver, account_id, types, from_at, until_at):
        if known_before is not None and event.watermark_at is not None and event.watermark_at >= known_before:
            continue
        if (event.source, event.id) not in gone:
            yield event


async def parked_references(driver: asyncpg.Connection, agent: str, awaited_max: int | None) -> list[str]:
    """Return what corrections wait for; of events that have not come up to `awaited_max` (None: all)."""
    rows = await driver.fetch(_PARKED, agent, TO_APPLY, awaited_max)
    return [row["reference"] for row in rows]


async def payload_hashes(driver: asyncpg.Connection, identities: Sequence[Identity]) -> dict[Identity, bytes]:
    """Return the payload fingerprint of each correction that is stored."""
    rows = await driver.fetch(
        "SELECT source, id, payload_hash FROM usage.correction "
        "WHERE (source, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        *_columns(identities),
    )
    return {(row["source"], row["id"]): row["payload_hash"] for row in rows}


async def roots_of(driver: asyncpg.Connection, replacements: Sequence[Identity]) -> dict[Identity, Identity]:
    """Return the root of each of `replacements` that is one."""
    rows = await driver.fetch(_ROOTS, *_columns(replacements))
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def standing_of(driver: asyncpg.Connection, roots: Sequence[Identity]) -> dict[Identity, Standing]:
    """Return the correction that stands of each of `roots` that was corrected."""
    rows = await driver.fetch(_STANDING, *_columns(roots))
    return {
        (row["root_source"], row["root_id"]): (
            row["at"],
            (row["source"], row["id"]),
            None if row["replacement_id"] is None else (row["replacement_source"], row["replacement_id"]),
        )
        for row in rows
    }


async def save_corrections(driver: asyncpg.Connection, rows: Sequence[CorrectionRow]) -> None:
    """Keep corrections that took effect."""
    found = [(row.correction, row) for row in sorted(rows, key=lambda row: row.correction.identity)]
    await driver.execute(
        _SAVE,
        [one.identity[0] for one, _ in found],
        [one.identity[1] for one, _ in found],
        [one.payload_hash for one, _ in found],
        [one.at for one, _ in found],
        [one.corrects[0] for one, _ in found],
        [one.corrects[1] for one, _ in found],
        [row.root[0] for _, row in found],
        [row.root[1] for _, row in found],
        [one.replacement.source if one.replacement else None for one, _ in found],
        [one.replacement.id if one.replacement else None for one, _ in found],
        [row.known_at for _, row in found],
        [one.record.recorded_at for one, _ in found],
        [one.record.partition for one, _ in found],
        [one.record.offset for one, _ in found],
    )


async def save_superseded(driver: asyncpg.Connection, events: Sequence[tuple[StoredEvent, datetime]]) -> None:
    """Note of events that they no longer count, each with the watermark after which ticks know it."""
    found = sorted(events, key=lambda one: (one[0].source, one[0].id))
    await driver.execute(
        "INSERT INTO usage.superseded_event (source, id, account_id, type, at, known_watermark_at) SELECT * FROM "
        "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])",
        [event.source for event, _ in found],
        [event.id for event, _ in found],
        [event.account_id for event, _ in found],
        [event.type for event, _ in found],
        [event.at for event, _ in found],
        [known_at for _, known_at in found],
    )


def _columns(identities: Sequence[Identity]) -> tuple[list[str], list[str]]:
    return [one[0] for one in identities], [one[1] for one in identities]
