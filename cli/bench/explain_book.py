"""A book for `fakturo bench explain`: an account that was billed for a month, among many events of others.

Place     bench/explain -> [this] -> the usage and invoicing agents' handlers; segments of others, copied in.
Others    one batch of `BATCH_EVENTS` events makes the segments that a worker makes of it; they are stored again and
          again, as those of other batches, until there are as many events as were asked for, spread over a year. So the
          tables are as large, and an account's segments as many, as that many events would leave.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import asyncpg

from fakturo.cli.bench.synthetic_contracts import synthetic_rows
from fakturo.cli.bench.usage_events import synthetic_account, synthetic_event
from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.outbox import write_out
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.partitions import ensure_partitions
from fakturo.consumers.usage.segment_store import SegmentNumbers
from fakturo.consumers.usage.segments import (
    Bucket,
    PackedEvent,
    bucket_bits,
    bucket_number,
    first_day,
    month_number,
    pack,
)
from fakturo.schemas.codec import decode_envelope, decode_event
from fakturo.schemas.topics import CONTRACTS, RATED, USAGE

YEAR = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13)]
BILLED_FROM, BILLED_AT = YEAR[2], YEAR[3]
BATCH_EVENTS = 10_000
OWN_EVENTS = 2_000
OWN_BATCH = 100
COPIES_AHEAD = 2_000
"""How many segments are copied in at a time."""
_COLUMNS = ("month", "segment_id", "bucket_bits", "bucket", "event_count", "late_count", "min_at", "max_at", "content")


async def bill_a_month(database: Database, settings: Settings) -> str:
    """Sign a contract, use something in March, let it be billed; return the id of the line."""
    usage, invoicing = UsageAgent(settings), InvoicingAgent(settings)
    rows = list(synthetic_rows(1, 1, start_on=date(2026, 3, 1)))
    contracts = [
        Record(CONTRACTS.name, 0, n, row.key, row.value, row.headers, BILLED_FROM) for n, row in enumerate(rows)
    ]
    await _handle(database, usage, contracts)
    await _handle(database, invoicing, contracts)
    for start in range(0, OWN_EVENTS, OWN_BATCH):
        await _handle(database, usage, [_own(number) for number in range(start, start + OWN_BATCH)])
    stated = await _tick(database, usage, BILLED_AT)
    finals = [
        Record(RATED.name, 0, number, row.key, row.value, row.headers, BILLED_AT, BILLED_FROM)
        for number, row in enumerate(stated)
        if row.topic == RATED.name and decode_event(row.value, row.headers).data.final
    ]
    await _handle(database, invoicing, finals)
    await _tick(database, invoicing, BILLED_AT + timedelta(days=1))
    async with database.transaction() as (_, driver):
        line: str = await driver.fetchval("SELECT line_id FROM invoicing.invoice_line")
    return line


async def store_others(database: Database, events: int) -> int:
    """Store `events` events of other accounts, spread over the year; return in how many segments."""
    numbers, stored = SegmentNumbers(), 0
    batches_a_month = max(events // BATCH_EVENTS // len(YEAR), 1)
    for month_at in YEAR:
        contents = _contents(month_at)
        async with database.transaction() as (_, driver):
            await ensure_partitions(driver, {month_number(month_at)})
        rows = _copies(month_at, contents, batches_a_month)
        while part := list(islice(rows, COPIES_AHEAD)):
            async with database.transaction() as (_, driver):
                ids = await numbers.take(driver, [bucket for bucket, *_ in part])
                await _copy_in(driver, part, ids)
            stored += len(part)
    async with database.transaction() as (_, driver):
        await driver.execute("ANALYZE usage.segment")
    return stored


def _contents(month_at: datetime) -> list[tuple[Bucket, int, bytes]]:
    """Return the segments of one batch of the month: bucket, events, content."""
    bits, groups = bucket_bits(BATCH_EVENTS), dict[Bucket, list[PackedEvent]]()
    for number in range(BATCH_EVENTS):
        account = synthetic_account(number, "O")
        bucket = Bucket(month_number(month_at), bits, bucket_number(account, bits))
        groups.setdefault(bucket, []).append(_packed(number, account, month_at))
    return [(bucket, len(found), pack(found)) for bucket, found in sorted(groups.items())]


def _packed(number: int, account: str, month_at: datetime) -> PackedEvent:
    at = month_at + timedelta(seconds=number)
    event = decode_envelope(synthetic_event(number, account, int(at.timestamp() * 1000)))
    return PackedEvent(
        account_id=account,
        type=event.type,
        at=at,
        source=event.source,
        id=event.id,
        data=event.data,
        recorded_at=at,
        partition=0,
        offset=number,
        late=False,
    )


Copy = tuple[Bucket, int, bytes, datetime, datetime]
"""A segment to be stored: bucket, events, content, and between which times its events are."""


def _copies(month_at: datetime, contents: Sequence[tuple[Bucket, int, bytes]], batches: int) -> Iterator[Copy]:
    step = timedelta(days=28) / batches
    for batch in range(batches):
        start_at = month_at + batch * step
        for bucket, count, content in contents:
            yield bucket, count, content, start_at, start_at + step


async def _copy_in(driver: asyncpg.Connection, part: Sequence[Copy], ids: Sequence[int]) -> None:
    await driver.copy_records_to_table(
        "segment",
        schema_name="usage",
        columns=_COLUMNS,
        records=[
            (first_day(bucket.month), number, bucket.bits, bucket.number, count, 0, min_at, max_at, content)
            for number, (bucket, count, content, min_at, max_at) in zip(ids, part, strict=True)
        ],
    )


def _own(number: int) -> Record:
    at = BILLED_FROM + timedelta(seconds=number * 1_300)
    account = synthetic_account(0)
    value = synthetic_event(number, account, int(at.timestamp() * 1000))
    return Record(USAGE.name, 0, number, account.encode(), value, (), at)


async def _handle(database: Database, agent: UsageAgent | InvoicingAgent, records: list[Record]) -> None:
    async with database.transaction() as (sql, driver):
        tx = Transaction(agent.name, sql, driver, 1)
        await agent.handle(records, tx)
        await write_out(tx)


async def _tick(database: Database, agent: UsageAgent | InvoicingAgent, to: datetime) -> list[OutboxRow]:
    more, told = True, list[OutboxRow]()
    while more:
        async with database.transaction() as (sql, driver):
            tx = Transaction(agent.name, sql, driver, 1)
            more = await agent.advance(to, tx)
            await write_out(tx)
        told += tx.outbox
    return told
