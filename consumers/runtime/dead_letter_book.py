"""The dead letters as a person handles them: list, show, replay, discard.

Place     `fakturo dlq` -> [this] -> runtime.dead_letter; a replay goes through runtime.outbox and the relay.
Replay    one transaction marks the letter and puts the record, bytes and headers as received, into the outbox, so it
          is published exactly once, in its old partition. Into a topic of ours it goes as its owner's, whose relay is
          the only writer and stamps the sequence anew. A dead letter claimed no identity, so a mended cause is enough.
Foreign   topics that other people's connectors write are never written by us: a letter from there goes to `sf.retry`,
          which crm_feed reads beside them, with the topic's name in a header.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg

from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.records import Headers
from fakturo.consumers.runtime.transaction import decode_headers, encode_headers
from fakturo.schemas.dead_letters import (
    DEAD_LETTER_AGENT_HEADER,
    DEAD_LETTER_HEADER_PREFIX,
    DEAD_LETTER_REASON_HEADER,
    DeadLetterReason,
)
from fakturo.schemas.topics import ORIGIN_HEADER, SEQUENCE_HEADER, SF_RETRY, TOPICS

RETRY_PARTITION = 0
"""What people put back are few, and one partition keeps the order in which they did."""
OURS = (DEAD_LETTER_REASON_HEADER, DEAD_LETTER_AGENT_HEADER, SEQUENCE_HEADER)


class Status(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class UnknownLetter(RuntimeFault):
    """There is no open dead letter of this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record that could not be processed, where it came from and why."""

    id: int
    agent: str
    topic: str
    partition: int
    offset: int
    reason: DeadLetterReason
    message: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    recorded_at: datetime
    dead_lettered_at: datetime
    status: Status


_COLUMNS = (
    'id, agent, topic, partition, "offset", reason, message, key, value, headers, recorded_at, dead_lettered_at, status'
)


async def list_letters(
    connection: asyncpg.Connection,
    *,
    agent: str | None = None,
    reason: DeadLetterReason | None = None,
    status: Status | None = Status.OPEN,
    limit: int = 100,
) -> list[DeadLetter]:
    """Return the newest dead letters first, filtered by what is given."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM runtime.dead_letter WHERE ($1::text IS NULL OR agent = $1) "  # noqa: S608 - constants
        "AND ($2::text IS NULL OR reason = $2) AND ($3::text IS NULL OR status = $3) ORDER BY id DESC LIMIT $4",
        agent,
        reason,
        status,
        limit,
    )
    return [_letter(row) for row in rows]


async def count_letters(connection: asyncpg.Connection) -> dict[tuple[str, str, DeadLetterReason], int]:
    """Return the number of open dead letters by (agent, topic, reason)."""
    rows = await connection.fetch(
        "SELECT agent, topic, reason, count(*) AS number FROM runtime.dead_letter WHERE status = 'open' "
        "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return {(row["agent"], row["topic"], DeadLetterReason(row["reason"])): row["number"] for row in rows}


async def show_letter(connection: asyncpg.Connection, letter_id: int) -> DeadLetter:
    """Return one dead letter whatever its status.

    Raises:
        UnknownLetter: there is none of this number.
    """
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM runtime.dead_letter WHERE id = $1",  # noqa: S608 - constants
        letter_id,
    )
    if row is None:
        raise UnknownLetter(f"there is no dead letter {letter_id}")
    return _letter(row)


async def replay_letters(
    connection: asyncpg.Connection, letter_ids: Sequence[int], *, value: bytes | None = None
) -> list[DeadLetter]:
    """Put the open letters among `letter_ids` back on their topics, oldest first; all of them or none.

    `value` is a mended body that takes the place of the one received.

    Raises:
        UnknownLetter: one of them does not exist or is not open.
    """
    async with connection.transaction():
        letters = await _close(connection, letter_ids, Status.REPLAYED)
        for letter in letters:
            topic = TOPICS.get(letter.topic, SF_RETRY)
            headers = _as_received(letter.headers)
            if letter.topic not in TOPICS:
                headers = [*headers, (ORIGIN_HEADER, letter.topic.encode())]
            await connection.execute(
                "INSERT INTO runtime.outbox (agent, topic, partition, key, value, headers) "
                "VALUES ($1, $2, $3, $4, $5, $6)",
                topic.owner or letter.agent,
                topic.name,
                letter.partition if letter.topic in TOPICS else RETRY_PARTITION,
                letter.key,
                letter.value if value is None else value,
                encode_headers(headers),
            )
    return letters


async def discard_letters(connection: asyncpg.Connection, letter_ids: Sequence[int]) -> list[DeadLetter]:
    """Mark the open letters among `letter_ids` as discarded; they stay in the book.

    Raises:
        UnknownLetter: one of them does not exist or is not open.
    """
    async with connection.transaction():
        return await _close(connection, letter_ids, Status.DISCARDED)


async def _close(connection: asyncpg.Connection, letter_ids: Sequence[int], status: Status) -> list[DeadLetter]:
    wanted = sorted(set(letter_ids))
    rows = await connection.fetch(
        f"UPDATE runtime.dead_letter SET status = $2 WHERE id = ANY($1::bigint[]) AND status = 'open' "  # noqa: S608
        f"RETURNING {_COLUMNS}",
        wanted,
        status,
    )
    letters = sorted((_letter(row) for row in rows), key=lambda letter: letter.id)
    absent = sorted(set(wanted) - {letter.id for letter in letters})
    if absent:
        raise UnknownLetter(f"no open dead letter {', '.join(map(str, absent))}")
    return letters


def _as_received(headers: Headers) -> Headers:
    return [
        (name, value) for name, value in headers if name not in OURS and not name.startswith(DEAD_LETTER_HEADER_PREFIX)
    ]


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        agent=row["agent"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        reason=DeadLetterReason(row["reason"]),
        message=row["message"],
        key=row["key"],
        value=row["value"],
        headers=decode_headers(row["headers"]),
        recorded_at=row["recorded_at"],
        dead_lettered_at=row["dead_lettered_at"],
        status=Status(row["status"]),
    )
