"""Reconciliation against the sandbox org: what no event told is found, once, and nothing that is on its way."""

import pytest

from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.reconciliation import Reconciler
from tests.producers.salesforce.sandbox_reading import KeptPublisher

NOON_MS = 1_793_534_400_000


class Bench:
    """A reconciler whose stream has passed everything up to `passed_ms`."""

    def __init__(self, sandbox: RunningSandbox, org: Org, *entities: str) -> None:
        self.sandbox = sandbox
        self.org = org
        self.publisher = KeptPublisher()
        self.passed_ms: int | None = None
        self.busy: set[str] = set()
        settings = Settings(kafka="127.0.0.1:1", DATABASE_URL="postgresql://x@127.0.0.1:1/x", partitions=4)
        self.reconciler = Reconciler(
            settings,
            org,
            self.publisher,  # type: ignore[arg-type]
            entities or ("Account",),
            passed_ms=lambda: self.passed_ms,
            is_busy_with=lambda entity: entity in self.busy,
        )

    async def round(self, *, passed_seconds: float = 3600) -> list[tuple[str, int]]:
        """Return the rows, (record id, stamp), that a round publishes."""
        self.passed_ms = NOON_MS + int(passed_seconds * 1000)
        before = len(self.publisher.changes)
        await self.reconciler.round()
        new = self.publisher.changes[before:]
        assert {(one.changeType, one.src) for one in new} <= {("SYNC", "reconcile")}
        return [(one.recordId, one.commit.ts) for one in new]


def account(sandbox: RunningSandbox, **values: object) -> str:
    with sandbox.org.transaction() as writing:
        return writing.insert("Account", {"Name": "Acme", **values})


@pytest.fixture
async def bench(sandbox: RunningSandbox, org: Org) -> Bench:
    account(sandbox)  # what was before, a snapshot has read
    sandbox.org.clock.advance(10)
    made = Bench(sandbox, org)
    assert await made.round() == []
    return made


async def test_what_has_changed_is_told_once(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(60)
    assert await bench.round() == [(record_id, NOON_MS + 70_000)]
    sandbox.org.clock.advance(60)
    assert await bench.round() == []


async def test_a_row_that_shows_up_late_is_found_by_the_overlap(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(120)
    assert await bench.round() == []
    sandbox.org.clock.advance(-60)  # a long transaction: its stamp lies before what was read already
    late = account(sandbox)
    sandbox.org.clock.advance(120)
    assert await bench.round() == [(late, NOON_MS + 70_000)]


async def test_what_the_stream_has_not_passed_is_no_drift_yet(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(60)
    assert await bench.round(passed_seconds=74) == []  # the row's 70 s and the margin of 5 s
    assert await bench.round(passed_seconds=75) == [(record_id, NOON_MS + 70_000)]


async def test_a_row_of_these_seconds_is_left_for_the_next_round(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(1.5)
    assert await bench.round() == []
    sandbox.org.clock.advance(2)
    assert await bench.round() == [(record_id, NOON_MS + 70_000)]


async def test_thousands_of_equal_stamps_are_all_told(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    with sandbox.org.transaction() as writing:
        ids = {writing.insert("Account", {"Name": f"A{number}"}) for number in range(4_500)}  # three pages of SOQL
    sandbox.org.clock.advance(60)
    told = await bench.round()
    assert len(told) == 4_500
    assert {record_id for record_id, _ in told} == ids


async def test_a_deletion_is_told(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(10)
    with sandbox.org.transaction() as writing:
        writing.delete("Account", record_id)
    sandbox.org.clock.advance(60)
    assert await bench.round() == [(record_id, NOON_MS + 80_000)]
    assert bench.publisher.changes[-1].values["IsDeleted"] is True


async def test_an_object_that_is_being_read_again_waits(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(60)
    bench.busy.add("Account")
    assert await bench.round() == []
    bench.busy.clear()
    assert await bench.round() == [(record_id, NOON_MS + 70_000)]


async def test_after_a_restart_it_goes_on_from_its_position(sandbox: RunningSandbox, org: Org, bench: Bench) -> None:
    sandbox.org.clock.advance(700)  # further than the overlap
    record_id = account(sandbox)
    sandbox.org.clock.advance(60)
    again = Bench(sandbox, org)
    again.publisher.position = bench.publisher.position
    await again.reconciler.open()
    assert (record_id, NOON_MS + 710_000) in await again.round()


async def test_the_reserve_of_api_calls_is_left_to_others(sandbox: RunningSandbox, bench: Bench) -> None:
    sandbox.org.clock.advance(60)
    account(sandbox)
    sandbox.org.clock.advance(60)
    for _ in range(20):
        await bench.org.limits()
    used = bench.org.api_usage
    assert used is not None
    sandbox.org.faults.api_allocation = used.used + 3  # of more than 20: less than the 20 % that are for others
    await bench.org.limits()
    assert await bench.round() == []
    sandbox.org.faults.api_allocation = None
    await bench.org.limits()
    assert len(await bench.round()) == 1


async def test_an_object_that_the_org_does_not_have_does_not_stop_the_others(sandbox: RunningSandbox, org: Org) -> None:
    bench = Bench(sandbox, org, "Nothing__c", "Account")
    await bench.round()
    sandbox.org.clock.advance(60)
    record_id = account(sandbox)
    sandbox.org.clock.advance(60)
    assert [told for told, _ in await bench.round()] == [record_id]
