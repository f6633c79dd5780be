"""The writes of a transaction: insert, update, upsert, delete, undelete, each whole or not at all.

Place     transactions.py -> [this] -> validation.py, derived.py -> rows.py
Rules     A write cleans its values, lets the org derive its own, checks what is required, unique and referred to, then
          puts the row; details go with their master into the recycle bin and come back with it. Totals of parents are
          computed once, before the commit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fakturo.cli.sandbox import checks, derived
from fakturo.cli.sandbox.clock import stamp_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import SObject
from fakturo.cli.sandbox.record_ids import record_id as make_record_id
from fakturo.cli.sandbox.rows import Row
from fakturo.schemas.salesforce_ids import long_id

if TYPE_CHECKING:
    from fakturo.cli.sandbox.org import SandboxOrg


@dataclass(frozen=True, slots=True)
class Upserted:
    """What an upsert did: the record, and whether it is new."""

    record_id: str
    created: bool


class Writing:
    """Writes rows and remembers how they were; `undo_to` takes everything after a mark back."""

    def __init__(self, org: "SandboxOrg", *, user_id: str, at: datetime) -> None:
        self.org = org
        self.user_id = user_id
        self.at = at
        self.undo_log: list[tuple[str, str, Row | None]] = []
        self._stamp = stamp_text(at)
        self._totals_of: dict[tuple[str, str], None] = {}

    def insert(self, entity_name: str, values: Mapping[str, Any]) -> str:
        """Create a record; return its id."""
        with self._whole(entity_name):
            entity = self.org.object(entity_name)
            if not entity.createable:
                raise OrgError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type {entity.name} cannot be inserted")
            row = Row((k, v) for k, v in checks.cleaned(self.org, entity, values, new=True).items() if v is not None)
            return self._create(entity, row)

    def update(self, entity_name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change a live record; a value of None sets the field to null."""
        with self._whole(entity_name):
            entity = self.org.object(entity_name)
            before = self._live(entity, record_id)
            self.apply(entity, before, checks.cleaned(self.org, entity, values, new=False))

    def upsert(self, entity_name: str, field_name: str, value: Any, values: Mapping[str, Any]) -> Upserted:
        """Update the record that `value` of an external id field names, or create it."""
        entity = self.org.object(entity_name)
        if field_name.lower() == "id":
            if value:
                self.update(entity_name, str(value), values)
                return Upserted(long_id(str(value)), created=False)
            return Upserted(self.insert(entity_name, values), created=True)
        field = checks.external_field(entity, field_name)
        found = self.org.by_external(entity.name, field.name, value)
        if len(found) > 1:
            raise OrgError(
                "DUPLICATE_EXTERNAL_ID",
                f"{field.name}: more than one record found for external id field: [{', '.join(found)}]",
                (field.name,),
            )
        if found:
            self.update(entity_name, found[0], values)
            return Upserted(found[0], created=False)
        return Upserted(self.insert(entity_name, {**values, field.name: value}), created=True)

    def delete(self, entity_name: str, record_id: str) -> None:
        """Move a record and its details to the recycle bin."""
        with self._whole(entity_name):
            entity = self.org.object(entity_name)
            row = self._live(entity, record_id)
            self._recycle(entity, row, root=row["Id"])

    def undelete(self, entity_name: str, record_id: str) -> None:
        """Bring a record back from the recycle bin, with the details that went with it."""
        with self._whole(entity_name):
            entity = self.org.object(entity_name)
            row = self.org.tables[entity.name].get(checks.own_id(entity, record_id))
            if row is None:
                raise OrgError("INVALID_ID_FIELD", "invalid record id", ("Id",))
            if not row["IsDeleted"]:
                raise OrgError("UNDELETE_FAILED", "Entity is not in the recycle bin")
            self._restore(entity, row, root=row["Id"])

    def hard_delete(self, entity_name: str, record_id: str) -> None:
        """Take a record and its details away for good. Of a record in the recycle bin no event tells."""
        with self._whole(entity_name):
            entity = self.org.object(entity_name)
            row = self.org.tables[entity.name].get(checks.own_id(entity, record_id))
            if row is None:
                raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            self._erase(entity, row)

    def apply(self, entity: SObject, before: Row, values: Mapping[str, Any]) -> None:
        """Change a row to cleaned values and what the org derives of them."""
        row = Row(before)
        for name, value in values.items():
            if value is None:
                row.pop(name, None)
            else:
                row[name] = value
        derived.derive(self.org, entity, row, before, values.keys())
        checks.check_row(self.org, entity, row, before)
        self._stamp_row(row)
        self.put(entity, row["Id"], row)

    def system_insert(self, entity_name: str, values: Mapping[str, Any]) -> str:
        """Create a record that no client may: history, of the org itself."""
        return self._create(self.org.object(entity_name), Row((k, v) for k, v in values.items() if v is not None))

    def put(self, entity: SObject, record_id: str, row: Row | None) -> None:
        """Set a row, remember the one before, and note whose totals it counts in."""
        before = self.org.tables[entity.name].put(record_id, row)
        self.undo_log.append((entity.name, record_id, before))
        self._totals_of.update(dict.fromkeys(derived.parents_with_totals(entity, before, row)))
        derived.write_history(self, entity, before, row)

    def settle_totals(self) -> None:
        """Bring the totals of parents up to date; done before the commit."""
        while self._totals_of:
            parents, self._totals_of = list(self._totals_of), {}
            for entity_name, record_id in parents:
                row = self.org.live(entity_name, record_id)
                if row is not None:
                    totals = derived.totals(self.org, entity_name, row)
                    changed = {name: value for name, value in totals.items() if row[name] != value}
                    if changed:
                        self.apply(self.org.object(entity_name), row, changed)

    def undo_to(self, mark: int) -> None:
        """Put back every row written after the log had `mark` entries."""
        while len(self.undo_log) > mark:
            entity_name, record_id, before = self.undo_log.pop()
            self.org.tables[entity_name].put(record_id, before)

    @contextmanager
    def _whole(self, entity_name: str) -> Iterator[None]:
        if self.org.faults.take("lock_rows"):
            raise OrgError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records")
        mark = len(self.undo_log)
        try:
            yield
        except BaseException:
            self.undo_to(mark)
            raise

    def _create(self, entity: SObject, row: Row) -> str:
        table = self.org.tables[entity.name]
        table.last_number += 1
        new_id = make_record_id(entity.key_prefix, table.last_number)
        row.update(Id=new_id, IsDeleted=False)
        derived.set_defaults(self.org, entity, row, self.user_id)
        derived.derive(self.org, entity, row, None, row.keys())
        checks.check_row(self.org, entity, row, None)
        row.update(CreatedDate=self._stamp, CreatedById=self.user_id)
        self._stamp_row(row)
        self.put(entity, new_id, row)
        return new_id

    def _stamp_row(self, row: Row) -> None:
        row["LastModifiedDate"] = row["SystemModstamp"] = self._stamp
        row["LastModifiedById"] = self.user_id

    def _live(self, entity: SObject, record_id: str) -> Row:
        row = self.org.tables[entity.name].get(checks.own_id(entity, record_id))
        if row is None:
            raise OrgError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row["IsDeleted"]:
            raise OrgError("ENTITY_IS_DELETED", "entity is deleted")
        return row

    def _recycle(self, entity: SObject, row: Row, root: str) -> None:
        gone = Row(row, IsDeleted=True)
        self._stamp_row(gone)
        self.put(entity, row["Id"], gone)
        self.org.recycled_with[row["Id"]] = root
        self._each_detail(entity, row, lambda child: not child["IsDeleted"], lambda e, r: self._recycle(e, r, root))

    def _restore(self, entity: SObject, row: Row, root: str) -> None:
        back = Row(row, IsDeleted=False)
        checks.check_row(self.org, entity, back, None)
        self._stamp_row(back)
        self.put(entity, row["Id"], back)
        self.org.recycled_with.pop(row["Id"], None)
        went = self.org.recycled_with
        self._each_detail(
            entity, row, lambda child: went.get(child["Id"]) == root, lambda e, r: self._restore(e, r, root)
        )

    def _erase(self, entity: SObject, row: Row) -> None:
        self._each_detail(entity, row, lambda child: True, self._erase)
        self.put(entity, row["Id"], None)

    def _each_detail(
        self, entity: SObject, row: Row, wanted: Callable[[Row], bool], act: Callable[[SObject, Row], None]
    ) -> None:
        for child_entity, field in self.org.details_of(entity.name):
            table = self.org.tables[child_entity.name]
            for child_id in table.indexes[field.name].ids(row["Id"]):
                if child_id in table and wanted(table[child_id]):
                    act(child_entity, table[child_id])
