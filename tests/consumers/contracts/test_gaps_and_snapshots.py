"""What no event told: gaps answered by a row, whole readings that sweep, reconciliations that find drift."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.reducer import RecordState
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from tests.consumers.contracts.desk import NO_RECORD, Desk, ms, record, snapshot_end

Connect = Callable[[], Awaitable[asyncpg.Connection]]
FIRST, GAP, READ = "2013-01-01T10:00:00Z", "2013-02-01T10:00:00Z", "2013-03-01T10:00:00Z"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def row(crm: SimpleNamespace, record_id: str, stamp: str, **given: Any) -> dict[str, Any]:
    """Return a row that was read: SYNC, its commit being the SystemModstamp."""
    extra = {name: given.pop(name) for name in ("gapTs", "snapshot", "src", "eventId") if name in given}
    found = crm.change(given.pop("entity", "OrderItem"), record_id, stamp, "SYNC", **given)
    identity = f"sync/{record_id}/{stamp}/{extra.get('snapshot')}/{extra.get('gapTs')}/{extra.get('src')}"
    return {**found, "full": True, "eventId": identity, **extra}


def count(name: str, entity: str) -> float:
    return REGISTRY.get_sample_value(f"fakturo_{name}_total", {"entity": entity}) or 0.0


async def test_what_the_answer_to_a_gap_changes_took_effect_at_the_gap(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(
        crm.change("OrderItem", item, FIRST, Quantity="1", UnitPrice="5", Description="a"),
        crm.change("OrderItem", item, GAP, "GAP_UPDATE"),
        crm.change("OrderItem", item, "2013-02-10T10:00:00Z", "UPDATE", UnitPrice="7"),
        row(crm, item, READ, gapTs=ms(GAP), Quantity="3", UnitPrice="7", Description="a"),
    )
    history = await desk.history(item, "Quantity", "UnitPrice", "Description")
    assert history.value(("Quantity",)) == "3"
    assert history.gap is None
    assert history.holds_since("Quantity") == at(GAP)  # it differs, and nothing newer than the gap was told of it
    assert history.holds_since("UnitPrice") == at("2013-02-10T10:00:00Z")  # an event had told
    assert history.holds_since("Description") == at(FIRST)  # it did not change


async def test_what_changed_again_after_the_gap_takes_effect_when_the_row_was_changed(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(
        crm.change("OrderItem", item, FIRST, Quantity="1"),
        crm.change("OrderItem", item, "2013-02-10T10:00:00Z", "UPDATE", Quantity="2"),
        row(crm, item, READ, gapTs=ms(GAP), Quantity="3"),
    )
    assert (await desk.history(item, "Quantity")).holds_since("Quantity") == at(READ)


async def test_a_created_record_whose_event_was_lost_begins_at_the_gap(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(
        crm.change("OrderItem", item, GAP, "GAP_CREATE"), row(crm, item, READ, gapTs=ms(GAP), Quantity="3")
    )
    assert (await desk.history(item, "Quantity")).holds_since("Quantity") == at(GAP)


async def test_a_deletion_that_only_the_answer_to_a_gap_told_took_effect_at_the_gap(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(
        crm.change("OrderItem", item, FIRST, Quantity="1"),
        crm.change("OrderItem", item, GAP, "GAP_DELETE"),
        row(crm, item, READ, gapTs=ms(GAP), Quantity="1", IsDeleted=True),
    )
    assert (await desk.history(item)).deleted_at() == at(GAP)


async def test_a_row_older_than_what_is_known_of_a_field_does_not_win(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(crm.change("OrderItem", item, READ, "UPDATE", Quantity="9"))
    await desk.hand_in(row(crm, item, GAP, Quantity="1", UnitPrice="5", snapshot="s1"))
    found = await desk.values(item)
    assert (found["Quantity"], found["UnitPrice"]) == ("9", "5")


async def _world(desk: Desk, crm: SimpleNamespace) -> list[Any]:
    """Return three items in partition 0 and one in partition 1; the reading finds one of them, and one newer came."""
    in_other = crm.change("OrderItem", "802NY0000000030", FIRST, Quantity="1")
    return [
        record(crm.change("OrderItem", crm.TERMINAL_ITEM_ID, FIRST, Quantity="1")),
        record(crm.change("OrderItem", crm.DISTANCE_ITEM_ID, FIRST, Quantity="1")),
        record(in_other, partition=1),
        record(crm.change("Order", crm.ORDER_ID, FIRST, EffectiveDate="2013-01-01")),
        record(row(crm, crm.TERMINAL_ITEM_ID, FIRST, snapshot="s1", Quantity="1")),
        record(crm.change("OrderItem", "802NY0000000031", "2013-03-02T10:00:00Z", Quantity="1")),
        record(snapshot_end("OrderItem", "s1", READ)),
        record(crm.change("OrderItem", "802NY0000000032", FIRST, Quantity="1", eventId="late")),
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_what_a_whole_reading_did_not_find_is_deleted_since_it_began_wherever_batches_end(
    crm: SimpleNamespace, offers: Offers, connect: Connect, seed: int
) -> None:
    desk, rng = Desk.of(await connect(), offers), random.Random(seed)
    records = await _world(desk, crm)
    while records:
        size = rng.randint(1, len(records)) if seed else len(records)
        await desk.hand_in(*records[:size])
        del records[:size]
    found = await desk.connection.fetch(
        "SELECT record_id, effective_at FROM contracts.field_version WHERE field = '$swept' AND value = 'true'"
    )
    # The reading found one; one is in another partition, one of another object, one came since it began, and one that
    # was told of after the reading's end was not there for it to find.
    assert [tuple(one) for one in found] == [(crm.DISTANCE_ITEM_ID, at(READ))]
    assert (await desk.history(crm.DISTANCE_ITEM_ID)).deleted_at() == at(READ)
    marks = await desk.connection.fetch("SELECT role FROM contracts.changed WHERE record_id = $1", crm.DISTANCE_ITEM_ID)
    assert len(marks) == 2  # as it came, and as it was swept


async def test_the_end_of_a_reading_counts_once(crm: SimpleNamespace, offers: Offers, connect: Connect) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(snapshot_end("OrderItem", "s1", READ))
    tx = await desk.hand_in(
        crm.change("OrderItem", crm.TERMINAL_ITEM_ID, FIRST, Quantity="1"), snapshot_end("OrderItem", "s1", READ)
    )
    assert tx.outcomes["sf.cdc.OrderItem", "duplicate"] == 1
    assert (await desk.history(crm.TERMINAL_ITEM_ID)).deleted_at() is None
    other_partition = record(snapshot_end("OrderItem", "s1", READ), partition=1)
    tx = await desk.hand_in(other_partition)
    assert tx.outcomes["sf.cdc.OrderItem", "applied"] == 1


async def test_the_reading_of_one_org_sweeps_nothing_of_another(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(crm.change("OrderItem", crm.TERMINAL_ITEM_ID, FIRST, Quantity="1"))
    await desk.hand_in(snapshot_end("OrderItem", "s1", READ, org="00DOTHER0000000AAA"))
    assert (await desk.history(crm.TERMINAL_ITEM_ID)).deleted_at() is None


async def test_a_deletion_that_is_told_later_knows_better_than_the_sweep_and_life_takes_it_back(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, item = Desk.of(await connect(), offers), crm.TERMINAL_ITEM_ID
    await desk.hand_in(crm.change("OrderItem", item, FIRST, Quantity="1"), snapshot_end("OrderItem", "s1", READ))
    deleted_at = "2013-03-01T10:05:00Z"  # while the object was read
    await desk.hand_in(crm.change("OrderItem", item, deleted_at, "DELETE"))
    assert (await desk.history(item)).deleted_at() == at(deleted_at)
    await desk.hand_in(crm.change("OrderItem", item, "2013-03-02T10:00:00Z", "UNDELETE", Quantity="1"))
    assert (await desk.history(item)).deleted_at() is None
    assert (await desk.values(item))["$swept"] is False


async def test_a_swept_item_ends_its_subscription_on_the_day_that_the_reading_began(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(*crm.order_of_american())
    await desk.publish()
    await desk.hand_in(
        row(crm, crm.DISTANCE_ITEM_ID, "2012-12-15T12:00:00Z", snapshot="s1", Quantity="1"),
        snapshot_end("OrderItem", "s1", READ),
    )
    (changed,) = await desk.publish()
    ends = {item.product_code: str(item.service_end_on) for item in changed.data.items}
    assert ends == {"TERMINAL": "2013-03-01", "DISTANCE": "2013-09-16"}


@pytest.mark.parametrize(
    ("kind", "record_id"), [("GAP_OVERFLOW", NO_RECORD), ("GAP_UPDATE", "802*"), ("GAP_UPDATE", NO_RECORD)]
)
async def test_a_gap_that_names_no_record_is_kept_and_mended_by_the_next_whole_reading(
    crm: SimpleNamespace, offers: Offers, connect: Connect, kind: str, record_id: str
) -> None:
    desk, before = Desk.of(await connect(), offers), count("crm_object_gaps", "OrderItem")
    gap = {**crm.change("OrderItem", record_id, GAP, kind), "recordId": record_id}
    tx = await desk.hand_in(gap, gap)
    assert tx.rejections == []
    assert tx.outcomes["sf.cdc.OrderItem", "duplicate"] == 1
    assert count("crm_object_gaps", "OrderItem") == before + 1
    assert await desk.connection.fetchval("SELECT count(*) FROM contracts.record") == 0
    query = "SELECT change_type, committed_at, mended_at FROM contracts.object_gap"
    assert [tuple(one) for one in await desk.connection.fetch(query)] == [(kind, at(GAP), None)]
    await desk.hand_in(snapshot_end("OrderItem", "early", FIRST))
    assert (await desk.connection.fetchrow(query))["mended_at"] is None
    await desk.hand_in(snapshot_end("OrderItem", "s1", READ))
    assert (await desk.connection.fetchrow(query))["mended_at"] == at(READ)


async def test_a_reconciliation_that_changes_a_value_that_is_read_is_drift(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk, before = Desk.of(await connect(), offers), count("crm_drift", "OrderItem")
    item = crm.TERMINAL_ITEM_ID
    await desk.hand_in(
        crm.change("OrderItem", item, FIRST, Quantity="1", UnitPrice="5.0", TotalPrice="5", Fakturo_Anchor__c="")
    )
    found = row(
        crm,
        item,
        READ,
        src="reconcile",
        Quantity="3",
        UnitPrice="5.00",
        TotalPrice="15",
        Fakturo_Anchor__c=None,
        Odd__c="x",
    )
    unknown = row(crm, crm.DISTANCE_ITEM_ID, READ, src="reconcile", Quantity="1")
    late = row(crm, item, "2013-02-01T00:00:00Z", src="reconcile", Quantity="8")
    await desk.hand_in(found, found, unknown, late, row(crm, item, "2013-03-02T10:00:00Z", Quantity="4"))
    rows = await desk.connection.fetch(
        "SELECT record_id, field, had::text, now::text, committed_at FROM contracts.drift ORDER BY record_id"
    )
    # "5.0" is 5.00 and "" is null; TotalPrice is read by no profile; the late row was older than what is known, and
    # the last row was no reconciliation.
    assert [tuple(one) for one in rows] == [
        (item, "Quantity", '"1"', '"3"', at(READ)),
        (crm.DISTANCE_ITEM_ID, "$whole", "null", "true", at(READ)),
    ]
    assert count("crm_drift", "OrderItem") == before + 2


async def test_unknown_objects_and_fields_are_kept_raw_and_counted(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    other, mapped = count("crm_unmapped", "other"), count("crm_unmapped", "Order")
    tx = await desk.hand_in(
        crm.change("Weather__c", "a00NY0000000001", FIRST, Rain__c="12.5", Sun__c=True),
        crm.change("Order", crm.ORDER_ID, FIRST, EffectiveDate="2013-01-01", Weather__c="x"),
    )
    assert tx.rejections == []
    assert count("crm_unmapped", "other") == other + 2
    assert count("crm_unmapped", "Order") == mapped + 1
    assert (await desk.values(crm.ORDER_ID))["Weather__c"] == "x"
    kept = await desk.connection.fetchval("SELECT count(*) FROM contracts.record WHERE entity = 'Weather__c'")
    assert kept == 1


async def test_a_snapshots_end_without_its_name_is_a_dead_letter(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    tx = await desk.hand_in(snapshot_end("OrderItem", "", READ))
    assert [one.reason for one in tx.rejections] == [Reason.UNKNOWN_SHAPE]


async def test_a_row_that_a_later_reading_finds_unchanged_or_unreadable_keeps_its_record(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    same = {**row(crm, crm.TERMINAL_ITEM_ID, FIRST, Quantity="1"), "eventId": "sync/the-same-in-each-reading"}
    other = row(crm, crm.DISTANCE_ITEM_ID, FIRST, Quantity="1", snapshot="s1")
    await desk.hand_in({**same, "snapshot": "s1"}, other, snapshot_end("OrderItem", "s1", GAP))
    bad = row(crm, crm.DISTANCE_ITEM_ID, FIRST, Quantity="1,5", snapshot="s2")
    tx = await desk.hand_in({**same, "snapshot": "s2"}, bad, snapshot_end("OrderItem", "s2", READ))
    assert [one.reason for one in tx.rejections] == [Reason.INVALID_AMOUNT]
    assert (await desk.history(crm.TERMINAL_ITEM_ID)).deleted_at() is None
    assert (await desk.history(crm.DISTANCE_ITEM_ID)).deleted_at() is None


async def test_two_workers_that_end_readings_of_their_partitions_at_once_sweep_each_their_own(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    one, other = Desk.of(await connect(), offers), Desk.of(await connect(), offers)
    ids = [f"802NY00000000{number}" for number in range(40, 48)]
    rows = [record(crm.change("OrderItem", key, FIRST, Quantity="1"), partition=n % 2) for n, key in enumerate(ids)]
    await one.hand_in(*rows)
    async with one.connection.transaction():
        await one.hand_in(record(snapshot_end("OrderItem", "s1", READ), partition=0))
        await other.hand_in(record(snapshot_end("OrderItem", "s1", READ), partition=1))  # does not wait
    query = "SELECT count(DISTINCT record_id), count(*) FROM contracts.field_version WHERE field = '$swept'"
    assert tuple(await other.connection.fetchrow(query)) == (8, 8)


HOT = timedelta(milliseconds=1)
"""By how much a row of a record that never rests is dated before its stamp."""


def test_an_event_that_says_what_a_row_said_a_millisecond_before_knows_when_it_took_effect() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def fact(value: str, effective_at: datetime, *, is_row: bool) -> Fact:
        return Fact(field="Name", value=value, effective_at=effective_at, recorded_at=at, is_row=is_row)

    told_at = at + timedelta(seconds=1)
    told = RecordHistory.of(
        "Account",
        "001000000000001AAA",
        [
            fact("old", at - timedelta(minutes=1), is_row=False),
            fact("new", told_at - HOT, is_row=True),
            fact("new", told_at, is_row=False),
        ],
    )
    assert told.holds_since("Name") == told_at


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_a_row_of_a_record_that_never_rests_hides_no_event_of_the_second_before(order: tuple[int, ...]) -> None:
    """Empty at 12:00:00, filled at 12:00:53, emptied at 12:00:54, which nobody told: the row of stamp :54 found it."""
    began_at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    filled_at, read_at = began_at + timedelta(seconds=53), began_at + timedelta(seconds=54) - HOT
    says = [(began_at, None, False), (filled_at, "555", False), (read_at, None, True)]
    state, facts = RecordState(), []
    for arrival, (at, value, is_row) in enumerate(says[place] for place in order):
        state.apply({"Phone": value}, round(at.timestamp() * 1000))
        facts.append(Fact(field="Phone", value=value, effective_at=at, recorded_at=at, arrival=arrival, is_row=is_row))
    assert state.values == {"Phone": None}
    assert RecordHistory.of("Account", "001000000000001AAA", facts).holds_since("Phone") == read_at
