"""Baseline: the same handler under a stock Faust agent, as Faust's guide shows it: an event at a time, or `take(1000)`.

Place     `fakturo bench usage` starts this as a process of its own and reads the JSON line that it prints.
Fair      The same `UsageAgent.handle`, tables, database and topic; Faust's own consumer, acknowledgements and commits,
          its fastest documented settings (uvloop, raw values, no web server). What is left out is what stock Faust
          does not have: cursor, outbox, sequence checks.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import faust

from fakturo.consumers.runtime.database import Database
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.topics import USAGE

RECORDED_AT = datetime(2013, 1, 1, tzinfo=UTC)


class Measured:
    """Hands batches to the handler, each in a transaction of its own, and stops the app after enough events."""

    def __init__(self, settings: Settings, event_count: int) -> None:
        self.settings = settings
        self.event_count = event_count
        self.database = Database(settings.database_url)
        self.agent = UsageAgent(settings)
        self.seen = 0
        self.started = self.cpu_started = 0.0
        self.done = asyncio.Event()

    async def handle(self, values: list[bytes]) -> None:
        """Process the raw values of one batch."""
        if not self.seen:
            self.started, self.cpu_started = time.perf_counter(), time.process_time()
        offset = self.seen
        batch = [
            Record(USAGE.name, 0, offset + index, None, value, (), RECORDED_AT) for index, value in enumerate(values)
        ]
        async with self.database.transaction() as (sql, driver):
            tx = Transaction(self.agent.name, sql, driver, self.settings.partitions)
            await self.agent.handle(batch, tx)
        self.seen += len(values)
        if self.seen >= self.event_count:
            self.done.set()

    def result(self) -> dict[str, float]:
        """Return events, seconds and CPU seconds since the first event."""
        return {
            "events": self.seen,
            "seconds": time.perf_counter() - self.started,
            "cpu_seconds": time.process_time() - self.cpu_started,
        }


def build_app(settings: Settings, measured: Measured, take: int) -> faust.App:
    """Return a stock app with one agent over the usage topic; `take` 1 is an event at a time."""
    app = faust.App(
        f"bench-stock-faust-{take}-{time.time_ns()}",
        broker=f"kafka://{settings.kafka}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
    )
    topic = app.topic(settings.topic_prefix + USAGE.name, value_type=bytes, value_serializer="raw")

    @app.agent(topic, name="bench")
    async def process(stream: Any) -> None:
        if take == 1:
            async for value in stream:
                await measured.handle([value])
        else:
            async for values in stream.take(take, within=0.1):
                await measured.handle(list(values))

    return app


async def measure(event_count: int, take: int) -> dict[str, float]:
    """Run the app until `event_count` events were handled; return the figures."""
    settings = load_settings()
    measured = Measured(settings, event_count)
    app = build_app(settings, measured, take)
    async with app:
        await measured.done.wait()
        result = measured.result()
    await measured.database.close()
    return result


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    sys.stdout.write(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2])))) + "\n")
    sys.stdout.flush()
