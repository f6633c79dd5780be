"""The bridge's stream on the sandbox's bus: seeded trouble of every kind, and nothing told is lost or told twice."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from fakturo.cli.sandbox.pubsub.errors import STATUS
from fakturo.cli.sandbox.running import RunningSandbox, run_sandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.producers.salesforce.position import StreamPosition, decode_position
from fakturo.producers.salesforce.progress import StreamProgress
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.resync_requests import decode_request
from fakturo.producers.salesforce.stream import Pauses, Stream
from tests.cli.sandbox.bus_world import Decoded, logged

CODES = [
    code for code in STATUS if code.startswith(("service.", "subscription.", "schema.")) and "replayid" not in code
]
QUICK = Pauses(first=0.01, most=0.05, slow_down=0.02, administrator=0.05)


@dataclass
class Topics:
    """What a transactional publisher would have committed: records and position together, or neither."""

    chance: random.Random
    records: list[Outgoing] = field(default_factory=list)
    position: StreamPosition | None = None

    async def publish(self, records: Sequence[Outgoing], position: bytes) -> None:
        await asyncio.sleep(self.chance.choice((0, 0, 0.002)))
        self.records += records
        self.position = decode_position(position)

    def changes(self) -> list[dict[str, Any]]:
        return [json.loads(one.value) for one in self.records if one.topic.startswith("sf.cdc.")]

    def requests(self) -> list[Any]:
        return [decode_request(one.value) for one in self.records if one.topic == "sf.resync"]


def settings_of(sandbox: RunningSandbox, **more: Any) -> SalesforceSettings:
    told = sandbox.told()
    return SalesforceSettings(
        login_url=sandbox.rest_url,
        client_id=str(told["client_id"]),
        client_secret=SecretStr(str(told["client_secret"])),
        pubsub_target=sandbox.pubsub_target,
        **more,
    )


async def stream_for(sandbox: RunningSandbox, topics: Topics, stop: asyncio.Event, **more: Any) -> None:
    """Run the bridge's stream from the position that was committed last, until told to die."""
    org = Org(settings_of(sandbox, **more))
    await org.open()
    try:
        entities = ("Account", "OrderItem")
        stream = Stream(
            *(org, topics, StreamProgress(), topics.position),  # type: ignore[arg-type]
            partitions=4,
            entities=entities,
            pauses=QUICK,
        )
        running, dying = asyncio.create_task(stream.run()), asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait((running, dying), return_when=asyncio.FIRST_COMPLETED)
        for task in (running, dying):
            task.cancel()
        await asyncio.gather(running, dying, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await org.close()


async def until_quiet(sandbox: RunningSandbox, topics: Topics, expected: int) -> None:
    async with asyncio.timeout(20):
        while len(topics.changes()) < expected:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


def write(sandbox: RunningSandbox, chance: random.Random) -> None:
    org = sandbox.org
    with org.transaction(client="sales") as writing:
        for _ in range(chance.choice((1, 1, 2, 5))):
            rows = [row["Id"] for row in org.tables["Account"].live()]
            act = chance.choice(("insert", "update", "update", "update", "delete"))
            if act == "insert" or len(rows) < 3:
                writing.insert("Account", {"Name": "A", "AnnualRevenue": chance.randrange(1000)})
            elif act == "update":
                values = {"Fax": chance.choice((None, "1", "2")), "BillingCity": chance.choice((None, "Bern"))}
                for record_id in chance.sample(rows, 3):
                    writing.update("Account", record_id, values)
            else:
                writing.delete("Account", chance.choice(rows))


def trouble(sandbox: RunningSandbox, chance: random.Random, number: int) -> None:
    fault: dict[str, Any] = chance.choice(
        (
            *({}, {}, {}),
            *({"duplicate": 2}, {"gap": {"Account": 1}}, {"overflow": {"Account": 1}}, {"unavailable": 1}),
            *({"bus_error": {chance.choice(CODES): 1}}, {"bus_error": {chance.choice(CODES): 1}}),
            *({"expired_token": True}, {"disconnect": True}, {"merge": number % 2 == 0}, {"enriched": number % 3 == 0}),
            {"schema_change": {"object": "Account", "field": f"Extra{number}__c", "type": "string", "length": 9}},
        )
    )
    sandbox.org.faults.apply(fault)


def told_once(events: list[Decoded]) -> Counter[tuple[str, str]]:
    """Every (EventUuid, record id) that the bus told, a repeat counted once."""
    return Counter({(event.uuid, record_id) for event in events for record_id in event.record_ids})


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_bridge_tells_everything_once_whatever_the_bus_does(seed: int) -> None:
    chance = random.Random(seed)
    topics = Topics(chance)
    async with run_sandbox(plain=True, seed=seed) as sandbox:
        sandbox.org.faults.apply({"keepalive_seconds": 0.05})
        bus = sandbox.bus.bus
        stop = asyncio.Event()
        bridge = asyncio.create_task(stream_for(sandbox, topics, stop))
        while topics.position is None:  # the first sign of life gives the first position
            await asyncio.sleep(0.02)
        for number in range(120):
            trouble(sandbox, chance, number)
            write(sandbox, chance)
            if chance.random() < 0.06:
                stop.set()
                await bridge
                stop = asyncio.Event()
                bridge = asyncio.create_task(stream_for(sandbox, topics, stop))
            await asyncio.sleep(chance.choice((0, 0, 0.005)))
        sandbox.org.faults.clear()
        expected = told_once(logged(bus))
        await until_quiet(sandbox, topics, sum(expected.values()))
        stop.set()
        await bridge
        published = Counter((one["eventId"], one["recordId"]) for one in topics.changes())
        assert published == expected
        gaps = {(event.uuid, event.kind) for event in logged(bus) if event.kind.startswith("GAP_")}
        asked = {one.request_id for one in topics.requests() if one.reason in {"gap", "overflow"}}
        assert asked == {uuid for uuid, _ in gaps}
        overflown = {one.request_id for one in topics.requests() if one.record_ids is None and one.reason == "overflow"}
        assert overflown == {uuid for uuid, kind in gaps if kind == "GAP_OVERFLOW"}


@pytest.mark.parametrize("lose", [{"stream_reset": True}, {"stream_off": True}], ids=["reset", "outage"])
async def test_a_lost_position_has_everything_read_again_once_and_the_stream_goes_on(lose: dict[str, Any]) -> None:
    topics = Topics(random.Random(0))
    async with run_sandbox(plain=True) as sandbox:
        org = sandbox.org
        org.faults.apply({"keepalive_seconds": 0.05})
        stop = asyncio.Event()
        bridge = asyncio.create_task(stream_for(sandbox, topics, stop))
        while topics.position is None:
            await asyncio.sleep(0.02)
        with org.transaction() as writing:
            record_id = writing.insert("Account", {"Name": "before"})
        await until_quiet(sandbox, topics, 1)
        org.faults.apply(lose)
        with org.transaction() as writing:
            writing.update("Account", record_id, {"Fax": "in the dark"})
        await asyncio.sleep(0.2)
        org.faults.apply({"stream_off": False})
        async with asyncio.timeout(10):
            while len([one for one in topics.requests() if one.reason == "position_lost"]) < 2:
                await asyncio.sleep(0.02)
        with org.transaction() as writing:
            writing.update("Account", record_id, {"Fax": "after"})
        async with asyncio.timeout(10):
            while topics.changes()[-1]["values"].get("Fax") != "after":
                await asyncio.sleep(0.02)
        lost = [one.entity for one in topics.requests() if one.reason == "position_lost"]
        assert sorted(lost) == ["Account", "OrderItem"]
        stop.set()
        await bridge
