"""A stream that runs against the fake bus and a publisher that keeps what it is given; its pauses are short."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fakturo.producers.salesforce.position import StreamPosition, decode_position
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.resync_requests import decode_request
from fakturo.producers.salesforce.stream import Pauses, Stream
from fakturo.producers.salesforce.stream_session import Tempo
from tests.producers.salesforce.fake_bus import FakeBus, FakeOrg, serving

QUICK = Pauses(first=0.01, most=0.05, slow_down=0.02, administrator=0.05)


@dataclass
class FakePublisher:
    """Takes transactions; `gate` holds them back while it is not set."""

    transactions: list[tuple[list[Outgoing], StreamPosition]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, records: Any, position: bytes) -> None:
        await self.gate.wait()
        self.transactions.append((list(records), decode_position(position)))

    @property
    def records(self) -> list[Outgoing]:
        return [record for records, _ in self.transactions for record in records]

    def faxes(self) -> list[str]:
        changes = [json.loads(one.value) for one in self.records if one.topic == "sf.cdc.Account"]
        return [change["values"]["Fax"] for change in changes if change["values"]]

    def requests(self) -> list[Any]:
        return [decode_request(one.value) for one in self.records if one.topic == "sf.resync"]

    @property
    def position(self) -> StreamPosition:
        return self.transactions[-1][1]


@dataclass
class Running:
    bus: FakeBus
    org: FakeOrg
    publisher: FakePublisher
    stream: Stream
    progress: StreamProgress
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    bus: FakeBus,
    position: StreamPosition | None = None,
    *,
    tempo: Tempo | None = None,
    publisher: FakePublisher | None = None,
    org_setting: Callable[[FakeOrg], None] = lambda org: None,
    **settings: Any,
) -> AsyncIterator[Running]:
    async with serving(bus) as target:
        org, progress = FakeOrg(target, **settings), StreamProgress()
        org_setting(org)
        if publisher is None:
            publisher = FakePublisher()
            publisher.gate.set()
        stream = Stream(
            org,  # type: ignore[arg-type]
            publisher,  # type: ignore[arg-type]
            progress,
            position,
            partitions=2,
            entities=("Account", "Order"),
            tempo=tempo,
            pauses=QUICK,
        )
        task = asyncio.create_task(stream.run())
        try:
            yield Running(bus, org, publisher, stream, progress, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def at(number: int) -> StreamPosition:
    return StreamPosition(replay_id=base64.b64encode(number.to_bytes(8, "big")).decode(), at_ms=0)


def filled(*faxes: str) -> FakeBus:
    bus = FakeBus()
    for fax in faxes:
        bus.add_fax(fax)
    return bus
