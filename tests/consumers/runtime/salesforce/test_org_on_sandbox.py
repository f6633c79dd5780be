"""The Org client against the sandbox org over TLS: what is written is there, tokens expire, limits are told."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fakturo.cli.sandbox.running import run_sandbox
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.errors import AllocationUsedUp, OrgRefused, OrgUnavailable
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings


def settings_of(sandbox: RunningSandbox, **more: Any) -> SalesforceSettings:
    given = {
        "login_url": sandbox.rest_url,
        "client_id": sandbox.access.client_id,
        "client_secret": sandbox.access.client_secret,
        "ca_file": sandbox.ca_file,
        **more,
    }
    return SalesforceSettings(**given)


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with run_sandbox() as running:
        yield running


@pytest.fixture
async def org(sandbox: RunningSandbox) -> AsyncIterator[Org]:
    opened = Org(settings_of(sandbox))
    await opened.open()
    yield opened
    await opened.close()


async def rows(org: Org, soql: str, *, deleted: bool = False) -> list[dict[str, Any]]:
    return [row async for page in org.query(soql, deleted=deleted) for row in page]


async def test_both_grants_let_us_in(sandbox: RunningSandbox, org: Org) -> None:
    signed = Org(
        settings_of(
            sandbox,
            client_secret=None,
            private_key_file=Path(sandbox.private_key_file),
            username=sandbox.access.username,
        )
    )
    await signed.open()
    assert signed.org_id == org.org_id == sandbox.org_id
    assert signed.instance_url == sandbox.rest_url
    await signed.close()


async def test_without_the_ca_the_org_is_not_trusted(sandbox: RunningSandbox) -> None:
    stranger = Org(settings_of(sandbox, ca_file=None))
    with pytest.raises(OrgUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await stranger.open()
    await stranger.close()


async def test_amounts_go_and_come_back_exact(sandbox: RunningSandbox, org: Org) -> None:
    with sandbox.org.transaction() as writing:
        record_id = writing.insert("Account", {"Name": "Acme"})
    (result,) = await org.update("Account", [{"Id": record_id, "AnnualRevenue": Decimal("123456789012345678")}])
    assert result.is_written
    assert await rows(org, "SELECT AnnualRevenue FROM Account") == [{"AnnualRevenue": Decimal("123456789012345678")}]


async def test_several_thousand_rows_come_by_either_api(sandbox: RunningSandbox, org: Org) -> None:
    with sandbox.org.transaction() as writing:
        ids = {writing.insert("Account", {"Name": f"A{number}"}) for number in range(4_100)}
    assert {row["Id"] for row in await rows(org, "SELECT Id FROM Account")} == ids
    pages = [page async for page in org.bulk_rows("SELECT Id FROM Account", page_rows=1_000)]
    assert [len(page) for page in pages] == [1_000, 1_000, 1_000, 1_000, 100]
    assert {row["Id"] for page in pages for row in page} == ids


async def test_a_locked_row_and_a_row_that_is_not_there_are_told_each_for_itself(
    sandbox: RunningSandbox, org: Org
) -> None:
    with sandbox.org.transaction() as writing:
        record_id = writing.insert("Account", {"Name": "Acme"})
    sandbox.org.faults.lock_rows = 1
    (locked,) = await org.update("Account", [{"Id": record_id, "Phone": "1"}])
    assert (locked.is_written, locked.is_lock) == (False, True)
    missing, there = await org.update(
        "Account", [{"Id": "001000000000999AAA", "Phone": "1"}, {"Id": record_id, "Phone": "1"}]
    )
    assert (missing.is_written, there.is_written) == (False, True)


async def test_expired_tokens_are_renewed_and_a_used_up_day_is_said(sandbox: RunningSandbox, org: Org) -> None:
    sandbox.org.sessions.expire_all()
    assert (await org.describe("Account"))["name"] == "Account"
    sandbox.org.faults.api_allocation = 1
    with pytest.raises(AllocationUsedUp):
        await org.objects()


async def test_time_and_limits_are_the_orgs(sandbox: RunningSandbox, org: Org) -> None:
    sandbox.org.clock.advance(86_400)
    told = await org.ask_time()
    assert abs((sandbox.org.clock.now() - told).total_seconds()) < 5
    assert (await org.limits())["DailyApiRequests"]["Max"] > 0
    assert org.api_usage is not None


async def test_a_query_that_is_none_is_refused_with_the_orgs_own_words(org: Org) -> None:
    with pytest.raises(OrgRefused, match="No such column") as found:
        await rows(org, "SELECT Nothing__c FROM Account")
    assert found.value.code == "INVALID_FIELD"
