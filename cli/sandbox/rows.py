"""The records of one object: rows by id, and who is found by which value.

Place     transactions.py writes; REST, SOQL and the bus read -> [this].
Rules     A row is never changed in place: a write puts a new one, so whoever holds a row holds that moment's values.
          Deleted rows stay with IsDeleted true (the recycle bin) until a hard delete. External ids find live rows
          only; a parent finds deleted children, too.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.stamp_order import StampOrder


class Row(dict[str, Any]):
    """Values by flat field name; a name that is not there is null, and reads as None."""

    __slots__ = ()

    def __missing__(self, name: str) -> None:
        return None


class Index:
    """Ids by the value of one field, in the order in which they came."""

    __slots__ = ("_by_value", "field")

    def __init__(self, field: Field) -> None:
        self.field = field
        self._by_value: dict[Any, dict[str, None]] = {}

    def ids(self, value: Any) -> list[str]:
        """Return the records that hold `value`."""
        return list(self._by_value.get(self._key(value), ()))

    def add(self, row: Row) -> None:
        """Take a row in, if it holds a value."""
        value = row[self.field.name]
        if value is not None and (self.field.cascade or not row["IsDeleted"]):
            self._by_value.setdefault(self._key(value), {})[row["Id"]] = None

    def drop(self, row: Row) -> None:
        """Take a row out."""
        value = row[self.field.name]
        if value is None:
            return
        key = self._key(value)
        found = self._by_value.get(key)
        if found is not None:
            found.pop(row["Id"], None)
            if not found:
                del self._by_value[key]

    def _key(self, value: Any) -> Any:
        return value.lower() if isinstance(value, str) and not self.field.case_sensitive else value


class Table(dict[str, Row]):
    """The rows of one object by 18-character id; write through `put` alone."""

    def __init__(self, entity: SObject) -> None:
        super().__init__()
        self.entity = entity
        self.last_number = 0
        self.auto_numbers: dict[str, int] = {}
        self.indexes: dict[str, Index] = {}
        self._by_stamp: StampOrder | None = None
        self.index_fields()

    def put(self, record_id: str, row: Row | None) -> Row | None:
        """Set a row, or take it away with None; return the one that was there."""
        before = self.get(record_id)
        for index in self.indexes.values():
            if before is not None:
                index.drop(before)
            if row is not None:
                index.add(row)
        if self._by_stamp is not None and row is not None and _stamp(row) != _stamp(before):
            self._by_stamp.add(row)
        if row is None:
            self.pop(record_id, None)
        else:
            self[record_id] = row
        return before

    def index_fields(self) -> None:
        """Build the indexes that the object's fields ask for."""
        for field in self.entity.fields.values():
            if field.indexed and field.name not in self.indexes:
                index = self.indexes[field.name] = Index(field)
                for row in self.values():
                    index.add(row)
        for name in self.indexes.keys() - self.entity.fields.keys():
            del self.indexes[name]

    def by_stamp(self) -> StampOrder:
        """Return the rows in the order of their SystemModstamp; built when it is first asked for."""
        if self._by_stamp is None or self._by_stamp.worn(len(self)):
            self._by_stamp = StampOrder(self.values())
        return self._by_stamp

    def live(self) -> Iterable[Row]:
        """Return the rows that are not deleted."""
        return (row for row in self.values() if not row["IsDeleted"])


def _stamp(row: Row | None) -> str | None:
    return None if row is None else row["SystemModstamp"]


def total(rows: Iterable[Row], name: str) -> Decimal:
    """Return the sum of a field over live rows; null counts as nothing."""
    return sum((row[name] for row in rows if row[name] is not None and not row["IsDeleted"]), Decimal(0))
