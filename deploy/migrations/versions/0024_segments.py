"""The usage agent's raw events as compressed segments, and identities as fingerprints.

What is stored as rows is converted, a part at a time; the format is that of consumers/usage/segments.py at this
revision, written out here so that it stays what it was. Back again is refused where there are events.

Revision ID: 0024
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any
from zlib import crc32

from alembic import op
from sqlalchemy import Connection, text
from zstandard import ZstdCompressor

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

UP = """
-- The running number of segments; each worker takes as many as the increment at a time.
CREATE SEQUENCE usage.segment_number INCREMENT 1024;

-- Raw events of one month (UTC) and one bucket of accounts: Zstandard of a JSON array of events. A partition a month;
-- the first batch with an event of a new month makes it (segment_store.py). The id holds the month above 40 bits.
CREATE TABLE usage.segment (
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    segment_id bigint NOT NULL,
    bucket_bits integer NOT NULL,
    bucket integer NOT NULL,
    event_count integer NOT NULL CHECK (event_count > 0),
    late_count integer NOT NULL,
    min_at timestamptz NOT NULL, max_at timestamptz NOT NULL,
    content bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (month, segment_id)
) PARTITION BY RANGE (month);
CREATE INDEX segment_bucket ON usage.segment (bucket_bits, bucket, min_at);
CREATE INDEX segment_small ON usage.segment (month, segment_id) WHERE event_count < 64;

-- Which segments took the place of one that was too small to be kept by itself.
CREATE TABLE usage.segment_merged (
    segment_id bigint PRIMARY KEY,
    merged_into bigint[] NOT NULL
);

-- Every event that was ever taken: 64 bits of (source, id), and the segment that holds the whole.
CREATE TABLE usage.identity (
    fingerprint bigint PRIMARY KEY,
    segment_id bigint NOT NULL
);

-- Identities whose 64 bits are those of another one.
CREATE TABLE usage.identity_collision (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    segment_id bigint NOT NULL,
    PRIMARY KEY (source, id)
);

-- When the first service of the account began (NULL: not known); no usage may be before it and the account.
ALTER TABLE usage.account ADD COLUMN service_start_on date;

-- Statements that rate events one by one read their data here, not in the segments.
ALTER TABLE usage.event_rated ADD COLUMN data text;
UPDATE usage.event_rated r SET data = e.data::text FROM usage.event e WHERE e.source = r.source AND e.id = r.id;
ALTER TABLE usage.event_rated ALTER COLUMN data SET NOT NULL;
"""

DOWN = """
ALTER TABLE usage.event_rated DROP COLUMN data;
ALTER TABLE usage.account DROP COLUMN service_start_on;
DROP TABLE usage.segment, usage.segment_merged, usage.identity, usage.identity_collision;
DROP SEQUENCE usage.segment_number;
CREATE TABLE usage.event (
    source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    payload_hash bytea NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    late boolean NOT NULL,
    recorded_at timestamptz NOT NULL,
    partition integer NOT NULL, "offset" bigint NOT NULL,
    watermark_at timestamptz,
    PRIMARY KEY (source, id)
) PARTITION BY HASH (source, id);
"""

PARTITION = """
CREATE TABLE usage.event_{number} PARTITION OF usage.event FOR VALUES WITH (MODULUS 8, REMAINDER {number});
CREATE INDEX event_{number}_late ON usage.event_{number} (account_id, at) WHERE late;
CREATE INDEX event_{number}_at ON usage.event_{number} USING brin (at) WITH (autosummarize = on);
"""

EVENTS_AT_A_TIME = 20_000
INCREMENT = 1024
NUMBER_BITS = 40

READ = """
DECLARE stored NO SCROLL CURSOR FOR
SELECT account_id, type, at, source, id, data::text AS data, recorded_at, partition, "offset", late,
       watermark_at
  FROM usage.event ORDER BY date_trunc('month', at), account_id, at
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)
    connection = op.get_bind()
    connection.execute(text(READ))
    while rows := connection.execute(text(f"FETCH {EVENTS_AT_A_TIME} FROM stored")).all():
        for month in sorted({_month(row.at) for row in rows}):
            _convert(connection, month, [row for row in rows if _month(row.at) == month])
    connection.execute(text("CLOSE stored"))
    op.execute("DROP TABLE usage.event")


