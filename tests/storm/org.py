"""The Salesforce org that crm_sync writes to while it is struck: a sandbox with the airlines' accounts.

Place     cli/sandbox (in a thread of the test) <- crm_sync's workers over HTTP; test_storm.py -> [this] at the end.
Accounts  carry the record ids that the simulated contracts name, so that what is written finds them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from fakturo.cli.salesforce.setup import write_package
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.packages import deploy_folder
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.crm_sync.comparison import compare
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.producers.simulate.flights_contracts import airlines, record_id
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE

_OPEN = "SELECT number, open_minor FROM ledger.invoice"
_WRITTEN = "SELECT entity, count(*) AS rows FROM crm_sync.written WHERE fields IS NOT NULL GROUP BY entity"


@contextmanager
def airlines_org(folder: Path) -> Iterator[ThreadedSandbox]:
    """Serve an org with our metadata package and the airlines' accounts until the block is left."""
    write_package(folder, load_profile())
    with sandbox_in_thread(plain=True) as sandbox:
        sandbox.in_loop(lambda org: _prepare(org, folder))
        yield sandbox


def environment_of(sandbox: ThreadedSandbox) -> dict[str, str]:
    """Return the settings that connect crm_sync to the org."""
    settings = _settings(sandbox)
    assert settings.client_secret is not None
    return {
        "FAKTURO_SALESFORCE_LOGIN_URL": settings.login_url,
        "FAKTURO_SALESFORCE_CLIENT_ID": settings.client_id,
        "FAKTURO_SALESFORCE_CLIENT_SECRET": settings.client_secret.get_secret_value(),
    }


async def faults_of(connection: asyncpg.Connection, sandbox: ThreadedSandbox) -> list[str]:
    """Return, as sentences, where the org is not what crm_sync's rows and the ledger say."""
    org = Org(_settings(sandbox))
    await org.open()
    try:
        found = await compare(connection, org)
        faults = [f"{one.entity} {one.key}: {one.kind} {dict(one.fields)}" for one in found.differences]
        for row in await connection.fetch(_WRITTEN):
            compared = found.counts[row["entity"]]["compared"]
            if compared != row["rows"]:
                faults.append(f"{row['entity']}: {compared} records compared, the book has {row['rows']}")
        # By another way than crm_sync's: the receivables of the ledger against what a person reads in the org.
        held = {}
        async for page in org.query(f"SELECT Name, Open_Amount__c FROM {INVOICE} WHERE Status__c != 'Draft'"):
            held |= {row["Name"]: Decimal(row["Open_Amount__c"] or 0) for row in page}
    finally:
        await org.close()
    ledger = {row["number"]: Decimal(row["open_minor"]) / 100 for row in await connection.fetch(_OPEN)}
    faults += [
        f"{number}: the ledger has {open_amount} open, the org {held.get(number)}"
        for number, open_amount in ledger.items()
        if held.get(number) != open_amount
    ]
    return faults


def _prepare(org: SandboxOrg, package: Path) -> None:
    deploy_folder(org, package)
    with org.transaction() as transaction:
        for number, airline in enumerate(airlines().values(), start=1):
            made = transaction.insert(ACCOUNT, {"Name": airline.name, "AccountNumber": airline.account})
            row = org.tables[ACCOUNT][made]
            transaction.put(org.object(ACCOUNT), made, None)
            named = record_id("Account", number)
            transaction.put(org.object(ACCOUNT), named, Row(row, Id=named))


def _settings(sandbox: ThreadedSandbox) -> SalesforceSettings:
    told = sandbox.sandbox.told()
    return SalesforceSettings(
        login_url=told["rest_url"] or "",
        client_id=told["client_id"] or "",
        client_secret=SecretStr(told["client_secret"] or ""),
    )
