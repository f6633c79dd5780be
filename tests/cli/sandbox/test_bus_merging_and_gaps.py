"""Which events a transaction becomes: merged, enriched, a gap, an overflow, repeated, dropped, forgotten."""

from datetime import timedelta

import pytest

from fakturo.cli.sandbox.metadata import Field
from tests.cli.sandbox.bus_world import NOW_MS, logged, object_of
from tests.cli.sandbox.bus_writing import ACME, insert, update, world


def test_the_same_change_of_several_records_in_one_transaction_is_one_event() -> None:
    org, bus = world()
    first, second, third = (insert(org, "OrderItem", Quantity=number, UnitPrice=1) for number in (1, 2, 3))
    with org.transaction() as writing:
        for record_id, price in ((first, 5), (second, 6), (third, 5)):
            writing.update("OrderItem", record_id, {"UnitPrice": price})
    merged = logged(bus)[3:]
    assert [event.record_ids for event in merged] == [[first, third], [second]]
    assert [event.header["sequenceNumber"] for event in merged] == [1, 2]
    assert len({event.header["transactionKey"] for event in merged}) == 1
    with org.transaction() as writing:
        for record_id in (first, second, third):
            writing.delete("OrderItem", record_id)
    assert logged(bus)[-1].record_ids == [first, second, third]


def test_without_merging_each_record_has_its_event() -> None:
    org, bus = world()
    org.faults.apply({"merge": False})
    with org.transaction() as writing:
        for _ in range(3):
            writing.insert("OrderItem", {"Quantity": 1})
    assert [len(event.record_ids) for event in logged(bus)] == [1, 1, 1]


def test_enriched_events_are_not_merged_and_share_replay_id_and_uuid() -> None:
    org, bus = world()
    org.faults.apply({"enriched": True})
    with org.transaction() as writing:
        ids = [writing.insert("OrderItem", {"Quantity": 1}) for _ in range(3)]
    insert(org, "Account", Name="after")
    events = logged(bus)
    assert [event.record_ids for event in events[:3]] == [[one] for one in ids]
    assert len({event.replay_id for event in events[:3]}) == 1
    assert len({event.uuid for event in events}) == 2
    assert events[3].replay_id != events[0].replay_id


def test_an_object_that_is_not_selected_is_not_told_and_leaves_a_hole_in_the_sequence() -> None:
    org, bus = world(object_of("Secret", "099", [Field(name="Name", type="string")], cdc=False))
    with org.transaction() as writing:
        writing.insert("Account", {"Name": "Acme"})
        writing.insert("Secret", {"Name": "quiet"})
        writing.insert("OrderItem", {"Quantity": 1})
    assert [(event.header["entityName"], event.header["sequenceNumber"]) for event in logged(bus)] == [
        ("Account", 1),
        ("OrderItem", 3),
    ]


def test_a_gap_event_tells_which_record_and_nothing_else() -> None:
    org, bus = world()
    record_id = insert(org, "Account", **ACME)
    org.faults.apply({"gap": {"Account": 1}})
    update(org, "Account", record_id, Fax="3")
    update(org, "Account", record_id, Fax="4")
    _, gap, after = logged(bus)
    assert (gap.kind, gap.record_ids, gap.header["changedFields"]) == ("GAP_UPDATE", [record_id], [])
    assert set(gap.body.values()) == {None}
    assert gap.header["changeOrigin"] == ""
    assert after.kind == "UPDATE"


def test_too_many_changes_of_one_transaction_overflow_by_object() -> None:
    org, bus = world()
    org.faults.apply({"overflow_changes": 2})
    with org.transaction() as writing:
        writing.insert("Account", {"Name": "first"})
        writing.insert("OrderItem", {"Quantity": 1})
        for number in range(3):
            writing.insert("Account", {"Name": f"{number}"})
            writing.insert("OrderItem", {"Quantity": number})
    assert [(event.kind, event.header["entityName"]) for event in logged(bus)] == [
        *(("CREATE", "Account"), ("CREATE", "OrderItem")),
        *(("GAP_OVERFLOW", "Account"), ("GAP_OVERFLOW", "OrderItem")),
    ]
    assert logged(bus)[-1].record_ids == ["000000000000000AAA"]


