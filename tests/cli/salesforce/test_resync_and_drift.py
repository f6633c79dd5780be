"""Org, bridge, contracts agent and book: nothing drifts, and what does is found and mended."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from fakturo.cli.salesforce.drift import compare
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.running import run_sandbox
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import PREFIX, SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import end_tasks
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.producers.salesforce.bridge import Bridge
from fakturo.producers.salesforce.stream import Pauses

pytestmark = pytest.mark.integration
QUICK = Pauses(first=0.05, most=0.5, slow_down=0.1, administrator=0.3)
ENTITIES = ("Account", "Product2")


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with run_sandbox() as running:
        running.org.faults.apply({"keepalive_seconds": 0.3})
        yield running


@pytest.fixture
def variables(sandbox: RunningSandbox, environment: dict[str, str]) -> dict[str, str]:
    told = {
        "LOGIN_URL": sandbox.rest_url,
        "CLIENT_ID": sandbox.access.client_id,
        "CLIENT_SECRET": sandbox.access.client_secret,
        "CA_FILE": str(sandbox.ca_file),
        "PUBSUB_TARGET": sandbox.pubsub_target,
    }
    return {**os.environ, **environment, **{f"{PREFIX}{name}": value for name, value in told.items()}}


@asynccontextmanager
async def child(variables: dict[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fakturo.cli.main", *arguments, env=variables, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def fakturo(variables: dict[str, str], *arguments: str) -> tuple[int, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fakturo.cli.main", "salesforce", *arguments, "--json"),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complained = await process.communicate()
    try:
        return process.returncode or 0, json.loads(told)
    except ValueError:
        return process.returncode or 0, complained.decode()


@asynccontextmanager
async def working(settings: Settings, variables: dict[str, str]) -> AsyncIterator[Org]:
    """Run the bridge here and the contracts agent beside us; yield a client to compare with."""
    await apply_topics(settings)
    given = {name.removeprefix(PREFIX).lower(): text for name, text in variables.items() if name.startswith(PREFIX)}
    salesforce = SalesforceSettings(**given, reconcile_seconds=3600)  # type: ignore[arg-type]
    bridge = Bridge(settings, salesforce, ENTITIES, pauses=QUICK)
    async with child(variables, "agent", "contracts"):
        task = asyncio.create_task(bridge.run())
        org = Org(salesforce)
        await org.open()
        try:
            yield org
        finally:
            await org.close()
            await end_tasks([task])


async def without_drift(org: Org, settings: Settings, seconds: float = 300) -> None:
    """Return once the book of every object equals the org's."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = [await compare(org, connection, entity) for entity in ENTITIES]
                if all(one.org_records for one in found) and not any(one.differing for one in found):
                    return
                await asyncio.sleep(0.3)
    finally:
        await connection.close()


def fill(org: SandboxOrg, count: int, name: str = "A") -> list[str]:
    with org.transaction() as writing:
        writing.insert("Product2", {"Name": name, "ProductCode": name})
        return [writing.insert("Account", {"Name": f"{name}{number}"}) for number in range(count)]


def change(org: SandboxOrg, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), 50):
        with org.transaction() as writing:
            for record_id in ids[start : start + 50]:
                writing.update("Account", record_id, {"Phone": f"{start}", "BillingCity": "Berlin"})


async def test_an_outage_longer_than_retention_ends_without_drift(
    settings: Settings, sandbox: RunningSandbox, variables: dict[str, str]
) -> None:
    ids = fill(sandbox.org, 5_200)
    async with working(settings, variables) as org:
        await without_drift(org, settings)  # what was there before the bridge's first start
        sandbox.org.faults.apply({"stream_off": True})
        change(sandbox.org, ids[:5_000])
        with sandbox.org.transaction() as writing:
            writing.delete("Account", ids[5_100])
        with sandbox.org.transaction() as writing:
            writing.hard_delete("Account", ids[5_101])
        fill(sandbox.org, 20, "B")
        await asyncio.sleep(3)  # a hard deletion is told by a snapshot that began after the record was made
        sandbox.org.faults.apply({"stream_off": False})
        change(sandbox.org, ids[5_150:5_160])
        await without_drift(org, settings)
    connection = await asyncpg.connect(settings.database_url)
    living = await connection.fetchval(
        "SELECT count(*) FROM contracts.record WHERE entity = 'Account' AND NOT field_values @> '{\"$deleted\": true}'"
        " AND NOT field_values @> '{\"$swept\": true}'"
    )
    await connection.close()
    assert living == sum(not row["IsDeleted"] for _, row in sandbox.org.tables["Account"].items())


async def test_drift_is_found_field_by_field_and_mended_by_a_resync(
    settings: Settings, sandbox: RunningSandbox, variables: dict[str, str]
) -> None:
    ids = fill(sandbox.org, 3)
    async with working(settings, variables) as org:
        await without_drift(org, settings)
        assert await fakturo(variables, "drift", *_named()) == (
            0,
            {"drift": False, "entities": await _shown(variables), "differences": []},
        )
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute(
            'UPDATE contracts.record SET field_values = field_values || \'{"Name": "Wrong"}\' WHERE record_id = $1',
            ids[1],
        )
        status, told = await fakturo(variables, "drift", "--entity", "Account")
        assert status == 1
        assert told["differences"] == [
            {"entity": "Account", "record_id": ids[1], "field": "Name", "org": "A1", "book": "Wrong"}
        ]
        status, asked = await fakturo(variables, "resync", "--entity", "Account", "--ids", f"{ids[1]},{ids[1]}")
        assert (status, asked[0]["record_ids"]) == (0, [ids[1]])
        await without_drift(org, settings)
        status, asked = await fakturo(variables, "resync", "--entity", "Account")
        assert (status, asked[0]["record_ids"]) == (0, None)
        async with asyncio.timeout(150):
            while not await connection.fetchval("SELECT count(DISTINCT snapshot) > 0 FROM contracts.record"):
                await asyncio.sleep(0.2)
        await connection.close()


async def test_what_cannot_be_asked_is_said_in_a_sentence(sandbox: RunningSandbox, variables: dict[str, str]) -> None:
    contact = "0035f0000000001AAA"
    for arguments, sentence in (
        (("--ids", contact), "--ids needs one --entity"),
        (("--entity", "Account", "--ids", "001"), "'001' is no Salesforce record id"),
        (("--entity", "Account", "--ids", contact), f"{contact} is no Account: those begin with 001"),
        (("--entity", "Nothing__c"), "NOT_FOUND"),
    ):
        status, told = await fakturo(variables, "resync", *arguments)
        assert status in (1, 2)
        assert sentence in " ".join(str(told).split())


def _named() -> list[str]:
    return [part for entity in ENTITIES for part in ("--entity", entity)]


async def _shown(variables: dict[str, str]) -> Any:
    return (await fakturo(variables, "drift", *_named()))[1]["entities"]
