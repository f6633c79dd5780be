"""How many change events a second the bridge carries: the sandbox's bus holds them all when the first is counted.

Place     salesforce.py -> [this] -> a `fakturo agent salesforce` that has its position and its schema already.
Figures   from the first to the last published record by the broker's clock; CPU and peak memory of the process by
          /proc. Every record id must come once, else there are no figures.
"""

import asyncio
import time
from collections import Counter
from typing import Any

from aiokafka import ConsumerRecord

from fakturo.cli.bench.machine import cpu_seconds, peak_rss_mb
from fakturo.cli.bench.sandbox_org import BenchOrg
from fakturo.cli.bench.topic_reading import Ends, TopicReader, grown, reading
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.sync_records import NOBODY
from fakturo.schemas.topics import SF_ORDER_ITEM

ENTITY = "OrderItem"
VALUES = {"Quantity": 12, "UnitPrice": 49.9, "EndDate": "2027-12-31", "Description": "seats of the northern branch"}
WARM_EVENTS = 500
SECONDS_MAX = 900.0
LOOK_SECONDS = 0.1


async def measure_bridge(settings: Settings, org: BenchOrg, pid: int, event_count: int) -> dict[str, Any]:
    """Fill the bus with `event_count` events; return what the process `pid` made of them."""
    async with reading(settings, SF_ORDER_ITEM.name) as topic:
        await _records(topic, await _carried(topic, org, WARM_EVENTS), WARM_EVENTS)
        cpu_started = cpu_seconds(pid)
        starts = await _carried(topic, org, event_count)
        cpu_used = cpu_seconds(pid) - cpu_started
        records = await _records(topic, starts, event_count)
    times = [record.timestamp for record in records]
    ids = Counter(record.key for record in records)
    if len(ids) != event_count or max(ids.values()) != 1:
        raise RuntimeError(f"{event_count} events became {len(times)} records of {len(ids)} different ids")
    return {
        "events": event_count,
        "seconds": max(max(times) - min(times), 1) / 1000,
        "cpu_seconds": cpu_used,
        "peak_rss_mb": peak_rss_mb(pid),
    }


async def _records(topic: TopicReader, starts: Ends, count: int) -> list[ConsumerRecord]:
    """Return the `count` records after `starts` that tell of a record: neither marks of transactions, nor of the end
    of the whole reading with which a bridge begins."""
    parts = topic.read_until(count, starts, SECONDS_MAX, is_wanted=lambda record: record.key != NOBODY.encode())
    return [record async for part in parts for record in part]


async def _carried(topic: TopicReader, org: BenchOrg, count: int) -> Ends:
    """Fill the bus and wait, looking only at the ends of the topic, until it stands still; return where it began."""
    starts = ends = await topic.ends()
    await asyncio.to_thread(org.tell_events, ENTITY, VALUES, count)
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        before, ends = ends, await topic.ends()
        if ends == before and grown(starts, ends) >= count:
            return starts
        if time.monotonic() > deadline:
            raise TimeoutError(f"the bridge has published {grown(starts, ends)} of {count} in {SECONDS_MAX:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
