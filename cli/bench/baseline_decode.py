"""Baseline: only decode the change events that the sandbox's bus holds: fastavro and the bitmaps. No Kafka, no records.

Place     `fakturo bench salesforce` starts this as a process of its own and reads the JSON line that it prints.
Fair      the same events, schema and bitmap code as the bridge's; they are fetched from the bus before the clock runs.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from typing import Any

import fastavro

from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import load_salesforce_settings
from fakturo.producers.salesforce.decoding import WriterSchema
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.subscriber import BusClient
from fakturo.schemas.salesforce.bitmaps import decode_bitmaps

CREDIT = 100
BITMAPS = ("changedFields", "nulledFields", "diffFields")


async def fetch(event_count: int) -> tuple[WriterSchema, list[bytes]]:
    """Return the schema and the payloads of the newest `event_count` OrderItem events of the bus.

    The bus must say soon that it has no more (a short keep-alive).
    """
    org = Org(load_salesforce_settings(channel="/data/OrderItemChangeEvent"))
    client = BusClient(org.settings, org)
    try:
        await org.open()
        await client.open()
        payloads: list[bytes] = []
        schema_id = ""
        async for events in _told(client):
            payloads += [one.event.payload for one in events]
            schema_id = events[-1].event.schema_id
        return await client.schema(schema_id), payloads[-event_count:]
    finally:
        await client.close()
        await org.close()


async def _told(client: BusClient) -> AsyncIterator[Sequence[Any]]:
    """Yield what the bus holds, from the earliest to the newest."""
    name = client.channel_name
    call = await client.subscribe(pb.FetchRequest(topic_name=name, replay_preset=pb.EARLIEST, num_requested=CREDIT))
    while events := (await call.read()).events:
        yield events
        await call.write(pb.FetchRequest(topic_name=name, num_requested=len(events)))
    call.cancel()


def decode_all(schema: WriterSchema, payloads: list[bytes]) -> dict[str, float]:
    """Decode every payload and its bitmaps; return events, seconds and CPU seconds."""
    parsed, layout = schema.parsed, schema.layout
    started, cpu_started = time.perf_counter(), time.process_time()
    for payload in payloads:
        body: Any = fastavro.schemaless_reader(BytesIO(payload), parsed, None)
        for name in BITMAPS:
            decode_bitmaps(body["ChangeEventHeader"][name], layout)
    return {
        "events": len(payloads),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(decode_all(*asyncio.run(fetch(int(sys.argv[1]))))) + "\n")
