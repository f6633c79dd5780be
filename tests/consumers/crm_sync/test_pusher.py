"""The pusher as it runs beside the agent: alone, patient, within the day's calls."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakturo.consumers.crm_sync import pusher as pusher_module
from fakturo.consumers.crm_sync.pace import pause_seconds
from fakturo.consumers.crm_sync.pusher import Pusher, Rests
from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgUnavailable
from fakturo.consumers.runtime.salesforce.limits import ApiUsage
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE, INVOICE_LINE
from tests.consumers.crm_sync.conftest import UNITED, Desk, invoice
from tests.consumers.crm_sync.fake_org import FakeOrg

QUICK = Rests(idle=0.02, lease=0.02, gauges=0.02, ask=0.05, trouble_max=0.05)
SALESFORCE = SalesforceSettings(login_url="https://acme.my.salesforce.com", client_id="id", client_secret="secret")


@pytest.fixture
def org() -> FakeOrg:
    """Return an org with one account."""
    return FakeOrg(accounts=(UNITED,))


@asynccontextmanager
async def pushing(url: str, org: FakeOrg | None, rests: Rests = QUICK) -> AsyncIterator[Pusher]:
    """Run a pusher until the block is left."""
    settings = Settings(kafka="localhost:9092", DATABASE_URL=url)
    pusher = Pusher(settings, None if org is None else SALESFORCE, lambda _: org, rests=rests)  # type: ignore[arg-type,return-value]
    running = asyncio.create_task(pusher.run())
    try:
        yield pusher
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(what: Callable[[], Any]) -> None:
    """Wait until `what` holds; the test's own time limit is the only one that counts."""
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


async def said(pusher: Pusher, words: str) -> str:
    """Return what the pusher says once it says `words`."""
    async with asyncio.timeout(20):
        while words not in (await pusher.check())[1]:
            await asyncio.sleep(0.01)
    return (await pusher.check())[1]


async def test_what_is_folded_arrives(desk: Desk, org: FakeOrg, database_url: str) -> None:
    async with pushing(database_url, org) as pusher:
        await desk.hand_in(desk.account(), desk.finalized(invoice()))
        await until(lambda: org.records[INVOICE_LINE])
        assert (await pusher.check())[0]
    assert org.closed


async def test_without_an_org_rows_are_kept_and_that_is_well(desk: Desk, database_url: str) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice()))
    async with pushing(database_url, None) as pusher:
        assert "FAKTURO_SALESFORCE_LOGIN_URL" in await said(pusher, "no org is set")
        assert (await pusher.check())[0]
    assert await desk.connection.fetchval("SELECT count(*) FROM crm_sync.written WHERE dirty") == 3


async def test_of_two_pushers_one_sends_and_the_other_takes_over(desk: Desk, org: FakeOrg, database_url: str) -> None:
    other = FakeOrg(accounts=(UNITED,))
    async with pushing(database_url, org) as first:
        await said(first, "the org holds")
        async with pushing(database_url, other) as second:
            await said(second, "another worker")
            await desk.hand_in(desk.account(), desk.finalized(invoice()))
            await until(lambda: org.records[INVOICE_LINE])
            assert other.calls == []
    async with pushing(database_url, other):
        await desk.hand_in(desk.finalized(invoice("in-2")))
        await until(lambda: "in-2" in other.records[INVOICE])


async def test_an_outage_is_waited_out_and_said(desk: Desk, org: FakeOrg, database_url: str) -> None:
    org.faults = [OrgUnavailable("HTTP 503, SERVER_UNAVAILABLE: try later") for _ in range(10)]
    async with pushing(database_url, org) as pusher:
        await desk.hand_in(desk.account(), desk.finalized(invoice()))
        assert "503" in await said(pusher, "SERVER_UNAVAILABLE")
        await until(lambda: org.records[INVOICE_LINE])


async def test_an_outage_that_is_over_does_not_lengthen_the_pause_of_the_next(
    desk: Desk, org: FakeOrg, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sixteen outages in a row would end in pauses of 0.001 s x 2^16, a minute; apart, each is waited out at once.
    monkeypatch.setattr(pusher_module, "FIRST_PAUSE_SECONDS", 0.001)
    patient = dataclasses.replace(QUICK, trouble_max=60)
    async with pushing(database_url, org, patient) as pusher:
        await desk.hand_in(desk.account())
        for number in range(16):
            org.faults.append(OrgUnavailable("the org does not answer"))
            await desk.hand_in(desk.kpi("mrr", "now", str(number)))
            await until(lambda number=number: org.records[ACCOUNT][UNITED].get("Fakturo_MRR__c") == number)
            await said(pusher, "the org holds")


async def test_refused_rights_are_said_and_tried_again(desk: Desk, org: FakeOrg, database_url: str) -> None:
    org.faults = [AuthenticationRefused("invalid_client: invalid client credentials")] * 5
    async with pushing(database_url, org) as pusher:
        await desk.hand_in(desk.account(), desk.finalized(invoice()))
        assert "secret" not in await said(pusher, "invalid_client")
        await until(lambda: org.records[INVOICE_LINE])


async def test_when_our_share_of_the_days_calls_is_used_up_nothing_is_sent_until_there_is_some_again(
    desk: Desk, org: FakeOrg, database_url: str
) -> None:
    org.api_usage = ApiUsage(80, 100)  # 20 % are left to others
    async with pushing(database_url, org) as pusher:
        await desk.hand_in(desk.account(), desk.finalized(invoice()))
        assert "20 % are left to others" in await said(pusher, "80 of 100 API calls")
        await until(lambda: ("limits", "", 0) in org.calls)
        assert org.records[INVOICE] == {}
        org.api_usage = ApiUsage(10, 100)
        await until(lambda: org.records[INVOICE_LINE])


@pytest.mark.parametrize(
    ("used", "pause"),
    # Of 100 calls 20 are left to others: 80 are ours. At 40 half of them are used; at 60 a quarter is left: half of
    # the slowest pace of 60 s; at 80 none.
    [(0, 0.0), (40, 0.0), (60, 30.0), (79, 58.5), (80, None), (100, None)],
)
def test_the_pause_grows_as_our_share_of_the_calls_runs_out(used: int, pause: float | None) -> None:
    assert pause_seconds(ApiUsage(used, 100), 20) == pause


def test_an_org_that_has_said_nothing_yet_is_called() -> None:
    assert pause_seconds(None, 20) == 0.0
