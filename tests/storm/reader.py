"""A `read_committed` reader of all that our agents published, as an accounting system is one: what it sees, how often.

Place     Kafka -> [this] -> test_storm.py. It knows nothing of the product but topic names and the sequence header.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

SEQUENCE = "fakturo-sequence"
INVOICES = "billing.invoices"
TICK = "fakturo.clock.advanced.v1"


@dataclass(slots=True)
class Seen:
    """What stands on the topics: records, repeats and holes by sentence, and the invoices' documents by event id."""

    record_count: int = 0
    faults: list[str] = field(default_factory=list)
    documents: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


async def read_all(bootstrap: str, topics: tuple[str, ...], partitions: int, keep: tuple[str, ...]) -> Seen:
    """Read every partition of `topics` to its end; note each repeated event and each break of a sequence.

    `keep`: the topics whose events are kept whole (ticks apart), by id.
    """
    seen = Seen()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1_048_576,
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        identities: set[tuple[str, int, str, str]] = set()
        last = dict.fromkeys(places, 0)
        waiting = set(places)
        while waiting:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    last[place] = _check_sequence(seen, place, dict(record.headers), last[place])
                    _check_identity(seen, identities, place, record.value, keep)
            waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return seen


def _check_sequence(seen: Seen, place: TopicPartition, headers: dict[str, bytes], last: int) -> int:
    sequence = int(headers[SEQUENCE])
    if sequence != last + 1:
        seen.faults.append(f"{place.topic}-{place.partition}: event {sequence} follows on {last}")
    return sequence


def _check_identity(
    seen: Seen, identities: set[tuple[str, int, str, str]], place: TopicPartition, value: bytes, keep: tuple[str, ...]
) -> None:
    event = msgspec.json.decode(value)
    is_tick = event["type"] == TICK
    # A tick goes to every partition, so its identity is within one.
    identity = (place.topic, place.partition if is_tick else -1, event["source"], event["id"])
    if identity in identities:
        seen.faults.append(f"{place.topic}: event {event['id']} of {event['source']} is there twice")
    identities.add(identity)
    seen.record_count += 1
    if is_tick:
        return
    seen.counts[place.topic] += 1
    if place.topic in keep:
        seen.documents.setdefault(place.topic, {})[event["id"]] = event
