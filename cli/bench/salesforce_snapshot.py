"""An object read whole: rows a second from the request to the mark of the end, and whether memory stays flat.

Place     salesforce.py -> [this] -> `sf.resync` -> the bridge's Bulk 2.0 reader -> `sf.cdc.OrderItem`.
Memory    of the bridge's process, looked at when a tenth, half and all of the rows have come; the peak by /proc.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from fakturo.cli.bench.machine import cpu_seconds, peak_rss_mb
from fakturo.cli.bench.topic_reading import Ends, TopicReader, grown, reading
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.publisher import make_producer
from fakturo.producers.salesforce.resync_requests import ResyncRequest, request_record
from fakturo.schemas.topics import SF_ORDER_ITEM

ENTITY = "OrderItem"
VALUES = {
    "Quantity": 12,
    "UnitPrice": 49.9,
    "ServiceDate": "2026-01-01",
    "EndDate": "2027-12-31",
    "Description": "seats of the northern branch",
    "CurrencyIsoCode": "USD",
}
SHARES = (0.1, 0.5, 1.0)
SECONDS_MAX = 1800.0
LOOK_SECONDS = 0.2


async def measure_snapshot(settings: Settings, org_id: str, pid: int, row_count: int) -> dict[str, Any]:
    """Ask for the object to be read whole; return what the process `pid` made of it.

    `row_count` are the rows that lie in the org, all of which must come.
    """
    async with reading(settings, SF_ORDER_ITEM.name) as topic:
        starts = await topic.ends()
        cpu_started, asked_ms = cpu_seconds(pid), int(time.time() * 1000)
        await _ask(settings, org_id, asked_ms)
        rss = await _watch(topic, starts, pid, row_count)
        cpu_used = cpu_seconds(pid) - cpu_started
        ids: set[bytes] = set()
        last_ms = 0
        async for records in topic.read_until(row_count + settings.partitions, starts, SECONDS_MAX):
            ids.update(record.key for record in records)
            last_ms = max(last_ms, *(record.timestamp for record in records), 0)
    if len(ids) != row_count + 1:  # and the one id that all marks of the end share
        raise RuntimeError(f"{row_count} rows became records of {len(ids) - 1} different ids")
    return {
        "rows": row_count,
        "seconds": max(last_ms - asked_ms, 1) / 1000,
        "cpu_seconds": cpu_used,
        "rss_mb": rss,
        "peak_rss_mb": peak_rss_mb(pid),
    }


async def _ask(settings: Settings, org_id: str, at_ms: int) -> None:
    request = ResyncRequest(
        org=org_id,
        entity=ENTITY,
        record_ids=None,
        reason="bench",
        requested_at_ms=at_ms,
        request_id=f"bench/{at_ms}",
    )
    record = request_record(request)
    producer = make_producer(settings.kafka)
    await producer.start()
    try:
        topic = settings.topic_prefix + record.topic
        await producer.send_and_wait(topic, record.value, key=record.key, partition=record.partition)
    finally:
        await producer.stop()


async def _watch(topic: TopicReader, starts: Ends, pid: int, row_count: int) -> dict[str, float]:
    """Return the resident memory at each share of the rows, by percent."""
    found: dict[str, float] = {}
    deadline = time.monotonic() + SECONDS_MAX
    for share in SHARES:
        while grown(starts, await topic.ends()) < row_count * share:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {share:.0%} of the rows in {SECONDS_MAX:.0f} s")
            await asyncio.sleep(LOOK_SECONDS)
        found[f"{share:.0%}"] = _rss_mb(pid)
    return found


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
