"""Baseline: only read and decode the usage topic, with the same client and settings as the bulk runner. No database.

Place     `fakturo bench usage` starts this as a process of its own and reads the JSON line that it prints.
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from fakturo.consumers.runtime.settings import load_settings
from fakturo.schemas.codec import decode_envelope
from fakturo.schemas.topics import USAGE


async def read_all(event_count: int) -> dict[str, float]:
    """Read and decode `event_count` records; return events, seconds and CPU seconds."""
    settings = load_settings()
    topic = settings.topic_prefix + USAGE.name
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1_048_576,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(settings.partitions)])
        await consumer.seek_to_beginning()
        started, cpu_started, seen = time.perf_counter(), time.process_time(), 0
        while seen < event_count:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=settings.batch_records_max)
            for records in fetched.values():
                for record in records:
                    decode_envelope(record.value)
                seen += len(records)
        return {
            "events": seen,
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu_started,
        }
    finally:
        await consumer.stop()


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    sys.stdout.write(json.dumps(asyncio.run(read_all(int(sys.argv[1])))) + "\n")
