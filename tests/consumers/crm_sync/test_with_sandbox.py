"""The agent's pusher against the sandbox org over REST: with every fault, it ends equal to the book."""

import asyncio
import random
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from io import BytesIO
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from fakturo.cli.salesforce.package import package_files
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.packages import deploy_zip
from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread
from fakturo.consumers.crm_sync import push_store
from fakturo.consumers.crm_sync.comparison import compare
from fakturo.consumers.crm_sync.pusher import Pusher, Rests
from fakturo.consumers.crm_sync.pushing import Sizes
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.events import invoices
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE, INVOICE_LINE
from tests.consumers.crm_sync.conftest import Desk, invoice, line

QUICK = Rests(idle=0.02, lease=0.02, gauges=0.2, ask=0.2, trouble_max=0.2)


def deploy(org: SandboxOrg) -> None:
    """Deploy our metadata package."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in package_files({}, {}, channel="ChangeEvents", api_version="67.0").items():
            packed.writestr(name, text)
    deploy_zip(org, content.getvalue())


def settings_of(sandbox: ThreadedSandbox) -> SalesforceSettings:
    """Return the settings by which our client finds the sandbox."""
    told = sandbox.sandbox.told()
    return SalesforceSettings(
        login_url=told["rest_url"],
        client_id=told["client_id"],
        client_secret=SecretStr(told["client_secret"]),
        pubsub_target=told["pubsub_target"],
    )


@asynccontextmanager
async def pushing(url: str, salesforce: SalesforceSettings, sizes: Sizes) -> AsyncIterator[Pusher]:
    """Run a pusher until the block is left."""
    pusher = Pusher(Settings(kafka="localhost:9092", DATABASE_URL=url), salesforce, sizes=sizes, rests=QUICK)
    running = asyncio.create_task(pusher.run())
    try:
        yield pusher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def settled(connection: asyncpg.Connection) -> None:
    """Wait until nothing is dirty; what is to be tried later is tried at once."""
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT count(*) FROM crm_sync.written WHERE dirty AND held IS NULL"):
            await push_store.retry(connection)
            await asyncio.sleep(0.05)


def accounts(org: SandboxOrg, count: int) -> list[str]:
    """Make accounts; return their record ids."""
    with org.transaction() as transaction:
        return [transaction.insert("Account", {"Name": f"Airline {number}"}) for number in range(count)]


async def book_a_year(desk: Desk, ids: list[str], seed: int) -> None:
    """Hand in, in a random order, invoices, payments, KPIs and accounts; what is written off or void among them."""
    chance = random.Random(seed)
    records: list[Any] = []
    for number, record_id in enumerate(ids):
        name = f"A{number}"
        records += [desk.account(name, salesforce_id=record_id), desk.kpi("mrr", "now", str(number), account=name)]
        for month in range(1, 4):
            told = invoice(
                f"in-{name}-{month}",
                1_000 * month,
                account=name,
                lines=tuple(line(f"lin-{name}-{month}-{place}", 500 * month) for place in range(2)),
            )
            opened = desk.journal(
                "finalized", told.invoice_id, date(2026, month, 1), (told.invoice_id, 1_000 * month), account=name
            )
            paid = desk.journal(
                "received", f"p-{told.invoice_id}", date(2026, month, 9), (told.invoice_id, -500), account=name
            )
            records += [desk.finalized(told), opened, paid]
    chance.shuffle(records)
    while records:
        size = chance.randint(1, 15)
        await desk.hand_in(*records[:size])
        del records[:size]
        await asyncio.sleep(0)


def held(org: SandboxOrg, entity: str) -> list[dict[str, Any]]:
    """Return the records of an object that are not in the bin."""
    return [dict(row) for row in org.tables[entity].values() if not row["IsDeleted"]]


@pytest.fixture
def sandbox() -> Any:
    """Return a sandbox org, served from a thread, with our objects and fields."""
    with sandbox_in_thread(plain=True) as running:
        running.in_loop(deploy)
        yield running


async def test_the_org_ends_equal_to_the_book_after_every_fault(
    desk: Desk, database_url: str, sandbox: ThreadedSandbox
) -> None:
    salesforce = settings_of(sandbox)
    ids = await _in_loop(sandbox, lambda org: accounts(org, 6))
    folding = asyncio.create_task(book_a_year(desk, ids, seed=7))
    watcher = await asyncpg.connect(database_url)
    for round_number, wanted in enumerate(
        [
            {"lock_rows": 7},
            {"unavailable": 4},
            {"expired_token": True},
            {"api_allocation": 1},
            {"api_allocation": None, "lock_rows": 3},
        ]
    ):
        # Each round is a process of its own: killed in the middle, with its work half done.
        await _in_loop(sandbox, lambda org, wanted=wanted: org.faults.apply(wanted))
        async with pushing(database_url, salesforce, Sizes(chunk_rows=3, bulk_above=4, bulk_rows=9)):
            await asyncio.sleep(0.3 + 0.1 * round_number)
    await folding
    await _in_loop(sandbox, lambda org: org.faults.clear())
    async with pushing(database_url, salesforce, Sizes()):
        await settled(watcher)

    org = Org(salesforce)
    await org.open()
    found = await compare(watcher, org)
    await org.close()
    await watcher.close()
    assert found.differences == []
    assert {entity: counts["compared"] for entity, counts in found.counts.items()} == {
        ACCOUNT: 6,
        INVOICE: 18,
        INVOICE_LINE: 36,
    }
    rows = await _in_loop(sandbox, lambda org: held(org, INVOICE))
    # 1,000 x month cents less 500 paid: 5, 15 and 25 are open of each account's three invoices.
    assert sorted(str(row["Open_Amount__c"].normalize()) for row in rows) == sorted(["5", "15", "25"] * 6)
    assert len(await _in_loop(sandbox, lambda org: held(org, INVOICE_LINE))) == 36


async def test_our_writes_are_named_in_what_the_org_tells_and_only_our_fields_change(
    desk: Desk, database_url: str, sandbox: ThreadedSandbox
) -> None:
    told: list[Any] = []
    await _in_loop(sandbox, lambda org: org.listeners.append(told.append))
    (record_id,) = await _in_loop(sandbox, lambda org: accounts(org, 1))
    told.clear()
    await desk.hand_in(desk.account("A0", salesforce_id=record_id), desk.kpi("mrr", "now", "80", account="A0"))
    async with pushing(database_url, settings_of(sandbox), Sizes()):
        await settled(desk.connection)
    assert {one.client for one in told} == {"fakturo"}
    changed = {name for one in told for change in one.changes for name in change.changed}
    assert {name for name in changed if name.endswith("__c")} == {"Fakturo_Currency__c", "Fakturo_MRR__c"}


async def test_no_secret_reaches_a_log_a_health_sentence_or_a_row(
    desk: Desk, database_url: str, sandbox: ThreadedSandbox
) -> None:
    (record_id,) = await _in_loop(sandbox, lambda org: accounts(org, 1))
    await desk.hand_in(desk.account("A0", salesforce_id=record_id), desk.finalized(invoice(account="A0")))
    right = settings_of(sandbox)
    wrong = right.model_copy(update={"client_secret": SecretStr("planted-secret-3141")})
    told: list[str] = []
    tokens: set[str] = set()
    with capture_logs() as logs:
        for settings, fault in ((wrong, {}), (right, {"lock_rows": 2}), (right, {"expired_token": True})):
            await _in_loop(sandbox, lambda org, fault=fault: org.faults.apply(fault))
            async with pushing(database_url, settings, Sizes()) as pusher:
                await asyncio.sleep(0.5)
                told.append(repr(await pusher.check()) + repr(pusher))
            tokens |= await _in_loop(sandbox, lambda org: set(org.sessions._live))
        async with pushing(database_url, right, Sizes()):
            await settled(desk.connection)
    for table in await desk.connection.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
        " WHERE table_schema IN ('crm_sync', 'runtime')"
    ):
        told += [repr(row) for row in await desk.connection.fetch(f"SELECT * FROM {table['name']}")]
    assert any("invalid_client" in repr(line) for line in logs), "the refusal of the token endpoint was logged"
    secret = right.client_secret.get_secret_value() if right.client_secret else ""
    planted = {"planted-secret-3141", secret, *tokens}
    assert len(planted) > 2
    assert [one for one in planted if one in repr(logs) + "".join(told)] == []


async def test_many_accounts_invoices_and_lines_go_in_bulk_jobs(
    desk: Desk, database_url: str, sandbox: ThreadedSandbox
) -> None:
    ids = await _in_loop(sandbox, lambda org: accounts(org, 8))
    told: list[Any] = []
    await _in_loop(sandbox, lambda org: org.listeners.append(told.append))
    await book_a_year(desk, ids, seed=8)
    async with pushing(database_url, settings_of(sandbox), Sizes(bulk_above=3)):
        await settled(desk.connection)
    assert {change.entity for one in told if one.api == "bulk" for change in one.changes} == {
        ACCOUNT,
        INVOICE,
        INVOICE_LINE,
    }
    org = Org(settings_of(sandbox))
    await org.open()
    found = await compare(desk.connection, org)
    await org.close()
    assert found.differences == []
    assert [counts["compared"] for counts in found.counts.values()] == [8, 24, 48]


async def test_what_a_person_deleted_is_made_again(desk: Desk, database_url: str, sandbox: ThreadedSandbox) -> None:
    (record_id,) = await _in_loop(sandbox, lambda org: accounts(org, 1))
    told = invoice(account="A0")
    await desk.hand_in(desk.account("A0", salesforce_id=record_id), desk.finalized(told))
    async with pushing(database_url, settings_of(sandbox), Sizes()):
        await settled(desk.connection)
        (row,) = await _in_loop(sandbox, lambda org: held(org, INVOICE))
        await _in_loop(sandbox, lambda org: _delete(org, row["Id"]))
        assert await _in_loop(sandbox, lambda org: held(org, INVOICE_LINE)) == []
        await desk.hand_in(desk.document(invoices.INVOICE_VOIDED, invoice(account="A0", status="void"), ":voided"))
        await settled(desk.connection)
    assert [row["Status__c"] for row in await _in_loop(sandbox, lambda org: held(org, INVOICE))] == ["Void"]
    assert len(await _in_loop(sandbox, lambda org: held(org, INVOICE_LINE))) == 1


async def test_an_org_without_our_fields_says_so_and_is_written_once_they_are_deployed(
    desk: Desk, database_url: str
) -> None:
    with sandbox_in_thread(plain=True) as bare:
        (record_id,) = await _in_loop(bare, lambda org: accounts(org, 1))
        await desk.hand_in(desk.account("A0", salesforce_id=record_id), desk.finalized(invoice(account="A0")))
        async with pushing(database_url, settings_of(bare), Sizes()):
            async with asyncio.timeout(30):
                while set(await push_store.holds(desk.connection)) != {ACCOUNT, INVOICE}:
                    await asyncio.sleep(0.05)
            await _in_loop(bare, deploy)
            await push_store.retry(desk.connection)
            await settled(desk.connection)
        assert len(await _in_loop(bare, lambda org: held(org, INVOICE_LINE))) == 1


def _delete(org: SandboxOrg, record_id: str) -> None:
    with org.transaction() as transaction:
        transaction.delete(INVOICE, record_id)


async def _in_loop(sandbox: ThreadedSandbox, act: Callable[[SandboxOrg], Any]) -> Any:
    return await asyncio.to_thread(sandbox.in_loop, act)
