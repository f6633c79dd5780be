"""The reducer: facts in any order give one state."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.contracts.reducer import RecordState, check_values, facts_of
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import ChangeRecord, Commit, decode_change

START = datetime(2013, 1, 1, tzinfo=UTC)


def _change(kind: str, ts: int = 1, **fields: object) -> ChangeRecord:
    return ChangeRecord(
        v=1, entity="OrderItem", recordId="802NY0000000006YAA", changeType=kind, commit=Commit(ts=ts), **fields
    )  # type: ignore[arg-type]


def test_an_update_takes_only_the_fields_that_it_names_and_sets_the_nulled_ones_to_null() -> None:
    change = _change(
        "UPDATE",
        changed=("Quantity",),
        nulled=("EndDate",),
        values={"Quantity": "2", "UnitPrice": None, "EndDate": None},
    )
    assert facts_of(change) == {"Quantity": "2", "EndDate": None}


def test_a_compound_named_as_a_whole_takes_its_dotted_parts() -> None:
    change = _change("UPDATE", changed=("BillingAddress",), values={"BillingAddress.City": "Dallas", "Name": None})
    assert facts_of(change) == {"BillingAddress.City": "Dallas"}


def test_a_text_diff_is_not_taken_for_the_value() -> None:
    change = _change("UPDATE", changed=("Description", "Quantity"), diff=("Description",),
                     values={"Description": "--- \n+++ 1", "Quantity": "3"})  # fmt: skip
    assert facts_of(change) == {"Quantity": "3"}


def test_deletion_is_a_fact_of_its_own_and_undelete_takes_it_back() -> None:
    state = RecordState()
    state.apply(facts_of(_change("CREATE", 1, values={"Quantity": "1"})), 1)
    state.apply(facts_of(_change("DELETE", 5)), 5)
    assert state.values["$deleted"] is True
    assert state.values["Quantity"] == "1"
    state.apply(facts_of(_change("UNDELETE", 7, values={"Quantity": "4"})), 7)
    assert state.values["$deleted"] is False
    assert state.values["Quantity"] == "4"


def test_a_whole_row_read_before_a_later_change_does_not_undo_it() -> None:
    state = RecordState()
    state.apply(facts_of(_change("UPDATE", 10, changed=("Quantity",), values={"Quantity": "9"})), 10)
    state.apply(facts_of(_change("SYNC", 6, full=True, values={"Quantity": "1", "UnitPrice": "5"})), 6)
    assert (state.values["Quantity"], state.values["UnitPrice"]) == ("9", "5")


def test_of_two_changes_in_one_commit_the_later_arrival_counts() -> None:
    state = RecordState()
    state.apply({"Quantity": "1"}, 5)
    state.apply({"Quantity": "2"}, 5)
    assert state.values["Quantity"] == "2"


def test_a_gap_stays_until_the_record_is_read_again() -> None:
    state = RecordState()
    state.apply(facts_of(_change("GAP_UPDATE", 5)), 5)
    assert state.values["$gap"] == "GAP_UPDATE"
    state.apply(facts_of(_change("SYNC", 6, full=True, values={"Quantity": "1"})), 6)
    assert state.values["$gap"] is None


def test_a_change_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SchemaError) as caught:
        facts_of(_change("EVAPORATE"))
    assert caught.value.reason is Reason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"Quantity": 1.5}, Reason.FLOAT_AMOUNT),
        ({"Quantity": "NaN"}, Reason.NOT_A_NUMBER),
        ({"UnitPrice": "12,50"}, Reason.INVALID_AMOUNT),
        ({"UnitPrice": "1e3"}, Reason.INVALID_AMOUNT),
        ({"Quantity": True}, Reason.INVALID_AMOUNT),
        ({"ServiceDate": "2013-02-30"}, Reason.INVALID_TIME),
        ({"ServiceDate": "20130201"}, Reason.INVALID_TIME),
        ({"OrderId": 7}, Reason.UNKNOWN_SHAPE),
    ],
)
def test_a_value_that_cannot_be_billed_is_refused(facts: dict[str, object], reason: Reason) -> None:
    with pytest.raises(SchemaError) as caught:
        check_values(facts, "OrderItem", load_profile())
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("entity", "field", "value"),
    [
        ("Order", "Fakturo_Spend_Cap__c", 1.5),
        ("Order", "Fakturo_Commitment_Amount__c", "NaN"),
        ("Order", "Fakturo_Term_Months__c", "a year"),
        ("Order", "Fakturo_Paused_From__c", "2026-02-30"),
        ("Order", "Fakturo_Cancel_On__c", "soon"),
        ("OrderItem", "Fakturo_Billing_Months__c", True),
        ("OrderItem", "Fakturo_Effective_On__c", "1.3.2026"),
        ("OrderItem", "Fakturo_Trial_End__c", "14"),
    ],
)
def test_a_number_or_date_of_the_new_fields_that_is_none_is_refused(entity: str, field: str, value: object) -> None:
    with pytest.raises(SchemaError, match=field):
        check_values({field: value}, entity, load_profile())


def test_integers_decimal_strings_and_unknown_fields_pass() -> None:
    facts = {"Quantity": 3, "UnitPrice": "49.90", "ServiceDate": "2013-02-01", "Weight__c": 1.5, "EndDate": None}
    check_values(facts, "OrderItem", load_profile())


FIELDS = st.dictionaries(st.sampled_from(["Quantity", "UnitPrice", "EndDate"]), st.integers(0, 9).map(str), min_size=1)


@given(
    st.lists(FIELDS, min_size=1, max_size=8).flatmap(
        lambda all_: st.tuples(st.just(all_), st.permutations(range(len(all_))))
    )
)
def test_changes_in_any_order_give_the_state_of_the_order_of_commits(
    given_changes: tuple[list[dict[str, str]], list[int]],
) -> None:
    changes, order = given_changes
    expected: dict[str, str] = {}
    for values in changes:
        expected.update(values)

    shuffled = RecordState()
    for index in order:
        shuffled.apply(dict(changes[index]), index)
    assert shuffled.values == expected

    facts = [
        Fact(field=name, value=value, effective_at=START + timedelta(seconds=index), recorded_at=START, arrival=arrival)
        for arrival, index in enumerate(order)
        for name, value in changes[index].items()
    ]
    history = RecordHistory.of("OrderItem", "802NY0000000006YAA", facts)
    assert {name: history.value([name]) for name in expected} == expected


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-30"])
def test_a_day_at_the_edge_of_the_calendar_is_refused_but_for_the_very_last(day: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_values({"EndDate": day}, "OrderItem", load_profile())
    assert caught.value.reason is Reason.INVALID_TIME
    check_values({"EndDate": "9999-12-31"}, "OrderItem", load_profile())


def test_a_commit_at_the_edge_of_the_calendar_is_refused() -> None:
    first_day_ms = -62_135_596_800_000
    change = {"v": 1, "entity": "Order", "recordId": "802NY0000000006YAA", "changeType": "DELETE", "values": {}}
    with pytest.raises(SchemaError) as caught:
        decode_change(encode({**change, "commit": {"ts": first_day_ms}}))
    assert caught.value.reason is Reason.INVALID_TIME
