"""The bridge between the sandbox org's bus and a real broker: lease, position, every fault of the stream."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.running import run_sandbox
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import end_tasks
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.producers.salesforce.bridge import Bridge
from fakturo.producers.salesforce.resync_requests import decode_request
from fakturo.producers.salesforce.stream import Pauses
from tests.producers.salesforce.kafka_reading import committed

pytestmark = pytest.mark.integration
QUICK = Pauses(first=0.05, most=0.5, slow_down=0.1, administrator=0.3)


def settings_of(sandbox: RunningSandbox, **more: Any) -> SalesforceSettings:
    return SalesforceSettings(
        login_url=sandbox.rest_url,
        client_id=sandbox.access.client_id,
        client_secret=sandbox.access.client_secret,  # type: ignore[arg-type]
        pubsub_target=sandbox.pubsub_target,
        ca_file=sandbox.ca_file,  # type: ignore[arg-type]
        **more,
    )


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with run_sandbox() as running:
        running.org.faults.apply({"keepalive_seconds": 0.3})
        yield running


@pytest.fixture
async def topics(settings: Settings) -> Settings:
    await apply_topics(settings, keep_producer_time=True)
    return settings


def insert(org: SandboxOrg, **values: Any) -> str:
    with org.transaction() as writing:
        return writing.insert("Account", {"Name": "Acme", **values})


def update(org: SandboxOrg, record_id: str, **values: Any) -> None:
    with org.transaction() as writing:
        writing.update("Account", record_id, values)


@asynccontextmanager
async def bridging(settings: Settings, salesforce: SalesforceSettings) -> AsyncIterator[Bridge]:
    bridge = Bridge(settings, salesforce, ("Account", "Order"), pauses=QUICK)
    task = asyncio.create_task(bridge.run())
    try:
        yield bridge
    finally:
        await end_tasks([task])


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def started(bridge: Bridge) -> None:
    await until(lambda: bridge.progress.passed_ms is not None)


async def changes(settings: Settings, number: int, seconds: float = 40) -> list[dict[str, Any]]:
    """Return the account changes that the stream told, once there are `number` of them; rows read again left out."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        while len(found) < number:
            await asyncio.sleep(0.1)
            told = [json.loads(record.value) for record in await committed(settings, "sf.cdc.Account")]
            found = [change for change in told if change["src"] == "pubsub"]
    return sorted(found, key=lambda change: int(change["commit"]["number"]))  # partitions have no order between them


async def requests(settings: Settings) -> list[Any]:
    return [decode_request(record.value) for record in await committed(settings, "sf.resync")]


async def test_what_the_org_commits_is_published_as_it_was_decoded(topics: Settings, sandbox: RunningSandbox) -> None:
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
        account = insert(sandbox.org, AnnualRevenue=1234, BillingStreet="1 Main", BillingCity="Berlin")
        update(sandbox.org, account, Industry="Energy", BillingCity=None)
        created, updated = await changes(topics, 2)
        ready, says = await bridge.check()
    assert (created["changeType"], created["recordId"], created["entity"]) == ("CREATE", account, "Account")
    assert created["values"]["AnnualRevenue"] == "1234"  # a currency without digits after the point, as in every org
    assert created["values"]["BillingAddress.Street"] == "1 Main"
    assert updated["values"]["Industry"] == "Energy"
    assert updated["values"]["BillingAddress.City"] is None
    assert set(updated["changed"]) | set(updated["nulled"]) >= {"Industry", "BillingAddress.City", "LastModifiedDate"}
    assert ready, says
    assert {(one.entity, one.reason) for one in await requests(topics)} == {
        ("Account", "first_start"),
        ("Order", "first_start"),
    }


async def test_a_bridge_that_is_killed_again_and_again_loses_nothing_and_publishes_nothing_twice(
    topics: Settings, sandbox: RunningSandbox
) -> None:
    accounts: list[str] = []
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
    for number in range(6):
        async with bridging(topics, settings_of(sandbox)):
            for _ in range(30):
                accounts.append(insert(sandbox.org, Fax=str(len(accounts))))
                await asyncio.sleep(0.003 * number)
        accounts += [insert(sandbox.org, Fax=str(len(accounts))) for _ in range(10)]  # while nobody listens
    async with bridging(topics, settings_of(sandbox)):
        found = await changes(topics, len(accounts), 60)
    assert Counter(one["recordId"] for one in found) == Counter(accounts)


