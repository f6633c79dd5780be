"""The sandbox org: objects, records, clock, sessions and faults of one stand-in for Salesforce, in memory.

Place     REST, SOAP, Bulk, SOQL and the event bus -> [this]
Rules     One event loop owns it: no locks. Rows are read from `tables` (sparse, by flat field names, see rows.py) and
          written through `transaction` alone; every commit is told to `listeners`, every change of an object's fields
          to `metadata_listeners`. With the same seed and the same writes, ids and keys are the same.
"""

import random
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from fakturo.cli.sandbox.allocations import Allocations
from fakturo.cli.sandbox.clock import SandboxClock, stamp_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.faults import Faults
from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.objects.loading import born_with, read_field, standard_objects
from fakturo.cli.sandbox.record_ids import record_id
from fakturo.cli.sandbox.rows import Row, Table
from fakturo.cli.sandbox.sessions import Sessions
from fakturo.cli.sandbox.transactions import CommittedTransaction, Transaction
from fakturo.cli.sandbox.validation import clean
from fakturo.schemas.salesforce import API_VERSION
from fakturo.schemas.salesforce_ids import long_id

_FIRST_COMMIT = 1_652_977_933_433_528_300  # the size of the official sample: more than a double holds


class SandboxOrg:
    """One org; see the module."""

    def __init__(
        self, *, start: datetime | None = None, seed: int = 0, objects: Iterable[SObject] | None = None
    ) -> None:
        self.clock = SandboxClock(start)
        self.faults = Faults()
        self.random = random.Random(seed)  # noqa: S311 - keys of transactions, not of doors
        self.objects: dict[str, SObject] = {}
        self.tables: dict[str, Table] = {}
        self.listeners: list[Callable[[CommittedTransaction], None]] = []
        self.metadata_listeners: list[Callable[[SObject], None]] = []
        self.recycled_with: dict[str, str] = {}
        self.channels: dict[str, set[str]] = {}  # custom channels of change events: name -> objects
        self.currency = "USD"
        self.org_id = record_id("00D", 1)
        self.org_name = "Sandbox"
        self.user_id = record_id("005", 1)
        self.sessions = Sessions(self.org_id)
        self.allocations = Allocations(self.clock.now, self.faults)
        self._by_lower: dict[str, SObject] = {}
        self._by_prefix: dict[str, SObject] = {}
        self._details: dict[str, list[tuple[SObject, Field]]] = {}
        self._last_commit = _FIRST_COMMIT
        self._custom_fields = 0
        for entity in standard_objects() if objects is None else objects:
            self.add_object(entity)
        self._be_born()
        self.faults.on("expired_token", lambda _: self.sessions.expire_all())
        self.faults.on("schema_change", self._schema_change)

    def transaction(self, *, user_id: str = "", client: str = "", api: str = "rest", version: str = "") -> Transaction:
        """Start a transaction; use it as a context manager. `client` is what `Sforce-Call-Options` names."""
        return Transaction(
            self, user_id=user_id or self.user_id, client=client, api=api, version=version or API_VERSION
        )

    def object(self, name: str) -> SObject:
        """Return the object of that name, whatever its capitals.

        Raises:
            OrgError: INVALID_TYPE.
        """
        found = self.objects.get(name) or self._by_lower.get(name.lower())
        if found is None:
            raise OrgError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return found

    def object_of(self, id_of_record: str) -> SObject | None:
        """Return the object that a record id belongs to, by its first three characters."""
        return self._by_prefix.get(id_of_record[:3])

    def live(self, entity_name: str, id_of_record: str) -> Row | None:
        """Return a row that is not deleted, or None."""
        row = self.tables[entity_name].get(id_of_record)
        return None if row is None or row["IsDeleted"] else row

    def by_external(self, entity_name: str, field_name: str, value: Any) -> list[str]:
        """Return the ids of the live records that hold `value` in an external id field."""
        entity = self.object(entity_name)
        wanted = clean(entity, entity.fields[field_name], value)
        if wanted is None:
            raise OrgError("MISSING_ARGUMENT", f"{field_name} not specified", (field_name,))
        return self.tables[entity.name].indexes[field_name].ids(wanted)

    def details_of(self, entity_name: str) -> list[tuple[SObject, Field]]:
        """Return the objects whose records go with a record of this one, and the references that say so."""
        if not self._details:
            for entity in self.objects.values():
                for field in entity.fields.values():
                    for master in field.reference_to if field.cascade else ():
                        self._details.setdefault(master, []).append((entity, field))
        return self._details.get(entity_name, [])

    def add_object(self, entity: SObject) -> None:
        """Add an object with an empty table, or let one that is there gain the fields of `entity`."""
        there = self.objects.get(entity.name)
        if there is not None:
            for field in entity.fields.values():
                self.add_field(there.name, field)
            return
        if entity.key_prefix in self._by_prefix:
            other = self._by_prefix[entity.key_prefix].name
            raise ValueError(f"{entity.name}: the key prefix {entity.key_prefix} belongs to {other}")
        self.objects[entity.name] = self._by_lower[entity.name.lower()] = entity
        self._by_prefix[entity.key_prefix] = entity
        self.tables[entity.name] = Table(entity)
        for field in list(entity.fields.values()):
            self._number_custom_field(entity, field)
        self._metadata_changed(entity)

    def add_field(self, entity_name: str, field: Field) -> None:
        """Add a field (or change one of that name): describe shows it at once, the bus has a new schema."""
        entity = self.object(entity_name)
        entity.put(field)
        self._number_custom_field(entity, entity.fields[field.name])
        self.tables[entity.name].index_fields()
        self._metadata_changed(entity)

    def remove_field(self, entity_name: str, field_name: str) -> None:
        """Take a field and its values away; no record's stamp moves, as in Salesforce."""
        entity = self.object(entity_name)
        entity.remove(field_name)
        table = self.tables[entity.name]
        table.index_fields()
        for record, row in list(table.items()):
            if field_name in row:
                table.put(record, Row((name, value) for name, value in row.items() if name != field_name))
        self._metadata_changed(entity)

    def select_for_capture(self, entity_name: str, *, selected: bool = True) -> None:
        """Let changes of an object be told as events, or no longer."""
        entity = self.object(entity_name)
        if entity.cdc != selected:
            entity.cdc = selected
            self._metadata_changed(entity)

    def next_key_prefix(self, letter: str = "a") -> str:
        """Return a free prefix for a custom object: a00, a01, ...; those of platform events begin with e."""
        return next(prefix for number in range(1000) if (prefix := f"{letter}{number:02d}") not in self._by_prefix)

    def next_commit_number(self) -> int:
        """Return the number of the next commit; numbers rise, with holes."""
        self._last_commit += self.random.randint(1, 3000)
        return self._last_commit

    def present_stamp(self) -> str:
        """Return the org's instant as a datetime value, cut to the second."""
        return stamp_text(self.clock.now())

    def canonical_id(self, text: str) -> str:
        """Return an id in 18 characters.

        Raises:
            OrgError: MALFORMED_ID.
        """
        try:
            return long_id(text)
        except ValueError:
            raise OrgError("MALFORMED_ID", f"malformed id {text}", ("Id",)) from None

    def _be_born(self) -> None:
        """Put the records that every org has: the administrator, currencies, the standard price book."""
        writing = Transaction(self, user_id=self.user_id, client="", api="rest", version=API_VERSION)
        for entity_name, rows in born_with().items():
            if entity_name in self.objects:
                for values in rows:
                    writing.system_insert(entity_name, values)

    def _number_custom_field(self, entity: SObject, field: Field) -> None:
        if field.custom and field.custom_id is None:
            self._custom_fields += 1
            entity.number(field.name, record_id("00N", self._custom_fields)[:15])

    def _metadata_changed(self, entity: SObject) -> None:
        self._details.clear()
        for listener in self.metadata_listeners:
            listener(entity)

    def _schema_change(self, wanted: Any) -> None:
        """The fault `schema_change`: `{"object": "Account", "field": "Extra__c", "type": "string", "length": 40}`."""
        spec = {"type": "string"} | dict(wanted)
        entity_name, name = spec.pop("object"), spec.pop("field")
        for field in read_field({"name": name, **spec}):
            self.add_field(entity_name, field)