def downgrade() -> None:
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM usage.segment)")).scalar():
        raise RuntimeError(
            "usage events are stored as segments, which the revision before 0024 cannot read: restore the backup that "
            "was taken before the upgrade"
        )
    for statement in (DOWN + "".join(PARTITION.format(number=number) for number in range(8))).split(";\n"):
        if statement.strip():
            op.execute(statement)


def _month(at: datetime) -> int:
    in_utc = at.astimezone(UTC)
    return in_utc.year * 12 + in_utc.month - 1


def _first_day(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def _convert(connection: Connection, month: int, rows: Sequence[Any]) -> None:
    """Store the events of `rows`, all of one month."""
    _ensure(connection, month)
    bits = max(len(rows) // 256, 1).bit_length() - 1
    buckets: dict[int, list[Any]] = {}
    for row in rows:
        buckets.setdefault(crc32(row.account_id.encode()) >> (32 - bits), []).append(row)
    for bucket, found in sorted(buckets.items()):
        number = connection.execute(text("SELECT nextval('usage.segment_number')")).scalar_one()
        _write(connection, month << NUMBER_BITS | number, (month, bits, bucket), found)


def _write(connection: Connection, segment_id: int, place: tuple[int, int, int], rows: list[Any]) -> None:
    month, bits, bucket = place
    rows.sort(key=lambda row: (row.account_id, row.at, row.partition, row.offset))
    connection.execute(
        text(
            "INSERT INTO usage.segment VALUES (:month, :segment_id, :bits, :bucket, :event_count, :late_count, "
            ":min_at, :max_at, :content)"
        ),
        {
            "month": _first_day(month),
            "segment_id": segment_id,
            "bits": bits,
            "bucket": bucket,
            "event_count": len(rows),
            "late_count": sum(row.late for row in rows),
            "min_at": min(row.at for row in rows),
            "max_at": max(row.at for row in rows),
            "content": ZstdCompressor(level=1).compress(_json(rows)),
        },
    )
    _claim(connection, rows, segment_id)


def _json(rows: Sequence[Any]) -> bytes:
    return b"[" + b",".join(_event(row) for row in rows) + b"]"


def _event(row: Any) -> bytes:
    before = [row.account_id, row.type, row.at.astimezone(UTC).isoformat(), row.source, row.id]
    watermark = row.watermark_at.astimezone(UTC).isoformat() if row.watermark_at else None
    after = [row.recorded_at.astimezone(UTC).isoformat(), row.partition, row.offset, row.late, watermark]
    return f"{json.dumps(before)[:-1]},{row.data},{json.dumps(after)[1:]}".encode()


def _claim(connection: Connection, rows: Sequence[Any], segment_id: int) -> None:
    """Store the identities of a segment; one whose fingerprint is another's goes by its full identity."""
    free: dict[int, Any] = {}
    others = [row for row in rows if free.setdefault(_fingerprint(row), row) is not row]
    inserted = connection.execute(
        text(
            "INSERT INTO usage.identity SELECT fingerprint, :segment_id FROM unnest(CAST(:fingerprints AS bigint[])) "
            "fingerprint ON CONFLICT DO NOTHING RETURNING fingerprint"
        ),
        {"fingerprints": list(free), "segment_id": segment_id},
    )
    for fingerprint in inserted.scalars():
        del free[fingerprint]
    for row in (*free.values(), *others):
        connection.execute(
            text("INSERT INTO usage.identity_collision VALUES (:source, :id, :segment_id)"),
            {"source": row.source, "id": row.id, "segment_id": segment_id},
        )


def _fingerprint(row: Any) -> int:
    digest = blake2b(f"{len(row.source)}\n{row.source}{row.id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _ensure(connection: Connection, month: int) -> None:
    start, end = _first_day(month), _first_day(month + 1)
    name = f"usage.segment_{start:%Y_%m}"
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF usage.segment FOR VALUES FROM ('{start}') TO ('{end}')")
    )