async def test_a_second_bridge_waits_healthy_and_takes_over(topics: Settings, sandbox: RunningSandbox) -> None:
    async with bridging(topics, settings_of(sandbox)) as second_to_come:
        await started(second_to_come)
        async with bridging(topics, settings_of(sandbox)) as waiting:
            await until(lambda: waiting.health.waiting_for == "another bridge holds the lease")
            assert await waiting.check() == (True, "another bridge holds the lease")
            assert not waiting.has_lease
    async with bridging(topics, settings_of(sandbox)) as first, bridging(topics, settings_of(sandbox)) as other:
        await until(lambda: first.has_lease or other.has_lease)
        account = insert(sandbox.org)
        assert [one["recordId"] for one in await changes(topics, 1)] == [account]
        assert first.has_lease != other.has_lease


async def test_faults_of_the_stream_end_with_every_change_published_once(
    topics: Settings, sandbox: RunningSandbox
) -> None:
    org = sandbox.org
    accounts: list[str] = []
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
        for fault in (
            {"unavailable": 2},
            {"expired_token": True},
            {"duplicate": 5},
            {"schema_change": {"object": "Account", "field": "Extra__c", "type": "string", "length": 40}},
            {"idle_close_seconds": 0.5},
            {"enriched": True},
        ):
            org.faults.apply(fault)
            for _ in range(10):
                accounts.append(insert(org, Fax=str(len(accounts))))
                await asyncio.sleep(0.01)
            await changes(topics, len(accounts))
        with org.transaction() as writing:
            for account in accounts[:5]:
                writing.update("Account", account, {"Industry": "Energy"})
        found = await changes(topics, len(accounts) + 5)
        await asyncio.sleep(0.5)
        assert len(await changes(topics, 1)) == len(found)
    created = Counter(one["recordId"] for one in found if one["changeType"] == "CREATE")
    assert created == Counter(accounts)
    assert [one["recordId"] for one in found if one["values"].get("Industry") == "Energy"] != []


async def test_gaps_and_overflows_ask_to_read_again(topics: Settings, sandbox: RunningSandbox) -> None:
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
        sandbox.org.faults.apply({"gap": {"Account": 1}})
        account = insert(sandbox.org)
        await changes(topics, 1)
        sandbox.org.faults.apply({"overflow": {"Account": 1}})
        insert(sandbox.org)
        told = await changes(topics, 2)
    assert [one["changeType"] for one in told] == ["GAP_CREATE", "GAP_OVERFLOW"]
    asked = [one for one in await requests(topics) if one.reason in ("gap", "overflow")]
    assert [(one.record_ids, one.gap_ms) for one in asked] == [
        ((account,), told[0]["commit"]["ts"]),
        (None, told[1]["commit"]["ts"]),
    ]


async def test_a_reset_of_the_bus_asks_for_everything_again_and_goes_on(
    topics: Settings, sandbox: RunningSandbox
) -> None:
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
        first = insert(sandbox.org)
        await changes(topics, 1)
        sandbox.org.faults.apply({"stream_reset": True})
        async with asyncio.timeout(40):
            while not any(one.reason == "position_lost" for one in await requests(topics)):
                await asyncio.sleep(0.1)
        second = insert(sandbox.org)
        assert [one["recordId"] for one in await changes(topics, 2)] == [first, second]
        assert (await bridge.check())[0]


async def test_an_allocation_that_is_used_up_is_unready_until_there_is_more(
    topics: Settings, sandbox: RunningSandbox
) -> None:
    async with bridging(topics, settings_of(sandbox)) as bridge:
        await started(bridge)
        sandbox.org.faults.apply({"event_allocation": 0})
        account = insert(sandbox.org)
        await until(lambda: bridge.progress.stopped is not None)
        assert "subscription.limit.exceeded" in (await bridge.check())[1]
        sandbox.org.faults.apply({"event_allocation": None})
        assert [one["recordId"] for one in await changes(topics, 1)] == [account]
        assert (await bridge.check())[0]


async def test_the_same_over_plain_http_and_grpc(topics: Settings) -> None:
    async with run_sandbox(plain=True) as plain:
        plain.org.faults.apply({"keepalive_seconds": 0.3})
        async with bridging(topics, settings_of(plain)) as bridge:
            await started(bridge)
            account = insert(plain.org)
            assert [one["recordId"] for one in await changes(topics, 1)] == [account]
