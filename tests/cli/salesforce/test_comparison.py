"""What counts as drift between a row of the org and a record of the book."""

from typing import Any

import pytest

from fakturo.cli.salesforce.comparison import (
    DELETED_IN_BOOK,
    MISSING_IN_BOOK,
    MISSING_IN_ORG,
    BookRecord,
    Difference,
    compared_fields,
    differences,
    is_equal,
)
from fakturo.producers.salesforce.row_values import ReadRow

FIELDS = {"UnitPrice": "currency", "Description": "string"}


def row(record_id: str, *, is_deleted: bool = False, **values: Any) -> ReadRow:
    return ReadRow(record_id, 1_793_534_400_000, is_deleted, values)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("currency", "49.90", "49.9"),
        ("double", "5.00", 5),
        ("int", 7, "7"),
        ("boolean", True, "true"),
        ("datetime", "2026-11-01T12:00:00.000Z", "2026-11-01T13:00:00.000+01:00"),
        ("string", None, ""),
        ("date", "2026-11-01", "2026-11-01"),
    ],
)
def test_values_that_mean_the_same_are_equal(kind: str, one: Any, other: Any) -> None:
    assert is_equal(kind, one, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [("currency", "49.90", "49.91"), ("boolean", False, None), ("string", "5.0", "5"), ("double", "0", None)],
)
def test_values_that_do_not_are_drift(kind: str, one: Any, other: Any) -> None:
    assert not is_equal(kind, one, other)


def test_each_field_that_differs_is_named() -> None:
    book = {"a": BookRecord({"UnitPrice": "10.00", "Description": "old", "Extra": 1}, is_deleted=False)}
    assert differences("OrderItem", FIELDS, [row("a", UnitPrice="10.0", Description="new")], book) == [
        Difference("OrderItem", "a", "Description", "new", "old")
    ]


def test_a_record_that_only_one_side_has_is_one_difference() -> None:
    book = {
        "gone": BookRecord({}, is_deleted=True),
        "lives": BookRecord({}, is_deleted=False),
        "both": BookRecord({}, is_deleted=True),
    }
    rows = [
        row("new"),
        row("gone"),
        row("lives", is_deleted=True),
        row("both", is_deleted=True),
        row("?", is_deleted=True),
    ]
    assert [(one.record_id, one.book) for one in differences("OrderItem", FIELDS, rows, book)] == [
        ("new", MISSING_IN_BOOK),
        ("gone", DELETED_IN_BOOK),
        ("lives", MISSING_IN_ORG),
    ]


def test_formulas_our_own_fields_and_what_events_lack_are_not_compared() -> None:
    fields = [
        {"name": "UnitPrice", "type": "currency"},
        {"name": "TotalPrice", "type": "currency"},
        {"name": "Margin__c", "type": "double", "calculated": True},
        {"name": "SystemModstamp", "type": "datetime"},
        {"name": "LastModifiedDate", "type": "datetime"},
        {"name": "IsDeleted", "type": "boolean"},
    ]
    assert compared_fields({"name": "OrderItem", "fields": fields}) == {"UnitPrice": "currency"}
