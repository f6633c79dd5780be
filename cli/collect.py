"""Reads what the agents have published, whole, as any `read_committed` consumer would see it.

Place     Kafka -> [this] -> `fakturo replay`'s files and the tests' comparisons. Clock ticks are left out.
End       the last sequence that the relay stamped in each partition says when everything has been read.
"""

import base64
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.topics import CLOCK_ADVANCED, CLOCK_KEY, OUTPUT_TOPICS, SEQUENCE_HEADER, dead_letter_topics

CLOCK = CLOCK_ADVANCED.encode()


async def collect(settings: Settings, connection: asyncpg.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return topic -> its records sorted by key and sequence: `{key, sequence, headers, value}`."""
    names = [topic.name for topic in (*OUTPUT_TOPICS, *dead_letter_topics())]
    rows = await connection.fetch("SELECT topic, partition, last_sequence FROM runtime.outbox_sequence")
    last = {(row["topic"], row["partition"]): row["last_sequence"] for row in rows if row["topic"] in names}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for topic, record in await _read(settings, last):
        if record.key not in (None, CLOCK_KEY) or record.value is None or CLOCK not in record.value:
            found[topic].append(_line(record))
    for records in found.values():
        records.sort(key=lambda line: (line["key"] or "", line["sequence"]))
    return found


async def _read(settings: Settings, last: dict[tuple[str, int], int]) -> list[tuple[str, ConsumerRecord]]:
    if not last:
        return []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1_048_576,
    )
    await consumer.start()
    try:
        prefix = settings.topic_prefix
        waiting = {TopicPartition(prefix + topic, partition): end for (topic, partition), end in last.items()}
        consumer.assign(list(waiting))
        await consumer.seek_to_beginning()
        records: list[tuple[str, ConsumerRecord]] = []
        while waiting:
            for partition, fetched in (await consumer.getmany(timeout_ms=1000)).items():
                records += [(partition.topic.removeprefix(prefix), record) for record in fetched]
                if _sequence(fetched[-1]) >= waiting.get(partition, 0):
                    waiting.pop(partition, None)
        return records
    finally:
        await consumer.stop()


def _sequence(record: ConsumerRecord) -> int:
    return int(dict(record.headers)[SEQUENCE_HEADER])


def _line(record: ConsumerRecord) -> dict[str, Any]:
    headers = {
        name: value.decode("utf-8", "replace") if value is not None else None
        for name, value in record.headers
        if name != SEQUENCE_HEADER
    }
    return {
        "key": record.key.decode("utf-8", "replace") if record.key is not None else None,
        "sequence": _sequence(record),
        "headers": headers,
        "value": _value(record.value),
    }


def _value(value: bytes | None) -> object:
    if value is None:
        return None
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"base64": base64.b64encode(value).decode()}
    return msgspec.Raw(value)
