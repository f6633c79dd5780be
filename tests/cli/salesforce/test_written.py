"""`fakturo salesforce written` and `retry` against the sandbox org."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from fakturo.cli.commands import app
from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread
from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.crm_sync.pushing import PushRound
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.schemas.salesforce.written_fields import INVOICE
from tests.consumers.crm_sync.conftest import Desk, invoice
from tests.consumers.crm_sync.test_with_sandbox import accounts, deploy, settings_of


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[ThreadedSandbox]:
    """Return a sandbox org with our package, which the environment names, beside the books."""
    with sandbox_in_thread(plain=True) as running:
        running.in_loop(deploy)
        told = running.sandbox.told()
        monkeypatch.setenv("FAKTURO_SALESFORCE_LOGIN_URL", str(told["rest_url"]))
        monkeypatch.setenv("FAKTURO_SALESFORCE_CLIENT_ID", str(told["client_id"]))
        monkeypatch.setenv("FAKTURO_SALESFORCE_CLIENT_SECRET", str(told["client_secret"]))
        monkeypatch.setenv("FAKTURO_KAFKA", "127.0.0.1:1")
        monkeypatch.setenv("DATABASE_URL", database_url)
        yield running


def run(tmp_path: Path, command: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status and what the command printed."""
    done = CliRunner().invoke(app, ["salesforce", command, "--json", "--home", str(tmp_path)])
    return done.exit_code, json.loads(done.stdout)


async def send(database_url: str, sandbox: ThreadedSandbox, record_id: str | None = None) -> None:
    """Let all that waits be sent; with `record_id` an account and an invoice are booked first."""
    connection = await asyncpg.connect(database_url)
    desk = Desk(connection, CrmSyncAgent(settings=None))  # type: ignore[arg-type]
    if record_id is not None:
        await desk.hand_in(desk.account("A0", salesforce_id=record_id), desk.finalized(invoice(account="A0")))
    org = Org(settings_of(sandbox))
    await org.open()

    async def pace() -> None:
        """No pause."""

    await PushRound(connection, org, pace).run()
    await org.close()
    await connection.close()


def test_what_somebody_changed_in_the_org_is_named_and_sent_again(
    database_url: str, sandbox: ThreadedSandbox, tmp_path: Path
) -> None:
    (record_id,) = sandbox.in_loop(lambda org: accounts(org, 1))
    asyncio.run(send(database_url, sandbox, record_id))
    status, told = run(tmp_path, "written")
    assert (status, told["equal"], told["differences"]) == (0, True, [])

    def spoil(org: Any) -> None:
        row = next(iter(org.tables[INVOICE].values()))
        with org.transaction() as transaction:
            transaction.update(INVOICE, row["Id"], {"Status__c": "Paid"})

    sandbox.in_loop(spoil)
    status, told = run(tmp_path, "written")
    assert (status, told["equal"]) == (1, False)
    assert told["differences"] == [
        {"object": INVOICE, "key": "in-1", "kind": "differs", "fields": {"Status__c": ["Paid", "Open"]}}
    ]
    asyncio.run(send(database_url, sandbox))
    assert run(tmp_path, "written")[0] == 0


def test_what_was_refused_is_listed_with_its_sentence_and_sent_again_on_demand(
    database_url: str, sandbox: ThreadedSandbox, tmp_path: Path
) -> None:
    (record_id,) = sandbox.in_loop(lambda org: accounts(org, 1))

    def trash(org: Any) -> None:
        with org.transaction() as transaction:
            transaction.delete("Account", record_id)

    def mend(org: Any) -> None:
        with org.transaction() as transaction:
            transaction.undelete("Account", record_id)

    sandbox.in_loop(trash)
    asyncio.run(send(database_url, sandbox, record_id))
    status, told = run(tmp_path, "written")
    assert status == 1
    assert any("The account was deleted in Salesforce" in one["failure"] for one in told["failures"])

    sandbox.in_loop(mend)
    assert run(tmp_path, "retry")[1]["records"] >= 1
    asyncio.run(send(database_url, sandbox))
    assert run(tmp_path, "written")[0] == 0
