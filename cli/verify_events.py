"""The stored usage events as rows again, for as long as a check lasts: a reader of its own for the check of the books.

Place     usage.segment -> [this] -> the session's `verified_event` -> verify_usage.
Format    Zstandard of a JSON array of events, each an array: account, type, time, source, id, data, recorded at,
          partition, offset, late, watermark (docs/adr/0024-hot-path.md).
Session   the check cannot write, so the table is made before it begins (connect.read_books); rows of a session's own
          table are no write.
"""

from datetime import datetime

import asyncpg
import msgspec
from zstandard import ZstdDecompressor

SESSION_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS verified_event (
    account_id text COLLATE "C", type text, at timestamptz, source text COLLATE "C", id text COLLATE "C", data jsonb,
    recorded_at timestamptz, partition integer, "offset" bigint, late boolean, watermark_at timestamptz
);
CREATE INDEX IF NOT EXISTS verified_event_account ON verified_event (account_id, type, at);
"""
SESSION = f"SET temp_buffers = '256MB'; {SESSION_TABLE}"
"""What `fakturo verify` asks of its session: in memory, events are looked up three times as fast."""

SEGMENTS_AHEAD = 50
_COLUMNS = (
    "account_id", "type", "at", "source", "id", "data", "recorded_at", "partition", "offset", "late", "watermark_at"
)  # fmt: skip


class _Event(msgspec.Struct, array_like=True, frozen=True):
    account_id: str
    type: str
    at: datetime
    source: str
    id: str
    data: msgspec.Raw
    recorded_at: datetime
    partition: int
    offset: int
    late: bool
    watermark_at: datetime | None = None


_decode = msgspec.json.Decoder(list[_Event]).decode


async def load_events(connection: asyncpg.Connection) -> None:
    """Fill the session's table with every stored event, a part at a time."""
    if await connection.fetchval("SELECT to_regclass('pg_temp.verified_event')") is None:
        await connection.execute(SESSION_TABLE)
    await connection.execute("DELETE FROM pg_temp.verified_event")
    decompress = ZstdDecompressor().decompress
    async with connection.transaction():
        async for row in connection.cursor("SELECT content FROM usage.segment", prefetch=SEGMENTS_AHEAD):
            events = [_row(event) for event in _decode(decompress(row["content"]))]
            await connection.copy_records_to_table(
                "verified_event", schema_name="pg_temp", columns=_COLUMNS, records=events
            )
    await connection.execute("ANALYZE pg_temp.verified_event")


def _row(event: _Event) -> tuple[object, ...]:
    values = msgspec.structs.astuple(event)
    return (*values[:5], bytes(event.data).decode(), *values[6:])
