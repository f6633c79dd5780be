"""Another Salesforce connector: contacts as CometD messages and campaigns as osodevops writes them, on its own topic.

Place     flow.py's Channel -> `sfdc.changes` (three partitions, none of our prefix) -> crm_feed -> `sf.cdc.Contact` and
          `sf.cdc.other` -> contracts, which keeps them and bills nothing by them.
Time      the messages are spread over the flights, so that crm_feed has work while it is struck.
Expected  of each record the changes that lie on the foreign topic, in their order, each once for a reader of committed
          records; and in the contracts' book the values of the last. What the driver had to send again after an outage
          lies there twice and is told twice: the same event, which contracts knows again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.simulate.flights_contracts import USER_ID
from fakturo.producers.simulate.year import YEAR_STARTS_AT
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.salesforce_ids import long_id
from fakturo.schemas.topics import SF_CONTACT, SF_OTHER
from tests.storm.flow import Channel

TOPIC = "sfdc.changes"
PARTITIONS = 3
CONTACTS, CAMPAIGNS = 150, 90
CHANGES = 8
"""Of each record: one that creates it, the others change it."""
FIRST_NUMBER = 1_660_000_000_000_000_000

Told = dict[str, list[str]]
"""Record id -> the commit numbers of its changes, in the order in which they lie."""

_BOOKED = "SELECT record_id, field_values FROM contracts.record WHERE entity = ANY($1::text[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignChange:
    """One message; `values` are the fields that it changes, as the canonical record has them."""

    entity: str
    record_id: str
    number: str
    at: datetime
    values: dict[str, str | None]
    is_first: bool


def foreign_changes(last_at: datetime) -> list[ForeignChange]:
    """Return all messages by time, from the year's first flight to `last_at`."""
    records = [("Contact", long_id(f"003NY0{number:09}")) for number in range(1, CONTACTS + 1)]
    records += [("Campaign", long_id(f"701NY0{number:09}")) for number in range(1, CAMPAIGNS + 1)]
    step = (last_at - YEAR_STARTS_AT) / (len(records) * CHANGES)
    return [
        ForeignChange(
            entity=entity,
            record_id=record_id,
            number=str(FIRST_NUMBER + round_number * len(records) + place),
            at=(YEAR_STARTS_AT + (round_number * len(records) + place) * step).replace(microsecond=0),
            values=_values(entity, place, round_number),
            is_first=round_number == 0,
        )
        for round_number in range(CHANGES)
        for place, (entity, record_id) in enumerate(records)
    ]


async def create_topic(settings: Settings) -> None:
    """Make the foreign topic, as its owner does; its records carry the times of 2013 and are kept."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, topic_configs={"retention.ms": "-1"})])
    finally:
        await admin.close()


async def tell(channel: Channel, changes: list[ForeignChange]) -> int:
    """Publish `changes` as their times may pass; return their number once the broker has all."""
    sent = [
        await channel.send(
            TOPIC,
            value,
            key=change.record_id.encode(),
            partition=partition_for(change.record_id, PARTITIONS),
            timestamp_ms=int(change.at.timestamp()) * 1000,
            headers=headers,
        )
        for change in changes
        for value, headers in (_message(change),)
    ]
    await asyncio.gather(*sent)
    return len(sent)


async def ends_of(settings: Settings) -> dict[int, int]:
    """Return the offset after the last record of each partition of the foreign topic."""
    async with _reader(settings) as (consumer, places):
        ends = await consumer.end_offsets(places[:PARTITIONS])
        return {place.partition: end for place, end in ends.items()}


async def faults_of(settings: Settings, changes: list[ForeignChange]) -> list[str]:
    """Return, as sentences, what a `read_committed` reader of `sf.cdc.*` is told otherwise than the foreign topic says.

    Of each record: the same changes in the same order, each as often as it was told.
    """
    foreign: Told = {}
    canonical: Told = {}
    async with _reader(settings) as (consumer, places):
        async for place, record in _to_the_end(consumer, places):
            if place.topic == TOPIC:
                record_id, number = _identity(record.key, record.value, dict(record.headers))
                foreign.setdefault(record_id, []).append(number)
            elif "sf-entity" in dict(record.headers):  # a tick has none
                change = decode_change(record.value)
                canonical.setdefault(change.recordId, []).append(change.commit.number or "")
    faults = [
        f"{record_id}: {canonical.get(record_id)} instead of {foreign.get(record_id)}"
        for record_id in sorted(foreign.keys() | canonical.keys())
        if canonical.get(record_id) != foreign.get(record_id)
    ]
    expected = {(change.record_id, change.number) for change in changes}
    told = {(record_id, number) for record_id, numbers in canonical.items() for number in numbers}
    return faults + [
        f"{record_id}: change {number} is lost or made up" for record_id, number in sorted(expected ^ told)
    ]


async def unbooked(connection: asyncpg.Connection, changes: list[ForeignChange]) -> list[str]:
    """Return, as sentences, which records the contracts' book does not hold as their last change left them."""
    wanted: dict[str, dict[str, str | None]] = {}
    for change in changes:
        wanted.setdefault(change.record_id, {}).update(change.values)
    rows = await connection.fetch(_BOOKED, sorted({change.entity for change in changes}))
    books = {row["record_id"]: msgspec.json.decode(row["field_values"]) for row in rows}
    return [
        f"{record_id} is not in the book as {values}"
        for record_id, values in wanted.items()
        if {name: books.get(record_id, {}).get(name) for name in values} != values
    ]