def test_an_overflow_on_demand_is_told_in_place_of_the_objects_events() -> None:
    org, bus = world()
    org.faults.apply({"overflow": {"OrderItem": 1}})
    with org.transaction() as writing:
        writing.insert("OrderItem", {"Quantity": 1})
        writing.insert("Account", {"Name": "Acme"})
        writing.insert("OrderItem", {"Quantity": 2})
    assert [event.kind for event in logged(bus)] == ["GAP_OVERFLOW", "CREATE"]
    insert(org, "OrderItem", Quantity=3)
    assert logged(bus)[-1].kind == "CREATE"


def test_an_event_of_more_than_a_megabyte_is_a_gap() -> None:
    org, bus = world(object_of("Note__c", "a09", [Field(name="Body__c", type="textarea", length=2_000_000)]))
    record_id = insert(org, "Note__c", Body__c="x" * 1_100_000)
    (event,) = logged(bus)
    assert (event.kind, event.record_ids) == ("GAP_CREATE", [record_id])


def test_a_gap_may_be_of_a_whole_object() -> None:
    org, bus = world()
    org.faults.apply({"field_conversion": "Account"})
    (event,) = logged(bus)
    assert (event.kind, event.record_ids) == ("GAP_UPDATE", ["001*"])
    with pytest.raises(ValueError, match="Nope"):
        org.faults.apply({"field_conversion": "Nope"})


def test_a_repeat_on_the_bus_has_the_same_uuid_and_payload_and_another_replay_id() -> None:
    org, bus = world()
    org.faults.apply({"duplicate": 1})
    insert(org, "Account", Name="twice")
    insert(org, "Account", Name="once")
    first, repeat, other = logged(bus)
    assert (first.uuid, first.body, first.header) == (repeat.uuid, repeat.body, repeat.header)
    assert first.replay_id != repeat.replay_id
    assert other.uuid != first.uuid


def test_events_that_are_dropped_or_committed_while_the_stream_is_off_are_never_told() -> None:
    org, bus = world()
    org.faults.apply({"drop_events": {"Account": 1}})
    insert(org, "Account", Name="dropped")
    insert(org, "Account", Name="told")
    assert [event.body["Name"] for event in logged(bus)] == ["told"]
    org.faults.apply({"stream_off": True})
    insert(org, "Account", Name="in the outage")
    org.faults.apply({"stream_off": False})
    insert(org, "Account", Name="after it")
    assert [event.body["Name"] for event in logged(bus)] == ["after it"]


def test_the_org_forgets_events_by_its_own_clock() -> None:
    org, bus = world()
    insert(org, "Account", Name="old")
    org.clock.advance(71 * 3600)
    insert(org, "Account", Name="new")
    assert [event.body["Name"] for event in logged(bus)] == ["old", "new"]
    org.clock.advance(timedelta(hours=2).total_seconds())
    bus.expire()
    assert [event.body["Name"] for event in logged(bus)] == ["new"]


def test_the_event_of_a_new_price_book_entry_lacks_the_system_fields() -> None:
    org, bus = world(object_of("PricebookEntry", "01u", [Field(name="UnitPrice", type="currency", scale=2)]))
    record_id = insert(org, "PricebookEntry", UnitPrice="9.90")
    update(org, "PricebookEntry", record_id, UnitPrice="8.90")
    created, updated = logged(bus)
    assert created.body["UnitPrice"] == 9.9
    assert created.body["CreatedDate"] is None
    assert created.body["LastModifiedDate"] is None
    assert updated.body["LastModifiedDate"] == NOW_MS
