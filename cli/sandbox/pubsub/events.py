"""Turns a committed transaction into change events: what is told of each record, merged, numbered and encoded.

Place     transactions (CommittedTransaction) -> [this] -> bus -> log. Pure but for the schema book's memory.
Rules     - CREATE and UNDELETE tell every field; UPDATE only what changed (all else null, and `changedFields` says
            which null means a value that was set to null: `nulledFields`); DELETE and GAP tell the header alone.
          - Records of one object that got the same change in one transaction are one event with all their ids.
          - Sequence numbers count the events from 1, before objects that nobody selected are left out: holes.
          - More than `overflow_changes` in one transaction: the rest of each object is one GAP_OVERFLOW.
          - An event of more than 1 MB is a gap: its content is never told.
Source    Change Data Capture Developer Guide, "Change Event Body Fields", "Gap Events", "Overflow Events",
          "Merged Change Events"; reference 2.1 to 2.4.
"""

import difflib
import hashlib
import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fastavro

from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.metadata import SObject
from fakturo.cli.sandbox.pubsub.schemas import HEADER, Converter, EventField, EventSchema
from fakturo.cli.sandbox.transactions import CommittedTransaction, RecordChange
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.schemas.salesforce.bitmaps import encode_bitmaps

NO_RECORD = "000000000000000AAA"
OVERFLOW_CHANGES = 100_000
LARGEST_EVENT = 1_000_000
MERGED_RECORDS = 200
"""Triggers and merged events work in parts of this many records."""
DIFF_LENGTH = 1_000
"""Text of this length or more may be told as a difference."""
_STAMPS = frozenset({"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"})


@dataclass(frozen=True, slots=True)
class Told:
    """One change event before it is encoded. `kind` may be a gap's; `change` is None for what has no body."""

    entity: str
    kind: str
    record_ids: tuple[str, ...]
    sequence: int
    change: RecordChange | None

    @property
    def is_gap(self) -> bool:
        """Return whether its content is lost."""
        return self.kind.startswith("GAP_")

    def as_gap(self) -> "Told":
        """Return the gap event in its place."""
        return replace(self, kind=f"GAP_{self.kind}", change=None)


def told_of(
    transaction: CommittedTransaction,
    schema_of: Callable[[str], EventSchema],
    *,
    merge: bool = True,
    overflow_changes: int = OVERFLOW_CHANGES,
) -> list[Told]:
    """Return the events of a transaction in bus order, also of objects that nobody selected."""
    kept, rest = transaction.changes[:overflow_changes], transaction.changes[overflow_changes:]
    told = [
        Told(group[0].entity, group[0].kind, tuple(change.record_id for change in group), sequence, group[0])
        for sequence, group in enumerate(_groups(kept, schema_of, merge=merge), start=1)
    ]
    lost = dict.fromkeys(change.entity for change in rest)
    return told + [
        Told(entity, "GAP_OVERFLOW", (NO_RECORD,), sequence, None)
        for sequence, entity in enumerate(lost, start=len(told) + 1)
    ]


def _groups(
    changes: Sequence[RecordChange], schema_of: Callable[[str], EventSchema], *, merge: bool
) -> list[list[RecordChange]]:
    """Return the changes by what is the same in them, each group at its first one's place, at most 200 in one."""
    groups: list[list[RecordChange]] = []
    open_groups: dict[object, list[RecordChange]] = {}
    for change in changes:
        sameness = _sameness(change, schema_of(change.entity)) if merge and len(changes) > 1 else object()
        group = open_groups.get(sameness)
        if group is None or len(group) >= MERGED_RECORDS:
            group = open_groups[sameness] = []
            groups.append(group)
        group.append(change)
    return groups


def _sameness(change: RecordChange, schema: EventSchema) -> object:
    """Return what is told of a change: equal for changes that are told alike."""
    values = frozenset((name, value) for name, value in change.changed.items() if name in schema.dotted)
    return change.entity, change.kind, values


def encode(
    told: Told, transaction: CommittedTransaction, entity: SObject, schema: EventSchema, *, text_diff: bool = False
) -> tuple[Told, pb.ProducerEvent]:
    """Return the event as the bus keeps it; one that is too large comes back as its gap event."""
    body, bitmaps = _body(told, entity, schema, text_diff=text_diff)
    payload = _written(schema, {HEADER: _header(told, transaction, bitmaps), **body})
    if len(payload) > LARGEST_EVENT and not told.is_gap:
        return encode(told.as_gap(), transaction, entity, schema)
    return told, pb.ProducerEvent(id=event_uuid(transaction.key, told), schema_id=schema.schema_id, payload=payload)


