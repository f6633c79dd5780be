"""Records read again by id, against the sandbox org: what is answered when, and as of when."""

from datetime import timedelta

from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.rereading import Rereader
from fakturo.producers.salesforce.resync_requests import ResyncRequest
from tests.producers.salesforce.conftest import NOON
from tests.producers.salesforce.sandbox_reading import changes_of

NOON_MS = 1_793_534_400_000
"""2026-11-01T12:00:00Z, as the reference gives it (section 3.3)."""


def request(*record_ids: str, name: str = "gap-1", gap_ms: int | None = None) -> ResyncRequest:
    return ResyncRequest(
        org="00D000000000001EAA",
        entity="Account",
        record_ids=record_ids,
        reason="gap",
        requested_at_ms=NOON_MS + 60_000,
        request_id=name,
        gap_ms=gap_ms,
    )


def account(sandbox: RunningSandbox, **values: object) -> str:
    with sandbox.org.transaction() as writing:
        return writing.insert("Account", {"Name": "Acme", **values})


def rereader(org: Org, passed_ms: int | None = None) -> Rereader:
    return Rereader(org, 4, lambda: passed_ms)


async def test_a_settled_row_comes_whole_with_its_stamp_as_version(sandbox: RunningSandbox, org: Org) -> None:
    record_id = account(sandbox, BillingCity="Berlin", AnnualRevenue=1234)
    sandbox.org.clock.advance(4)
    answer = await rereader(org).answer("Account", {7: request(record_id)})
    (change,) = changes_of(answer.records)
    assert answer.offsets == (7,)
    assert (change.changeType, change.full, change.src, change.gapTs) == ("SYNC", True, "resync", None)
    assert (change.recordId, change.commit.ts) == (record_id, NOON_MS)
    assert change.eventId == f"sync/{record_id}/{NOON_MS}/gap-1"
    assert change.values["Name"] == "Acme"
    assert change.values["BillingAddress.City"] == "Berlin"
    assert change.values["IsDeleted"] is False
    assert {"Id", "SystemModstamp", "BillingCity", "BillingAddress"}.isdisjoint(change.values)


async def test_a_row_of_this_second_is_not_told_yet(sandbox: RunningSandbox, org: Org) -> None:
    record_id = account(sandbox, Phone="1")
    sandbox.org.clock.advance(0.4)
    reader = rereader(org)
    early = await reader.answer("Account", {0: request(record_id)})
    with sandbox.org.transaction() as writing:  # an event of the same second, with the newer value
        writing.update("Account", record_id, {"Phone": "2"})
    assert (early.records, early.offsets) == ([], ())
    sandbox.org.clock.freeze(NOON + timedelta(seconds=3))
    (change,) = changes_of((await reader.answer("Account", {0: request(record_id)})).records)
    assert (change.commit.ts, change.values["Phone"]) == (NOON_MS, "2")


async def test_a_deleted_row_comes_as_deleted_and_one_that_is_gone_as_delete(sandbox: RunningSandbox, org: Org) -> None:
    binned, purged, asked = account(sandbox), account(sandbox), account(sandbox)
    sandbox.org.clock.advance(10)
    with sandbox.org.transaction() as writing:
        writing.delete("Account", binned)
    with sandbox.org.transaction() as writing:
        writing.hard_delete("Account", purged)
        writing.hard_delete("Account", asked)
    sandbox.org.clock.advance(10)
    requests = {0: request(binned, purged, gap_ms=NOON_MS + 10_000), 1: request(asked, name="asked")}
    told = {one.recordId: one for one in changes_of((await rereader(org).answer("Account", requests)).records)}
    assert (told[binned].changeType, told[binned].values["IsDeleted"]) == ("SYNC", True)
    assert (told[purged].changeType, told[purged].commit.ts) == ("DELETE", NOON_MS + 10_000)
    assert (told[asked].changeType, told[asked].commit.ts) == ("DELETE", NOON_MS + 60_000)


async def test_what_a_gap_hid_is_told_once_the_stream_has_passed_the_row(sandbox: RunningSandbox, org: Org) -> None:
    record_id = account(sandbox)
    sandbox.org.clock.advance(30)
    with sandbox.org.transaction() as writing:  # after the gap; its event is still on its way
        writing.update("Account", record_id, {"Phone": "2"})
    sandbox.org.clock.advance(10)
    asked = {0: request(record_id, gap_ms=NOON_MS)}
    assert (await rereader(org, passed_ms=NOON_MS).answer("Account", asked)).offsets == ()
    assert (await rereader(org, passed_ms=None).answer("Account", asked)).offsets == ()
    (change,) = changes_of((await rereader(org, passed_ms=NOON_MS + 30_000).answer("Account", asked)).records)
    assert (change.commit.ts, change.gapTs) == (NOON_MS + 30_000, NOON_MS)


async def test_a_row_that_has_not_changed_since_the_gap_waits_for_nothing(sandbox: RunningSandbox, org: Org) -> None:
    record_id = account(sandbox)
    sandbox.org.clock.advance(10)
    answer = await rereader(org).answer("Account", {0: request(record_id, gap_ms=NOON_MS)})
    assert [one.gapTs for one in changes_of(answer.records)] == [NOON_MS]


async def test_of_two_gaps_the_earlier_dates_the_row_and_both_are_answered(sandbox: RunningSandbox, org: Org) -> None:
    record_id = account(sandbox)
    sandbox.org.clock.advance(10)
    asked = {
        3: request(record_id, name="late", gap_ms=NOON_MS + 5_000),
        5: request(record_id, name="early", gap_ms=NOON_MS),
    }
    answer = await rereader(org, passed_ms=NOON_MS + 9_000).answer("Account", asked)
    assert [(one.gapTs, one.eventId) for one in changes_of(answer.records)] == [
        (NOON_MS, f"sync/{record_id}/{NOON_MS}/early")
    ]
    assert answer.offsets == (3, 5)


async def test_a_request_is_answered_whole_or_not_yet(sandbox: RunningSandbox, org: Org) -> None:
    old = account(sandbox)
    sandbox.org.clock.advance(10)
    fresh = account(sandbox)
    reader = rereader(org)
    answer = await reader.answer("Account", {0: request(old, fresh), 1: request(old, name="gap-2")})
    assert answer.offsets == (1,)
    sandbox.org.clock.advance(4)
    answer = await reader.answer("Account", {0: request(old, fresh)})
    assert sorted(one.recordId for one in changes_of(answer.records)) == sorted([old, fresh])


async def test_a_record_that_never_settles_goes_out_a_millisecond_older(
    sandbox: RunningSandbox, org: Org, monkeypatch: object
) -> None:
    record_id = account(sandbox)
    reader = rereader(org)
    asked = {0: request(record_id)}
    assert (await reader.answer("Account", asked)).offsets == ()
    reader._first_tried_at[0] -= 16  # the longest that is waited for a row to settle are 15 seconds
    (change,) = changes_of((await reader.answer("Account", asked)).records)
    assert change.commit.ts == NOON_MS - 1  # newer than all of the seconds before, older than its own


async def test_several_hundred_records_are_read_in_a_few_queries(sandbox: RunningSandbox, org: Org) -> None:
    with sandbox.org.transaction() as writing:
        ids = [writing.insert("Account", {"Name": f"A{number}"}) for number in range(450)]
    sandbox.org.clock.advance(10)
    answer = await rereader(org).answer("Account", {0: request(*ids, "001*", "000000000000000AAA")})
    assert {one.recordId for one in changes_of(answer.records) if one.changeType == "SYNC"} == set(ids)
