"""Writes what a transaction leaves behind for others: outbox rows, which the relay publishes, and dead letters.

Place     processor and watermark, at the end of a transaction -> [this] -> runtime.outbox, runtime.dead_letter.
"""

from fakturo.consumers.runtime.transaction import OutboxRow, Transaction, encode_headers
from fakturo.schemas.dead_letters import DEAD_LETTER_HEADER_PREFIX

_OUTBOX = """
INSERT INTO runtime.outbox (agent, topic, partition, key, value, headers)
SELECT $1, topic, partition, key, value, headers
  FROM unnest($2::text[], $3::int[], $4::bytea[], $5::bytea[], $6::bytea[])
       WITH ORDINALITY AS o(topic, partition, key, value, headers, n) ORDER BY n
"""
_DEAD_LETTERS = """
INSERT INTO runtime.dead_letter (agent, topic, partition, "offset", reason, message, key, value, headers, recorded_at)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
                         $9::bytea[], $10::timestamptz[])
ON CONFLICT (agent, topic, partition, "offset") DO NOTHING
"""


async def write_out(tx: Transaction) -> None:
    """Write the outbox rows and the dead letters of `tx`."""
    if tx.outbox:
        await _write_outbox(tx)
    if tx.rejections:
        await _write_dead_letters(tx)


async def _write_outbox(tx: Transaction) -> None:
    rows = sorted(tx.outbox, key=_rejected_offset) if tx.rejections else tx.outbox
    encoded: dict[tuple[tuple[str, bytes | None], ...], bytes] = {}
    for row in rows:
        if row.headers not in encoded:
            encoded[row.headers] = encode_headers(row.headers)
    await tx.driver.execute(
        _OUTBOX,
        tx.agent,
        [row.topic for row in rows],
        [row.partition for row in rows],
        [row.key for row in rows],
        [row.value for row in rows],
        [encoded[row.headers] for row in rows],
    )


def _rejected_offset(row: OutboxRow) -> int:
    """Return the offset of what was rejected, -1 of all else: dead letters go out in the order in which they came.

    A handler rejects for one reason after the other, so otherwise their order would depend on where a batch ended.
    """
    offset = dict(row.headers).get(DEAD_LETTER_HEADER_PREFIX + "offset")
    return -1 if offset is None else int(offset)


async def _write_dead_letters(tx: Transaction) -> None:
    found = tx.rejections
    records = [rejection.record for rejection in found]
    await tx.driver.execute(
        _DEAD_LETTERS,
        tx.agent,
        [record.topic for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [rejection.reason.value for rejection in found],
        [_storable(rejection.message) for rejection in found],
        [record.key for record in records],
        [record.value for record in records],
        [encode_headers(record.headers) for record in records],
        [record.recorded_at for record in records],
    )


def _storable(message: str) -> str:
    """Return `message` as Postgres can hold it: it may quote the very NUL or half character that made it."""
    return message.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
