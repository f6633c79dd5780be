"""An org in memory, with the interface that the pusher asks for: it holds records and misbehaves on demand."""

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakturo.consumers.runtime.salesforce.errors import OrgFault
from fakturo.consumers.runtime.salesforce.limits import ApiUsage
from fakturo.consumers.runtime.salesforce.upserts import UpsertResult
from fakturo.schemas.salesforce.written_fields import ACCOUNT, INVOICE, INVOICE_LINE, OBJECT_BY_NAME


@dataclass
class FakeOrg:
    """Records by object and key. `refusals` are (code, message) by key, `faults` are raised by the next calls."""

    accounts: tuple[str, ...] = ()
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    refusals: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    faults: list[OrgFault] = field(default_factory=list)
    whole: dict[str, OrgFault] = field(default_factory=dict)
    api_usage: ApiUsage | None = None
    dies_after: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self.records = {ACCOUNT: {name: {"Id": name} for name in self.accounts}, INVOICE: {}, INVOICE_LINE: {}}

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Remember it."""
        self.closed = True

    async def limits(self) -> dict[str, Any]:
        """Count as a call."""
        self._call("limits", "", 0)
        return {}

    async def upsert(self, entity: str, external_id: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Insert or update."""
        self._call("upsert", entity, len(records))
        return self._done([self._put(entity, external_id, record) for record in records])

    async def bulk_upsert(self, entity: str, external_id: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Insert or update."""
        self._call("bulk", entity, len(records))
        return self._done([self._put(entity, external_id, record) for record in records])

    async def update(self, entity: str, records: Sequence[dict[str, Any]]) -> list[UpsertResult]:
        """Update what is there."""
        self._call("update", entity, len(records))
        return self._done([self._put(entity, "Id", record) for record in records])

    async def delete(self, record_ids: Sequence[str]) -> list[UpsertResult]:
        """Delete records and their children."""
        self._call("delete", "", len(record_ids))
        for record_id in record_ids:
            self.remove(record_id)
        return [UpsertResult(True, record_id=record_id) for record_id in record_ids]

    async def query(self, soql: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Answer `SELECT Id, key FROM entity [WHERE ...]`: all rows of the entity, as the caller filters by key."""
        self._call("query", soql.split(" FROM ")[1].split(" ")[0], 0)
        yield list(self.records[soql.split(" FROM ")[1].split(" ")[0]].values())

    def remove(self, record_id: str) -> None:
        """Delete a record as a person in the org would: its lines go with an invoice."""
        for entity, table in self.records.items():
            for key in [key for key, record in table.items() if record["Id"] == record_id]:
                del table[key]
                if entity == INVOICE:
                    lines = self.records[INVOICE_LINE]
                    for name in [name for name, one in lines.items() if one["Fakturo_Invoice__r"][_KEY] == key]:
                        del lines[name]

    def _call(self, kind: str, entity: str, count: int) -> None:
        self.calls.append((kind, entity, count))
        if self.api_usage is not None:
            self.api_usage = ApiUsage(self.api_usage.used + 1, self.api_usage.allowed)
        if self.faults:
            raise self.faults.pop(0)
        if entity in self.whole and kind != "query":
            raise self.whole[entity]

    def _done(self, results: list[UpsertResult]) -> list[UpsertResult]:
        """Answer; or, with `dies_after`, do the work and let the caller never hear of it."""
        if self.dies_after:
            self.dies_after = False
            raise ConnectionError("the answer was lost")
        return results

    def _put(self, entity: str, external_id: str, record: dict[str, Any]) -> UpsertResult:
        key = record[external_id]
        if self.refusals.get(key):
            code, message = self.refusals[key].pop(0)
            return UpsertResult(False, code=code, message=message)
        parent = record.get("Fakturo_Invoice__r") or record.get("Corrects__r")
        if parent and parent[_KEY] not in self.records[INVOICE]:
            text = f"Foreign key external ID: {parent[_KEY]} not found for field {_KEY} in entity {INVOICE}"
            return UpsertResult(False, code="INVALID_FIELD", message=text)
        table = self.records[entity]
        if entity == ACCOUNT and key not in table:
            return UpsertResult(False, code="ENTITY_IS_DELETED", message="entity is deleted")
        is_created = key not in table
        before = table.get(key, {"Id": f"rec{next(self._numbers):015d}"})
        table[key] = {**before, **record}
        return UpsertResult(True, record_id=table[key]["Id"], is_created=is_created)


_KEY = OBJECT_BY_NAME[INVOICE].key_field
