"""What a transaction tells, stamps and undoes: Change Data Capture Developer Guide, "Transaction-Based Replication"."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.objects.loading import read_field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.transactions import CommittedTransaction
from fakturo.schemas.salesforce_ids import long_id


def _org() -> tuple[SandboxOrg, list[CommittedTransaction]]:
    org = SandboxOrg(start=datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC))
    org.clock.freeze(datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC))
    told: list[CommittedTransaction] = []
    org.listeners.append(told.append)
    return org, told


def _insert(org: SandboxOrg, entity: str, **values: Any) -> str:
    with org.transaction() as transaction:
        return transaction.insert(entity, values)


def test_a_commit_has_milliseconds_and_its_stamps_end_in_000() -> None:
    org, told = _org()
    row = org.tables["Account"][_insert(org, "Account", Name="a")]
    stamps = {row[name] for name in ("CreatedDate", "LastModifiedDate", "SystemModstamp")}
    assert stamps == {"2026-03-04T05:06:07.000+0000"}
    assert told[0].at.microsecond == 890_000
    # date -u -d 2026-03-04T05:06:07 +%s
    assert told[0].commit_ms == 1_772_600_767_000


def test_several_writes_of_one_record_become_one_change_of_the_first_kind_with_the_last_values() -> None:
    org, told = _org()
    with org.transaction() as transaction:
        record_id = transaction.insert("Account", {"Name": "a"})
        transaction.update("Account", record_id, {"Name": "b"})
        gone = transaction.insert("Account", {"Name": "came and went"})
        transaction.delete("Account", gone)
    (change,) = told[0].changes
    assert (change.kind, change.record_id, change.changed["Name"]) == ("CREATE", record_id, "b")
    with org.transaction() as transaction:
        transaction.update("Account", record_id, {"Name": "c", "Fax": "1"})
        transaction.update("Account", record_id, {"Fax": None})
        transaction.delete("Account", record_id)
    assert [(one.kind, one.changed) for one in told[1].changes] == [("DELETE", {})]


def test_an_update_tells_what_differs_and_its_last_modified_date_always() -> None:
    org, told = _org()
    record_id = _insert(org, "Account", Name="a", Fax="1")
    org.clock.freeze(datetime(2026, 3, 5, tzinfo=UTC))
    with org.transaction() as transaction:
        transaction.update("Account", record_id, {"Name": "a", "Fax": None, "Phone": "2"})
    stamp = "2026-03-05T00:00:00.000+0000"
    assert told[1].changes[0].changed == {
        "Fax": None,
        "Phone": "2",
        "LastModifiedDate": stamp,
        "SystemModstamp": stamp,
    }
    with org.transaction() as transaction:
        transaction.update("Account", record_id, {"Name": "a"})
    assert told[2].changes[0].changed == {"LastModifiedDate": stamp}


def test_commit_numbers_rise_and_every_transaction_has_its_own_key() -> None:
    org, told = _org()
    for name in "abc":
        _insert(org, "Account", Name=name)
    numbers = [one.commit_number for one in told]
    assert numbers == sorted(set(numbers))
    assert min(numbers) > 2**53  # the official sample has 1652977933433528300
    assert len({one.key for one in told}) == 3


def test_leaving_with_an_exception_undoes_everything_and_tells_nothing() -> None:
    org, told = _org()
    record_id = _insert(org, "Account", Name="a")
    with pytest.raises(RuntimeError), org.transaction() as transaction:
        transaction.update("Account", record_id, {"Name": "b"})
        transaction.insert("Account", {"Name": "c"})
        raise RuntimeError
    assert [row["Name"] for row in org.tables["Account"].values()] == ["a"]
    assert len(told) == 1


def test_a_refused_write_changes_nothing_and_the_transaction_goes_on() -> None:
    org, told = _org()
    with org.transaction() as transaction:
        with pytest.raises(OrgError):
            transaction.insert("Account", {"Name": "a", "ParentId": "001000000000001AAA"})
        transaction.insert("Account", {"Name": "b"})
    assert [one.values["Name"] for one in told[0].changes] == ["b"]


def test_details_go_to_the_recycle_bin_with_their_master_and_come_back_with_it() -> None:
    org, told = _org()
    account = _insert(org, "Account", Name="a")
    order = _insert(org, "Order", AccountId=account, EffectiveDate="2026-01-01")
    lines = [_insert(org, "OrderItem", OrderId=order, Quantity=1, UnitPrice=5) for _ in range(2)]
    with org.transaction() as transaction:
        transaction.delete("OrderItem", lines[0])  # earlier, on its own: stays deleted
    with org.transaction() as transaction:
        transaction.delete("Order", order)
    assert [(one.kind, one.record_id) for one in told[-1].changes] == [("DELETE", order), ("DELETE", lines[1])]
    with org.transaction() as transaction:
        transaction.undelete("Order", order)
    assert [(one.kind, one.record_id) for one in told[-1].changes] == [("UNDELETE", order), ("UNDELETE", lines[1])]
    assert org.live("OrderItem", lines[0]) is None
    assert org.tables["Order"][order]["TotalAmount"] == 5


def test_a_hard_delete_of_a_record_in_the_recycle_bin_raises_no_event() -> None:
    org, told = _org()
    record_id = _insert(org, "Account", Name="a")
    with org.transaction() as transaction:
        transaction.delete("Account", record_id)
    with org.transaction() as transaction:
        transaction.hard_delete("Account", record_id)
    assert record_id not in org.tables["Account"]
    assert [[one.kind for one in commit.changes] for commit in told] == [["CREATE"], ["DELETE"]]


def test_a_deleted_record_frees_its_external_id_and_can_come_back_only_while_it_is_free() -> None:
    org, _ = _org()
    for field in read_field({"name": "Ext__c", "type": "string", "external_id": True, "unique": True}):
        org.add_field("Account", field)
    first = _insert(org, "Account", Name="a", Ext__c="1")
    with org.transaction() as transaction:
        transaction.delete("Account", first)
    _insert(org, "Account", Name="b", Ext__c="1")
    with org.transaction() as transaction, pytest.raises(OrgError, match="DUPLICATE_VALUE"):
        transaction.undelete("Account", first)


def test_the_same_seed_and_writes_give_the_same_ids_and_keys() -> None:
    (one, first), (other, second) = _org(), _org()
    for org in (one, other):
        _insert(org, "Account", Name="a")
    assert first[0].key == second[0].key
    assert one.tables == other.tables


def test_ids_are_valid_and_never_the_same() -> None:
    org, _ = _org()
    ids = [_insert(org, "Account", Name=str(number)) for number in range(200)]
    assert len(set(ids)) == 200
    assert all(long_id(one[:15]) == one and one.startswith("001") for one in ids)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "delete", "undelete", "hard_delete", "line"]),
        st.integers(0, 5),
        st.integers(1, 9),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(before=_STEPS, undone=_STEPS)
def test_an_undone_transaction_leaves_rows_and_look_ups_as_they_were(
    before: list[tuple[str, int, int]], undone: list[tuple[str, int, int]]
) -> None:
    org, _ = _org()
    for field in read_field({"name": "Ext__c", "type": "string", "external_id": True, "unique": True}):
        org.add_field("Order", field)
    with org.transaction() as transaction:
        _do(transaction, before)
    rows = {name: dict(table) for name, table in org.tables.items()}
    with pytest.raises(RuntimeError), org.transaction() as transaction:
        _do(transaction, undone)
        transaction.settle_totals()
        raise RuntimeError
    assert {name: dict(table) for name, table in org.tables.items()} == rows
    for table in (org.tables["Order"], org.tables["OrderItem"]):
        for name, index in table.indexes.items():
            found = {one for row in table.values() for one in index.ids(row[name]) if row[name] is not None}
            expected = {
                key
                for key, row in table.items()
                if row[name] is not None and (index.field.cascade or not row["IsDeleted"])
            }
            assert found == expected


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_an_orders_total_is_the_sum_of_its_live_lines(steps: list[tuple[str, int, int]]) -> None:
    org, _ = _org()
    for step in steps:
        with org.transaction() as transaction:
            _do(transaction, [step])
    for order in org.tables["Order"].live():
        lines = [row for row in org.tables["OrderItem"].live() if row["OrderId"] == order["Id"]]
        assert (order["TotalAmount"] or 0) == sum((row["Quantity"] * row["UnitPrice"] for row in lines), Decimal(0))


def _do(transaction: Any, steps: list[tuple[str, int, int]]) -> None:
    """Make what sense there is in random steps; what the org refuses is refused."""
    for action, which, value in steps:
        orders = list(transaction.org.tables["Order"])
        picked = orders[which % len(orders)] if orders else "801000000000001AAA"
        try:
            if action == "insert":
                values = {"Ext__c": str(value)} if "Ext__c" in transaction.org.objects["Order"].fields else {}
                transaction.insert("Order", {"EffectiveDate": "2026-01-01", **values})
            elif action == "line":
                transaction.insert("OrderItem", {"OrderId": picked, "Quantity": value, "UnitPrice": which})
            elif action == "update":
                transaction.update("Order", picked, {"PoNumber": str(value)})
            else:
                getattr(transaction, action)("Order", picked)
        except OrgError:
            continue
