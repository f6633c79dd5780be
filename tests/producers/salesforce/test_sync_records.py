"""Rows as change records: what the contracts agent takes, whatever their size."""

import msgspec

from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.salesforce.row_values import ReadRow
from fakturo.producers.salesforce.sync_records import outgoing, snapshot_ends, sync_record
from fakturo.schemas.events.change_data import decode_change

ORG = "00D000000000001EAA"


def test_a_row_that_no_reader_would_take_comes_without_its_longest_texts() -> None:
    values = {"UnitPrice": "49.90", "Notes__c": "é" * 400_000, "Terms__c": "x" * 131_072, "Active__c": True}
    record = sync_record(ORG, "OrderItem", ReadRow("802000000000001AAA", 1, False, dict(values)), src="resync", why="w")
    (out,) = outgoing([record], 4)
    told = decode_change(out.value)
    # 400,000 letters of two bytes and 131,072 of one are 931,072 bytes; without the longest text the rest is short.
    assert told.diff == ("Notes__c",)
    assert {name: told.values[name] for name in ("UnitPrice", "Active__c")} == {"UnitPrice": "49.90", "Active__c": True}
    assert len(str(told.values["Terms__c"])) == 131_072
    assert len(out.value) < Settings.model_fields["event_bytes_max"].default


def test_a_short_row_is_left_as_it_is() -> None:
    row = ReadRow("802000000000001AAA", 1, False, {"UnitPrice": "49.90"})
    record = sync_record(ORG, "OrderItem", row, src="resync", why="w")
    assert (record.values, record.diff) == ({"UnitPrice": "49.90"}, ())


def test_each_partition_has_an_end_of_its_own() -> None:
    ends = snapshot_ends(ORG, "OrderItem", "OrderItem/1", 1_000, 3)
    assert [one.partition for one in ends] == [0, 1, 2]
    assert len({msgspec.json.decode(one.value)["eventId"] for one in ends}) == 3
    assert {one.topic for one in ends} == {"sf.cdc.OrderItem"}
