"""An object's rows in the org and in the book, field by field. Pure.

Place     drift.py (rows of both) -> [this] -> differences.
Compared  what a change event can tell of and nobody calculates or writes by the way (row_values.is_compared). Numbers
          are equal by value, instants by instant; null, an empty text and a field that the book was never told are one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from fakturo.producers.salesforce.row_values import DECIMALS, INTEGERS, ReadRow, compounds_of, is_compared
from fakturo.schemas.salesforce.compounds import dotted_name

MISSING_IN_BOOK = "the book does not have the record"
DELETED_IN_BOOK = "the book has the record as deleted"
MISSING_IN_ORG = "the org does not have the record (any more)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs, or, with `field` empty, a record that only one side has."""

    entity: str
    record_id: str
    field: str
    org: Any
    book: Any


@dataclass(frozen=True, slots=True)
class BookRecord:
    """A record of the book: its values, and whether it lives there."""

    values: Mapping[str, Any]
    is_deleted: bool


def compared_fields(described: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that must be equal, canonical name -> type of describe."""
    entity, compounds = described["name"], compounds_of(described)
    return {
        dotted_name(field): field["type"]
        for field in described["fields"]
        if is_compared(entity, field) and field["name"] not in compounds
    }


def differences(
    entity: str, fields: Mapping[str, str], rows: Iterable[ReadRow], book: Mapping[str, BookRecord]
) -> list[Difference]:
    """Return what differs between the org's `rows` and the records that the book has under their ids."""
    found: list[Difference] = []
    for row in rows:
        record = book.get(row.record_id)
        if row.is_deleted:
            if record is not None and not record.is_deleted:
                found.append(Difference(entity, row.record_id, "", "deleted", MISSING_IN_ORG))
        elif record is None or record.is_deleted:
            text = MISSING_IN_BOOK if record is None else DELETED_IN_BOOK
            found.append(Difference(entity, row.record_id, "", "lives", text))
        else:
            found += _of_record(entity, fields, row, record)
    return found


def _of_record(entity: str, fields: Mapping[str, str], row: ReadRow, record: BookRecord) -> list[Difference]:
    return [
        Difference(entity, row.record_id, name, row.values.get(name), record.values.get(name))
        for name, kind in fields.items()
        if not is_equal(kind, row.values.get(name), record.values.get(name))
    ]


def is_equal(kind: str, one: Any, other: Any) -> bool:
    """Return whether two values of a field of this type mean the same."""
    return bool(_meaning(kind, one) == _meaning(kind, other))


def _meaning(kind: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    try:
        if kind in DECIMALS or kind in INTEGERS:
            return Decimal(str(value))
        if kind == "boolean":
            return str(value).lower() == "true"
        if kind == "datetime":
            return datetime.fromisoformat(value).astimezone(UTC)
    except (InvalidOperation, ValueError, TypeError):
        return value
    return value
