"""The resync worker on a real broker and the sandbox org: answers, its place, kills, refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.producers.salesforce import resync as resync_module
from fakturo.producers.salesforce import snapshot as snapshot_module
from fakturo.producers.salesforce.publishing import PositionedPublisher
from fakturo.producers.salesforce.resync import ResyncWorker
from fakturo.producers.salesforce.resync_requests import ResyncRequest, request_record
from fakturo.producers.salesforce.snapshot import Reading, SnapshotReader, Step
from fakturo.schemas.events.change_data import ChangeRecord, decode_change
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import SF_ACCOUNT
from tests.producers.salesforce.kafka_reading import committed

ID = "fakturo.salesforce.test.resync"


@pytest.fixture
async def topics(settings: Settings, sandbox: RunningSandbox) -> Settings:
    await apply_topics(settings)
    sandbox.org.clock.real()
    sandbox.org.clock.advance(60)
    return settings


def worker(settings: Settings, org: Org, *, passed_ms: int | None = None) -> ResyncWorker:
    return ResyncWorker(settings, org, PositionedPublisher(settings, ID), passed_ms=lambda: passed_ms)


@asynccontextmanager
async def running(one: ResyncWorker) -> AsyncIterator[ResyncWorker]:
    task = asyncio.create_task(one.run())
    try:
        yield one
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(settings: Settings, org: Org, name: str, *record_ids: str, entity: str = "Account") -> None:
    request = ResyncRequest(
        org=org.org_id,
        entity=entity,
        record_ids=record_ids or None,
        reason="asked",
        requested_at_ms=1,
        request_id=name,
    )
    producer = make_producer(settings.kafka)
    await producer.start()
    record = request_record(request)
    await producer.send_and_wait(
        settings.topic_prefix + record.topic, record.value, key=record.key, partition=record.partition
    )
    await stop_producer(producer, seconds=5)


async def changes(settings: Settings) -> list[ChangeRecord]:
    return [decode_change(record.value) for record in await committed(settings, SF_ACCOUNT.name)]


async def changes_when(settings: Settings, count: int, *, kind: str = "SYNC") -> list[ChangeRecord]:
    async with asyncio.timeout(60):
        while True:
            found = await changes(settings)
            if sum(one.changeType == kind for one in found) >= count:
                return found
            await asyncio.sleep(0.2)


def accounts(sandbox: RunningSandbox, count: int) -> list[str]:
    sandbox.org.clock.advance(-30)
    with sandbox.org.transaction() as writing:
        ids = [writing.insert("Account", {"Name": f"A{number}"}) for number in range(count)]
    sandbox.org.clock.advance(30)
    return ids


async def test_records_are_answered_to_their_partitions(topics: Settings, sandbox: RunningSandbox, org: Org) -> None:
    ids = accounts(sandbox, 3)
    await ask(topics, org, "one", *ids)
    async with running(worker(topics, org)):
        await changes_when(topics, 3)
    records = await committed(topics, SF_ACCOUNT.name)
    assert {record.key.decode(): record.partition for record in records} == {
        record_id: partition_for(record_id, topics.partitions) for record_id in ids
    }


async def test_records_do_not_wait_for_a_snapshot_and_nothing_is_answered_twice(
    topics: Settings, sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "PAGE_ROWS", 5)
    ids = accounts(sandbox, 40)
    await ask(topics, org, "whole")
    await ask(topics, org, "record", ids[0])
    for _ in range(6):  # killed again and again, wherever it happens to be
        async with running(worker(topics, org)):
            await asyncio.sleep(0.35)
    async with running(worker(topics, org)):
        found = await changes_when(topics, topics.partitions, kind="SNAPSHOT_END")
    assert len({(one.recordId, one.eventId) for one in found}) == len(found)
    rows = [one for one in found if one.changeType == "SYNC" and one.snapshot]
    assert sorted(one.recordId for one in rows) == sorted(ids)
    assert [one.eventId for one in found if str(one.eventId).endswith("/record")] != []
    again = worker(topics, org)
    async with running(again):
        await asyncio.sleep(1.5)
    assert len(await changes(topics)) == len(found)


async def test_a_job_that_is_gone_after_a_kill_means_another_snapshot_and_one_end(
    topics: Settings, sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "PAGE_ROWS", 2)
    ids = accounts(sandbox, 6)
    await ask(topics, org, "whole")
    first = worker(topics, org)
    step = SnapshotReader.step

    async def slowly(self: SnapshotReader, reading: Reading) -> Step | None:
        await asyncio.sleep(0.4)
        return await step(self, reading)

    with monkeypatch.context() as patched:
        patched.setattr(SnapshotReader, "step", slowly)
        async with running(first):
            await changes_when(topics, 2)
    position = first._reading
    assert position is not None
    monkeypatch.setattr(resync_module, "ASIDE_SECONDS", (0.05, 1.0))
    await org.call(
        lambda client: client.session.delete(f"{client.bulk2_url}query/{position.job_id}", headers=client.headers)
    )
    async with running(worker(topics, org)):
        found = await changes_when(topics, topics.partitions, kind="SNAPSHOT_END")
    ends = {one.snapshot for one in found if one.changeType == "SNAPSHOT_END"}
    assert len(ends) == 1
    assert ends != {position.snapshot}
    assert {one.recordId for one in found if one.snapshot in ends and one.changeType == "SYNC"} == set(ids)


async def test_an_object_that_is_not_there_is_given_up_and_the_others_go_on(
    topics: Settings, sandbox: RunningSandbox, org: Org
) -> None:
    ids = accounts(sandbox, 1)
    await ask(topics, org, "nothing", entity="Nothing__c")
    await ask(topics, org, "one", *ids)
    one = worker(topics, org)
    async with running(one):
        await changes_when(topics, 1)
        async with asyncio.timeout(10):
            while one.is_busy_with("Nothing__c"):
                await asyncio.sleep(0.1)


async def test_an_org_that_is_away_for_a_while_is_asked_again_and_nothing_is_lost(
    topics: Settings, sandbox: RunningSandbox, org: Org
) -> None:
    ids = accounts(sandbox, 2)
    await ask(topics, org, "whole")
    sandbox.org.faults.unavailable = 3
    one = worker(topics, org)

    async def until_it_works() -> None:
        from fakturo.consumers.runtime.salesforce.errors import OrgUnavailable

        while True:
            try:
                await one.run()
            except OrgUnavailable:
                await asyncio.sleep(0.1)

    task = asyncio.create_task(until_it_works())
    try:
        found = await changes_when(topics, topics.partitions, kind="SNAPSHOT_END")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert {change.recordId for change in found if change.changeType == "SYNC"} == set(ids)


async def test_tokens_that_expire_in_mid_snapshot_are_renewed(
    topics: Settings, sandbox: RunningSandbox, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "PAGE_ROWS", 2)
    ids = accounts(sandbox, 8)
    await ask(topics, org, "whole")
    async with running(worker(topics, org)):
        await changes_when(topics, 2)
        sandbox.org.sessions.expire_all()
        found = await changes_when(topics, topics.partitions, kind="SNAPSHOT_END")
    assert {change.recordId for change in found if change.changeType == "SYNC"} == set(ids)
