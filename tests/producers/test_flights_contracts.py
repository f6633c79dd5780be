"""The contracts of the flights year as change records, against the case's own table."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from fakturo.producers.simulate.flights_contracts import ChangeLine, airlines, catalog_path, change_lines, items_of
from fakturo.schemas.events.change_data import ChangeRecord, decode_change
from fakturo.schemas.salesforce_ids import long_id

AIRLINES = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]


@pytest.fixture(scope="module")
def changes() -> list[ChangeRecord]:
    return [decode_change(line.value) for line in change_lines()]


def test_there_are_sixteen_airlines_with_an_order_each_and_an_item_a_row(changes: list[ChangeRecord]) -> None:
    assert list(airlines()) == AIRLINES
    # 16 terminal rows (EV has two, HA none), and every airline has distance, movement, slot and cancellation.
    assert Counter(change.entity for change in changes) == {
        "Product2": 5,
        "Account": 16,
        "Order": 16,
        "OrderItem": 16 + 16 * 4,
    }


def test_a_star_row_gives_way_to_a_row_of_the_airlines_own() -> None:
    assert [(row.product, row.discount_percent) for row in items_of("DL")] == [
        ("TERMINAL", None),
        ("DISTANCE", "10"),
        ("MOVEMENT", None),
        ("SLOT", None),
        ("CANCEL", None),
    ]
    assert [row.product for row in items_of("HA")] == ["DISTANCE", "MOVEMENT", "SLOT", "CANCEL"]
    assert [(row.product, row.quantity) for row in items_of("EV")][:2] == [("TERMINAL", "1"), ("TERMINAL", "2")]


def test_an_exclusive_end_becomes_the_last_day_before_it(changes: list[ChangeRecord]) -> None:
    ends = sorted(str(change.values["EndDate"]) for change in changes if change.values.get("EndDate"))
    assert ends == ["2013-09-15", "2013-11-19"]


def test_terms_days_stand_on_the_account(changes: list[ChangeRecord]) -> None:
    terms = {
        change.values["AccountNumber"]: change.values["Fakturo_Terms_Days__c"]
        for change in changes
        if change.entity == "Account"
    }
    assert terms == dict.fromkeys(AIRLINES, "30") | {"F9": "14", "OO": "14", "YV": "14", "UA": "45"}


def test_ids_are_valid_unique_and_the_same_in_every_run(changes: list[ChangeRecord]) -> None:
    ids = [change.recordId for change in changes]
    assert [long_id(found) for found in ids] == ids
    assert len(set(ids)) == len(ids)
    assert len({change.eventId for change in changes}) == len(changes)
    assert [line.value for line in change_lines()] == [line.value for line in change_lines()]


def test_every_contract_is_committed_before_the_year_and_recorded_when_committed(changes: list[ChangeRecord]) -> None:
    lines: list[ChangeLine] = list(change_lines())
    assert [line.at for line in lines] == [change.committed_at for change in changes]
    assert lines == sorted(lines, key=lambda line: line.at)
    assert lines[-1].at < datetime(2013, 1, 1, tzinfo=UTC)


def test_the_catalog_is_shipped() -> None:
    assert "MOVEMENT:" in catalog_path().read_text()


@pytest.mark.parametrize(
    ("short", "whole"),
    # Salesforce's own example in "15-character and 18-character IDs", and ids whose suffix can be worked out by hand.
    [
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("000000000000000", "000000000000000AAA"),
        ("A0000B0000C0000", "A0000B0000C0000BBB"),
    ],
)
def test_the_checksum_of_an_id_is_salesforces(short: str, whole: str) -> None:
    assert long_id(short) == whole
    assert long_id(whole) == whole


@pytest.mark.parametrize("wrong", ["", "801", "001D000000IqhSLIAA", "001D000000Iqh-L", "001D000000IqhSLé"])
def test_an_id_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="'"):
        long_id(wrong)
