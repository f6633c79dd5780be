"""SQL of corrected usage: which events no longer count, and the events that do.

Place     corrected, metering, whoever rates from events -> [this] -> `usage.superseded_event`, event_store.
Current   an event counts while no correction has replaced or voided it. A replacement is stored like any other event.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import asyncpg

from fakturo.consumers.usage.event_store import Identity, StoredEvent, stored_events

_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_SUPERSEDED = """
SELECT source, id FROM usage.superseded_event
 WHERE account_id = $1 AND type = ANY($2::text[]) AND at >= $3 AND at < $4 AND known_watermark_at < $5
"""


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
