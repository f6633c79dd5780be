"""A toy agent for the runtime's tests: adds up what it reads, parks, and obeys commands inside the values.

Values    `ok:<name>` is stored; `bad` raises BadEvent; `nul` sends a NUL to Postgres; `bug` raises ZeroDivisionError;
          `needs:<reference>:<name>` is parked until `brings:<reference>` has come.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from fakturo.consumers.runtime.errors import BadEvent
from fakturo.consumers.runtime.records import Record, Slice
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.clock import ClockAdvanced
from fakturo.schemas.topics import CLOCK_ADVANCED, LEDGER

START = datetime(2013, 1, 1, tzinfo=UTC)
TABLES = """
CREATE SCHEMA IF NOT EXISTS toy;
CREATE TABLE IF NOT EXISTS toy.effect (name text, topic text, partition int, "offset" bigint, watermark_at timestamptz);
CREATE TABLE IF NOT EXISTS toy.reference (name text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS toy.step (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, kind text);
"""


async def make_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()


class Toy:
    """Is called `ledger` by default, so that it reads a foreign topic (payments) and one of ours (invoices)."""

    def __init__(self, name: str = "ledger", parts: int = 1) -> None:
        self.name = name
        self.parts = parts
        self.complaint = "it says bad"
        self.left: dict[datetime, int] = {}
        self.calls: list[list[bytes | None]] = []
        self.before_park: asyncio.Event | None = None
        self.at_park: asyncio.Event | None = None

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        self.calls.append([record.value for record in batch])
        for index, record in enumerate(batch):
            value = (record.value or b"").decode()
            if value.startswith("needs:"):
                await self._need(record, value, tx)
            elif value.startswith("brings:"):
                await self._bring(value.removeprefix("brings:"), tx)
            else:
                await self._plain(index, record, value, tx)

    async def _plain(self, index: int, record: Record, value: str, tx: Transaction) -> None:
        if value == "bad":
            raise BadEvent(index, DeadLetterReason.VALUE_MISSING, self.complaint)
        if value == "bug":
            raise ZeroDivisionError("a bug")
        await self._store(record, "nul\x00" if value == "nul" else value.removeprefix("ok:"), tx)

    async def _store(self, record: Record, name: str, tx: Transaction) -> None:
        await tx.driver.execute(
            "INSERT INTO toy.effect VALUES ($1, $2, $3, $4, $5)",
            name,
            record.topic,
            record.partition,
            record.offset,
            record.watermark_at,
        )
        event = event_of(agent=self.name, event_type="toy", id=name, subject=None, time=START, data=name)
        tx.emit(LEDGER, event, account=name)

    async def _need(self, record: Record, value: str, tx: Transaction) -> None:
        _, reference, name = value.split(":")
        if await self._is_there(reference, tx):
            await self._store(record, name, tx)
            return
        if self.at_park is not None and self.before_park is not None:
            self.at_park.set()
            await self.before_park.wait()
        await tx.lock_reference_to_park([reference])
        if await self._is_there(reference, tx):
            await self._store(record, name, tx)
        else:
            await tx.park([(record, reference, f"{reference} is not known")])

    async def _bring(self, reference: str, tx: Transaction) -> None:
        await tx.claim_references([reference])
        await tx.driver.execute("INSERT INTO toy.reference VALUES ($1) ON CONFLICT DO NOTHING", reference)
        for record in await tx.release_parked([reference]):
            await self._store(record, (record.value or b"").decode().split(":")[2], tx)

    async def _is_there(self, reference: str, tx: Transaction) -> bool:
        return bool(await tx.driver.fetchval("SELECT true FROM toy.reference WHERE name = $1", reference))

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        left = self.left.setdefault(to, self.parts)
        self.left[to] = left - 1
        await tx.driver.execute("INSERT INTO toy.step (at, kind) VALUES ($1, 'advance')", to)
        return left > 1

    async def flush(self, tx: Transaction) -> None:
        await tx.driver.execute("INSERT INTO toy.step (at, kind) VALUES (NULL, 'flush')")


def record_of(
    value: bytes | str,
    offset: int,
    *,
    topic: str = "billing.payments",
    partition: int = 0,
    sequence: int | None = None,
) -> Record:
    headers = () if sequence is None else (("fakturo-sequence", str(sequence).encode()),)
    body = value.encode() if isinstance(value, str) else value
    return Record(topic, partition, offset, b"k", body, headers, START)


def slice_of(
    *values: bytes | str, start: int = 0, topic: str = "billing.payments", partition: int = 0, end: int | None = None
) -> Slice:
    records = [record_of(value, start + n, topic=topic, partition=partition) for n, value in enumerate(values)]
    stop = start + len(values) if end is None else end
    return Slice(topic=topic, partition=partition, start_offset=start, end_offset=stop, records=records)


def tick_value(days: int) -> bytes:
    at = START + timedelta(days=days)
    return encode(
        event_of(
            agent="clock", event_type=CLOCK_ADVANCED, id=str(days), subject=None, time=at, data=ClockAdvanced(at=at)
        )
    )
