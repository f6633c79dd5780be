"""The load of the latency step: synthetic events at an even rate, each stamped with the moment it is published.

Place     usage_latency starts this as a process of its own. It prints how many it sent and how long that
          took, and writes the moment of each event, in milliseconds, to a file of 64-bit integers.
"""

import asyncio
import json
import sys
import time
from array import array
from pathlib import Path

from fakturo.cli.bench.usage_events import UsageLine, send, synthetic_account, synthetic_event
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.producers.simulate.year import open_producer
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import USAGE

PREFIX = "L"
SLOT_SECONDS = 0.02
"""Events of one slot are published together."""
PERIOD_MS = 1_388_534_400_000
"""1 January 2014, UTC: the month that all events of this step fall into."""


async def run_load(settings: Settings, accounts: int, rate: float, seconds: float) -> "tuple[array[int], float]":
    """Publish; return each event's moment in order, and how many seconds it took."""
    topic, partitions = settings.topic_prefix + USAGE.name, settings.partitions
    places = [partition_for(synthetic_account(number, PREFIX), partitions) for number in range(accounts)]
    moments: array[int] = array("q")
    async with open_producer(settings) as producer:
        started = time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            now_ms = time.time_ns() // 1_000_000
            lines: dict[int, list[UsageLine]] = {}
            for number in range(len(moments), min(int(passed * rate), int(seconds * rate))):
                account = synthetic_account(number % accounts, PREFIX)
                line = (account, synthetic_event(number, account, PERIOD_MS + number), now_ms)
                lines.setdefault(places[number % accounts], []).append(line)
                moments.append(now_ms)
            for partition, waiting in lines.items():
                await send(producer, topic, partition, waiting)
            await asyncio.sleep(max(SLOT_SECONDS - (time.perf_counter() - started - passed), 0))
        await producer.flush()
        return moments, time.perf_counter() - started


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    told, took = asyncio.run(run_load(load_settings(), int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
    Path(sys.argv[4]).write_bytes(told.tobytes())
    sys.stdout.write(json.dumps({"events": len(told), "seconds": took}) + "\n")