def encode_platform_event(
    told: Told, number: int, transaction: CommittedTransaction, schema: EventSchema
) -> pb.ProducerEvent:
    """Return the event that record `number` of `told` stands for: who created it when, and its own fields."""
    assert told.change is not None  # noqa: S101 - a creation has its change
    values = told.change.values
    body = {"CreatedDate": epoch_ms(transaction.at), "CreatedById": transaction.user_id}
    payload = _written(schema, body | _values(schema, values, values))
    name = event_uuid(transaction.key, told, number)
    return pb.ProducerEvent(id=name, schema_id=schema.schema_id, payload=payload)


def event_uuid(transaction_key: str, told: Told, part: int = 0) -> str:
    """Return the EventUuid: of its place in the transaction, so that a seeded run has the same ones."""
    content = f"{transaction_key}/{told.sequence}/{part}"
    return str(uuid.UUID(bytes=hashlib.md5(content.encode(), usedforsecurity=False).digest(), version=4))


def _written(schema: EventSchema, datum: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema.parsed, datum)
    return buffer.getvalue()


def _header(told: Told, transaction: CommittedTransaction, bitmaps: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "entityName": told.entity,
        "recordIds": list(told.record_ids),
        "changeType": told.kind,
        # A gap comes from the platform, not from a client.
        "changeOrigin": "" if told.is_gap else transaction.origin,
        "transactionKey": transaction.key,
        "sequenceNumber": told.sequence,
        "commitTimestamp": transaction.commit_ms,
        "commitNumber": transaction.commit_number,
        "commitUser": transaction.user_id,
        **bitmaps,
    }


def _body(
    told: Told, entity: SObject, schema: EventSchema, *, text_diff: bool
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    none: dict[str, list[str]] = {"nulledFields": [], "diffFields": [], "changedFields": []}
    change = told.change
    if change is None or told.kind == "DELETE":
        return {}, none
    if told.kind != "UPDATE":
        # The event of a new price book entry lacks the system fields.
        hidden = _STAMPS if (entity.name, told.kind) == ("PricebookEntry", "CREATE") else frozenset()
        values = {name: value for name, value in change.values.items() if name not in hidden}
        return _values(schema, values, change.values), none
    names = _changed_names(schema, change)
    body = _values(schema, {name: change.changed[name] for name in names}, change.values)
    diffs = _diffs(schema, change, body) if text_diff else {}
    nulled = [dotted for name, dotted in names.items() if change.changed[name] is None]
    return body | diffs, {
        "nulledFields": encode_bitmaps(nulled, schema.layout),
        "diffFields": encode_bitmaps(diffs, schema.layout),
        "changedFields": encode_bitmaps(names.values(), schema.layout),
    }


def _changed_names(schema: EventSchema, change: RecordChange) -> dict[str, str]:
    """Return the changed fields that the event has, as the row names them and as the bitmaps do."""
    hidden = set[str]()
    for field in schema.fields:
        if field.parts:
            is_text = field.switchable and not _is_person(field, change.values)
            hidden.update([part.flat for part in field.parts] if is_text else [field.name])
    return {name: schema.dotted[name] for name in change.changed if name in schema.dotted and name not in hidden}


def _values(schema: EventSchema, told: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that tells `told`, values of a record that is now `row`; what is null is left out."""
    return {field.name: value for field in schema.fields if (value := _value(field, told, row)) is not None}


def _value(field: EventField, told: Mapping[str, Any], row: Mapping[str, Any]) -> Any:
    if field.parts and (not field.switchable or _is_person(field, row)):
        parts = [part for part in field.parts if part.flat in told]
        # A part that was set to null needs the record, too, for its bit to mean something.
        return {part.name: _converted(part.convert, told[part.flat]) for part in parts} if parts else None
    return _converted(field.convert, told.get(field.name))


def _converted(convert: Converter, value: Any) -> Any:
    return None if value is None else convert(value)


def _is_person(field: EventField, row: Mapping[str, Any]) -> bool:
    return any(row.get(part.flat) is not None for part in field.parts)


def _diffs(schema: EventSchema, change: RecordChange, body: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for field in schema.fields:
        before, after = change.before.get(field.name), body.get(field.name)
        if field.is_large_text and before and after and len(after) >= DIFF_LENGTH:
            found[field.name] = text_difference(before, after)
    return found


def text_difference(before: str, after: str) -> str:
    """Return a change of long text as the bus tells it: a unified diff that names the new text's SHA-256."""
    digest = hashlib.sha256(after.encode()).hexdigest()
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "", digest, lineterm="")
    return "\n".join(lines)
