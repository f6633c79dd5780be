"""One transaction of an agent: its effects, its outbox rows, its dead letters and parked records, all or nothing.

Place     processor opens it -> agent's `handle`, `advance` or `flush` uses it -> processor commits.
Hot path  `tx.driver` is asyncpg's own connection inside the same transaction (unnest, COPY); `tx.sql` is SQLAlchemy's.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from fakturo.consumers.runtime.records import Headers, Record
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import (
    DEAD_LETTER_AGENT_HEADER,
    DEAD_LETTER_HEADER_PREFIX,
    DEAD_LETTER_REASON_HEADER,
    DeadLetterReason,
)
from fakturo.schemas.envelope import Event
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import Topic

CONTENT_TYPE = ("content-type", b"application/cloudevents+json")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A record to be published: destination, bytes and headers (sequence and position are stamped by the relay)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that goes to the dead letters, and why."""

    record: Record
    reason: DeadLetterReason
    message: str


@dataclass(slots=True)
class Transaction:
    """The transaction that a call of an agent runs in.

    `outcomes` counts events for the metrics, after the commit: applied, duplicate, late, parked, dead_lettered.
    `committed` is called after the commit, once: what an agent's own metrics count. A `flush` that knows when there
    will be more to publish, though nothing comes, says so in `flush_again_seconds`.
    """

    agent: str
    sql: AsyncConnection
    driver: asyncpg.Connection
    partition_count: int
    outbox: list[OutboxRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    committed: list[Callable[[], object]] = field(default_factory=list)
    flush_again_seconds: float | None = None

    def emit(self, topic: Topic, event: Event[Any], *, account: str, key: str | None = None) -> None:
        """Publish `event` on `topic`, in the partition of `account`, with `key` (default: the account)."""
        partition = partition_for(account, self.partition_count)
        headers = (CONTENT_TYPE, ("traceparent", traceparent_of(event)))
        row = OutboxRow(topic.name, partition, (key or account).encode(), encode(event), headers)
        self.outbox.append(row)

    def emit_record(
        self,
        topic: Topic,
        key: str,
        value: bytes,
        headers: tuple[tuple[str, bytes | None], ...] = (),
        *,
        partition: int | None = None,
    ) -> None:
        """Publish a record that is no CloudEvent on `topic`, in `partition`, by default that of `key`."""
        if partition is None:
            partition = partition_for(key, self.partition_count)
        self.outbox.append(OutboxRow(topic.name, partition, key.encode(), value, headers))

    def tell_committed(self) -> None:
        """Call what waits for the commit; the runtime does, once it has happened."""
        for call in self.committed:
            call()

    def count(self, topic: str, outcome: str, number: int = 1) -> None:
        """Count `number` events of `topic` with `outcome`."""
        self.outcomes[topic, outcome] += number

    def reject(self, record: Record, reason: DeadLetterReason, message: str) -> None:
        """Dead-letter `record`: bytes and headers unchanged to `<topic>.dlq`, a row for `fakturo dlq`, no identity."""
        self.rejections.append(Rejection(record, reason, message))
        headers = (
            *record.headers,
            (DEAD_LETTER_HEADER_PREFIX + "topic", record.topic.encode()),
            (DEAD_LETTER_HEADER_PREFIX + "partition", str(record.partition).encode()),
            (DEAD_LETTER_HEADER_PREFIX + "offset", str(record.offset).encode()),
            (DEAD_LETTER_HEADER_PREFIX + "group", self.agent.encode()),
            (DEAD_LETTER_HEADER_PREFIX + "message", message.encode("utf-8", "backslashreplace")),
            (DEAD_LETTER_REASON_HEADER, reason.encode()),
            (DEAD_LETTER_AGENT_HEADER, self.agent.encode()),
        )
        self.outbox.append(OutboxRow(f"{record.topic}.dlq", record.partition, record.key, record.value, headers))
        self.count(record.topic, "dead_lettered")

    async def lock_reference_to_park(self, references: Sequence[str]) -> None:
        """Take a shared lock on each reference: who brings one waits until we have parked (or found it after all).

        After it, look the references up again, in a new statement, before parking.
        """
        await self.driver.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended($1 || '/' || reference, 0)) "
            "FROM (SELECT DISTINCT reference FROM unnest($2::text[]) reference ORDER BY 1) sorted",
            self.agent,
            list(references),
        )

    async def claim_references(self, references: Sequence[str]) -> None:
        """Take the exclusive lock on each reference, before it is inserted and `release_parked` is called."""
        await self.driver.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || reference, 0)) "
            "FROM (SELECT DISTINCT reference FROM unnest($2::text[]) reference ORDER BY 1) sorted",
            self.agent,
            list(references),
        )

    async def park(self, items: Sequence[tuple[Record, str, str]]) -> None:
        """Keep records whose reference is missing: (record, reference, sentence that says what is missing)."""
        if not items:
            return
        await self.driver.executemany(
            'INSERT INTO runtime.parked (agent, reference, message, topic, partition, "offset", key, value, headers, '
            "recorded_at, watermark_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
            "ON CONFLICT DO NOTHING",
            [
                (
                    self.agent,
                    reference,
                    message,
                    record.topic,
                    record.partition,
                    record.offset,
                    record.key,
                    record.value,
                    encode_headers(record.headers),
                    record.recorded_at,
                    record.watermark_at,
                )
                for record, reference, message in items
            ],
        )
        for record, _, _ in items:
            self.count(record.topic, "parked")

    async def release_parked(
        self, references: Sequence[str], limit: int = 10_000, after: Record | None = None
    ) -> list[Record]:
        """Take out and return the parked records that wait for one of `references`, in the order they arrived.

        Only those behind `after`: who parks a part again asks for the next one so, and does not get that part again.
        """
        place = (after.topic, after.partition, after.offset) if after is not None else ("", -1, -1)
        rows = await self.driver.fetch(
            "DELETE FROM runtime.parked WHERE agent = $1 AND id IN (SELECT id FROM runtime.parked WHERE agent = $1 "
            'AND reference = ANY($2::text[]) AND (topic, partition, "offset") > ($4, $5, $6) '
            'ORDER BY topic, partition, "offset" LIMIT $3) RETURNING topic, partition, '
            '"offset", key, value, headers, recorded_at, watermark_at',
            self.agent,
            list(references),
            limit,
            *place,
        )
        records = [_parked_record(row) for row in rows]
        return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))

    async def take_parked_too_long(self, before: datetime, limit: int = 500) -> list[tuple[Record, str]]:
        """Take out and return (record, sentence) of what was parked while time stood before `before`."""
        rows = await self.driver.fetch(
            "DELETE FROM runtime.parked WHERE id IN (SELECT id FROM runtime.parked WHERE agent = $1 "
            'AND coalesce(watermark_at, recorded_at) < $2 ORDER BY topic, partition, "offset" LIMIT $3) '
            'RETURNING topic, partition, "offset", key, value, headers, recorded_at, watermark_at, message',
            self.agent,
            before,
            limit,
        )
        taken = [(_parked_record(row), str(row["message"])) for row in rows]
        return sorted(taken, key=lambda pair: (pair[0].topic, pair[0].partition, pair[0].offset))


def traceparent_of(event: Event[Any]) -> bytes:
    """Return the trace that `event` belongs to: its cause's where it names one, else one that begins with it.

    A trace of its own derives from (source, id), so that a rerun gives the same bytes. Not sampled: nobody recorded it.
    Source: W3C Trace Context, section "traceparent header".
    """
    if event.traceparent:
        return event.traceparent.encode()
    digest = blake2b(f"{event.source}\n{event.id}".encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-00".encode()


def encode_headers(headers: Headers) -> bytes:
    """Return headers as JSON of [name, text or null] pairs; latin-1 text holds any byte."""
    return encode([[name, None if value is None else value.decode("latin-1")] for name, value in headers])


def decode_headers(stored: bytes) -> tuple[tuple[str, bytes | None], ...]:
    """Return what `encode_headers` stored."""
    pairs = msgspec.json.decode(stored, type=list[tuple[str, str | None]])
    return tuple((name, None if text is None else text.encode("latin-1")) for name, text in pairs)


def _parked_record(row: asyncpg.Record) -> Record:
    return Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        value=row["value"],
        headers=decode_headers(row["headers"]),
        recorded_at=row["recorded_at"],
        watermark_at=row["watermark_at"],
    )
