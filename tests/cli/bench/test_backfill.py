"""Late events of closed months beside live traffic: all are counted, and live statements keep coming."""

from datetime import UTC, datetime

import asyncpg

from fakturo.cli.bench.backfill import measure
from tests.journey.journey import settings_of

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


async def test_live_statements_keep_coming_while_late_events_of_closed_months_are_absorbed(database_url: str) -> None:
    accounts, late = 40, 2_000
    figures = await measure(settings_of(database_url), late, accounts, idle_rounds=1)
    assert figures["live_statements"] > 0
    # Every account has late usage in each of three closed months: each month is stated anew.
    assert figures["revisions"] == accounts * 3
    connection = await asyncpg.connect(database_url)
    try:
        waiting = await connection.fetchval("SELECT count(*) FROM usage.late_rollup")
        counted = await connection.fetchval(
            "SELECT sum(event_count) FROM usage.rollup WHERE bucket_start_at < $1", APRIL
        )
        assert (waiting, counted) == (0, accounts * 3 + late)
    finally:
        await connection.close()
