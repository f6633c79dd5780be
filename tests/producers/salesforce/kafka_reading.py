"""What a reader of committed records sees of a topic: for the tests of the bridge."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from fakturo.consumers.runtime.settings import Settings


async def committed(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """Return what a read_committed consumer sees of all partitions of `topic`, up to their ends."""
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False) as looking:
        name = settings.topic_prefix + topic
        places = [TopicPartition(name, number) for number in await _partitions(looking, name)]
        ends = await looking.end_offsets(places)
    records: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    ) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        async with asyncio.timeout(20):
            while any([await consumer.position(place) < ends[place] for place in places]):
                for found in (await consumer.getmany(timeout_ms=50)).values():
                    records.extend(found)
    return records


async def _partitions(consumer: AIOKafkaConsumer, name: str) -> list[int]:
    await consumer._client.force_metadata_update()
    consumer._client.add_topic(name)
    await consumer._client.force_metadata_update()
    return sorted(consumer.partitions_for_topic(name) or ())
