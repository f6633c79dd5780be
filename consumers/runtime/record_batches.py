"""Record batches of one Kafka transaction, built here and not by `send`: one future a batch instead of one a record.

Place     relay_publisher and the bridge's publisher -> [this] -> an aiokafka producer with an open transaction.
Order     of each partition, as appended: its batches are sent one after the other, partitions at the same time.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from fakturo.consumers.runtime.records import Headers

Batches = dict[tuple[str, int], list[Any]]
"""(physical topic, partition) -> the batches for it, in order."""


def append_record(
    producer: AIOKafkaProducer,
    batches: Batches,
    place: tuple[str, int],
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    timestamp_ms: int | None = None,
) -> None:
    """Add a record to the last batch of `place`, or to a new one where that is full; None as time means now."""
    parts = batches.setdefault(place, [])
    record = {"timestamp": timestamp_ms, "key": key, "value": value, "headers": list(headers)}
    if parts and parts[-1].append(**record) is not None:
        return
    batch = producer.create_batch()
    batch.append(**record)
    parts.append(batch)


async def send_partition(producer: AIOKafkaProducer, topic: str, partition: int, batches: list[Any]) -> None:
    """Send the batches of one partition in order and wait until the brokers have them."""
    for batch in batches:
        batch.close()
        delivered = await producer.send_batch(batch, topic, partition=partition)
        await delivered


async def send_batches(producer: AIOKafkaProducer, batches: Batches) -> list[BaseException]:
    """Send all of `batches`, each to the end; return what went wrong, nothing where all is well."""
    sending = [send_partition(producer, topic, partition, parts) for (topic, partition), parts in batches.items()]
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
