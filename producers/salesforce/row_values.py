"""Rows of an org, as REST or Bulk give them, to the values of our change records: which fields, names and form.

Place     an object's describe -> [this] -> snapshot, resync, reconciliation, `fakturo salesforce drift`. Pure.
Fields    read are those that a change event can tell of: no compounds (their parts are read), no binaries, nothing that
          the event lacks, nothing that we write ourselves: the book holds nothing that the stream could never mend.
          Compared with the book are those of them that are not calculated: a formula changes without an event.
Form      as in change events: decimals as text to the field's scale, dates `YYYY-MM-DD`, datetimes ISO Z, parts dotted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fakturo.schemas.events.change_data import FieldValue
from fakturo.schemas.salesforce.avro_fields import decimal_text
from fakturo.schemas.salesforce.compounds import dotted_name
from fakturo.schemas.salesforce.event_fields import is_told_by_events
from fakturo.schemas.salesforce.written_fields import OBJECT_BY_NAME, written_names
from fakturo.schemas.salesforce_ids import long_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""What says when a row was changed last, the best first; a few objects lack the better ones."""
DELETED = "IsDeleted"
SYSTEM_FIELDS = frozenset({"LastModifiedDate", "LastModifiedById", "LastActivityDate"})
"""Set by every write, ours too, whose echo is dropped: what they hold is no drift."""
NOT_READ = frozenset({"address", "location", "base64", "complexvalue", "json", "anyType"})
DECIMALS = frozenset({"double", "currency", "percent"})
INTEGERS = frozenset({"int", "long"})

Reader = Callable[[Any], FieldValue]


class RowFault(Exception):
    """A row, or a describe, that is not as Salesforce documents it; the text says where."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row: `stamp_ms` is its last change, in milliseconds since 1970, to the second."""

    record_id: str
    stamp_ms: int
    is_deleted: bool
    values: dict[str, FieldValue]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How the rows of one object are read: `columns` are SOQL's names, `readers` give dotted name and value."""

    entity: str
    stamp: str
    columns: tuple[str, ...]
    readers: Mapping[str, tuple[str, Reader]]

    def soql(self, rest: str = "") -> str:
        """Return the query of these columns; `rest` is what follows the object's name."""
        return f"SELECT {', '.join(self.columns)} FROM {self.entity} {rest}".rstrip()  # noqa: S608 - names of describe

    def read(self, row: Mapping[str, Any]) -> ReadRow:
        """Return what a row says; an empty text is null, as in Bulk's CSV and in Salesforce itself.

        Raises:
            RowFault: no id, no stamp, or a value that is none of its field's type.
        """
        try:
            values: dict[str, FieldValue] = {}
            for column, (name, reader) in self.readers.items():
                if column in row:  # a job that began before a field was added does not have it
                    told = row[column]
                    values[name] = None if told is None or told == "" else reader(told)
            return ReadRow(
                record_id=long_id(row["Id"]),
                stamp_ms=stamp_ms(row[self.stamp]),
                is_deleted=values.get(DELETED) is True,
                values=values,
            )
        except (KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise RowFault(f"{self.entity} {row.get('Id')}: {type(error).__name__}: {error}") from error


def plan_rows(described: Mapping[str, Any]) -> RowPlan:
    """Return how rows of the described object are read.

    Raises:
        RowFault: the object can't be queried, or says nowhere when a row was changed.
    """
    entity = str(described["name"])
    fields = {field["name"]: field for field in described["fields"]}
    stamp = next((name for name in STAMPS if name in fields), None)
    if stamp is None or not described.get("queryable", True):
        raise RowFault(f"{entity} can't be read whole: it has no {STAMPS[0]}, or can't be queried")
    compounds = compounds_of(described)
    readers = {
        name: (dotted_name(field), _reader(field))
        for name, field in fields.items()
        if is_read(entity, field) and name not in compounds
    }
    if DELETED in fields:
        readers[DELETED] = (DELETED, _boolean)
    columns = ("Id", *(() if stamp in readers else (stamp,)), *readers)
    return RowPlan(entity, stamp, columns, readers)


def compounds_of(described: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields that are made of others (a person's `Name`): events tell the parts, and so do rows."""
    return frozenset(str(field["compoundFieldName"]) for field in described["fields"] if field.get("compoundFieldName"))


def is_read(entity: str, field: Mapping[str, Any]) -> bool:
    """Return whether a described field belongs to what is read again."""
    name = str(field["name"])
    if name == "Id" or field["type"] in NOT_READ:
        return False
    is_written = entity in OBJECT_BY_NAME and name in written_names(entity)
    return is_told_by_events(entity, name) and not is_written


def is_compared(entity: str, field: Mapping[str, Any]) -> bool:
    """Return whether a described field must be the same in the org and in the book."""
    return is_read(entity, field) and not field.get("calculated") and field["name"] not in SYSTEM_FIELDS


def stamp_ms(told: str) -> int:
    """Return an instant of a row in milliseconds since 1970."""
    return (datetime.fromisoformat(told) - EPOCH) // MILLISECOND


def instant_soql(milliseconds: int) -> str:
    """Return an instant as a SOQL literal."""
    return _instant((EPOCH + timedelta(milliseconds=milliseconds)).isoformat())


def _reader(field: Mapping[str, Any]) -> Reader:
    kind = field["type"]
    if kind in DECIMALS:
        scale = field.get("scale")
        return lambda told: decimal_text(Decimal(str(told)), scale)
    return _READERS.get(kind, str)


def _boolean(told: Any) -> bool:
    if isinstance(told, bool):
        return told
    if told not in ("true", "false"):
        raise ValueError(f"{told!r} is neither true nor false")
    return bool(told == "true")


def _integer(told: Any) -> int:
    number = Decimal(str(told))
    if number != number.to_integral_value():
        raise ValueError(f"{told!r} is no whole number")
    return int(number)


def _instant(told: str) -> str:
    instant = datetime.fromisoformat(told)
    if instant.tzinfo is None:
        raise ValueError(f"{told!r} has no zone")
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _date(told: str) -> str:
    return datetime.fromisoformat(told).date().isoformat()


_READERS: dict[str, Reader] = {
    "boolean": _boolean,
    **dict.fromkeys(INTEGERS, _integer),
    "datetime": _instant,
    "date": _date,
}