def _values(entity: str, place: int, round_number: int) -> dict[str, str | None]:
    """Return what a change says: one field each time and another every third, which the change before it empties."""
    field = "Title" if entity == "Contact" else "Status"
    other = "Email" if entity == "Contact" else "Description"
    values: dict[str, str | None] = {field: f"{field} {round_number} of {place}"}
    if round_number % 3 == 0:
        values[other] = f"{place}.{round_number}@example.com"
    if round_number % 3 == 2:
        values[other] = None
    return values


def _message(change: ForeignChange) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return value and headers of a change, as its connector writes them."""
    return _cometd(change) if change.entity == "Contact" else _osodevops(change)


def _cometd(change: ForeignChange) -> tuple[bytes, list[tuple[str, bytes]]]:
    header = {
        "entityName": change.entity,
        "recordIds": [change.record_id],
        "changeType": "CREATE" if change.is_first else "UPDATE",
        "changedFields": [] if change.is_first else list(change.values),
        "changeOrigin": "com/salesforce/api/rest/67.0;client=sales",
        "transactionKey": f"tx-{change.number}",
        "sequenceNumber": 1,
        "commitTimestamp": int(change.at.timestamp()) * 1000,
        "commitNumber": int(change.number),
        "commitUser": USER_ID,
    }
    data = {
        "schema": "I8b-dYxvxs5wOtCBr4qsew",
        "payload": {**change.values, "ChangeEventHeader": header},
        "event": {"replayId": int(change.number) - FIRST_NUMBER, "EventUuid": f"uuid-{change.number}"},
    }
    return msgspec.json.encode({"channel": f"/data/{change.entity}ChangeEvent", "data": data}), []


def _osodevops(change: ForeignChange) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return the event's fields, the unchanged ones null, and the change in headers."""
    value = {"Id": change.record_id, "Name": None, "Status": None, "Description": None, **change.values}
    headers = {
        "sf.change.type": "CREATE" if change.is_first else "UPDATE",
        "sf.entity": f'"{change.entity}"',
        "sf.commit.timestamp": str(int(change.at.timestamp()) * 1000),
        "sf.commit.number": change.number,
        "sf.transaction.key": f"tx-{change.number}",
        "sf.changed.fields": "" if change.is_first else ",".join(change.values),
        "sf.nulled.fields": ",".join(name for name, found in change.values.items() if found is None),
    }
    body = msgspec.json.encode({**value, "_EventType": "updated", "_ObjectType": change.entity})
    return body, [(name, text.encode()) for name, text in headers.items() if text]


def _identity(key: bytes, value: bytes, headers: dict[str, bytes]) -> tuple[str, str]:
    """Return record id and commit number of a message of the foreign topic."""
    if "sf.commit.number" in headers:
        return key.decode(), headers["sf.commit.number"].decode()
    header = msgspec.json.decode(value)["data"]["payload"]["ChangeEventHeader"]
    return key.decode(), str(header["commitNumber"])


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """Open a reader of committed records at the beginning of the foreign topic and of those that crm_feed writes."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        ours = (settings.topic_prefix + topic.name for topic in (SF_CONTACT, SF_OTHER))
        places += [TopicPartition(name, number) for name in ours for number in range(settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        yield consumer, places
    finally:
        await consumer.stop()


async def _to_the_end(
    consumer: AIOKafkaConsumer, places: list[TopicPartition]
) -> AsyncIterator[tuple[TopicPartition, ConsumerRecord]]:
    ends = await consumer.end_offsets(places)
    waiting = set(places)
    while waiting:
        for place, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                yield place, record
        waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
