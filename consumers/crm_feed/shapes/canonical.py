"""What a message tells becomes canonical change records: one a record id, dotted names, values as text, a stable id.

Place     a shape's Told -> [this] -> ChangeRecord -> handler.py -> `sf.cdc.*`. Pure.
Rules     - An update has the values that changed. Where the form does not say which, null means unchanged.
          - A change of several records is told once for each; ids have 18 characters. Ids that name no single record
            (`001*`, 000000000000000AAA) pass as they are.
          - The event id is the event's own UUID, else derived from topic and content, so that the same message is known
            again wherever it lies: offset and replay id have no part in it.
Source    reference 3.3 (rules), 2.1 and 2.2.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from fakturo.consumers.crm_feed.shapes.field_kinds import FieldKinds
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen, missing
from fakturo.consumers.crm_feed.shapes.values import canonical_value
from fakturo.schemas.codec import encode
from fakturo.schemas.events.change_data import ChangeRecord, FieldValue
from fakturo.schemas.salesforce.avro_fields import INEXACT
from fakturo.schemas.salesforce.compounds import flat_to_dotted
from fakturo.schemas.salesforce_ids import long_id

NOBODY = "000000000000000AAA"
"""The record id of an overflow: nobody in particular."""
WHOLE_KINDS = ("CREATE", "UNDELETE", "SYNC", "SNAPSHOT")
_NO_VALUES = frozenset({"Id", "attributes", "ChangeEventHeader", "ReplayId", "_ObjectType", "_EventType"})

Raw = dict[str, Any]


def records_of(told: Told, message: Message, kinds: FieldKinds) -> tuple[ChangeRecord, ...]:
    """Return the change records that `told` is, in the message's order of record ids.

    Raises:
        SchemaError: no record id, an id that is none, a value that is none.
    """
    if not told.record_ids:
        raise missing("a record id", "$.recordIds")
    names, diff = _values(told)
    values, inexact = _canonical(told.entity, names, kinds)
    diff = (*diff, *inexact)
    is_partial = told.kind == "UPDATE" and not told.full
    changed = tuple(dict.fromkeys((*names, *diff))) if is_partial else ()
    nulled = tuple(name for name, value in names.items() if value is None) if is_partial else ()
    event_id = told.event_uuid or _derived_id(told, message.topic, values, diff)
    return tuple(
        ChangeRecord(
            v=1,
            org=told.org,
            entity=told.entity,
            recordId=record_id,
            changeType=told.kind,
            changed=changed,
            nulled=nulled,
            diff=diff,
            values=values,
            full=told.full,
            commit=told.commit,
            eventId=event_id,
            replayId=told.replay_id,
            schemaId=told.schema_id,
            src=told.src,
        )
        for record_id in dict.fromkeys(_record_id(found) for found in told.record_ids)
    )


def is_unknown_many(record_id: str) -> bool:
    """Return whether an id names no single record: an overflow's, or a wildcard like `001*`."""
    return record_id == NOBODY or record_id.endswith("*")


def _record_id(found: str) -> str:
    if not isinstance(found, str):
        raise misshapen(f"{found!r:.40} is no record id", "$.recordIds")
    if is_unknown_many(found):
        return found
    try:
        return long_id(found)
    except ValueError as error:
        raise misshapen(str(error), "$.recordIds") from error


def _values(told: Told) -> tuple[Raw, tuple[str, ...]]:
    """Return the values that the change brings, by dotted name, and the names of those that came as a text diff."""
    if told.kind not in (*WHOLE_KINDS, "UPDATE"):
        return {}, ()
    flat = {name: value for name, value in told.values.items() if name not in _NO_VALUES}
    known = {*flat, *(told.changed or ()), *told.nulled}
    diff = {flat_to_dotted(name, known) for name in told.diff}
    diff |= {flat_to_dotted(name, known) for name, value in flat.items() if _is_diff(value)}
    values = _dotted({name: value for name, value in flat.items() if not _is_diff(value)}, known)
    if told.kind == "UPDATE" and not told.full:
        values = _changed(told, values, known)
    values.update(dict.fromkeys(flat_to_dotted(name, known) for name in told.nulled))
    return {name: value for name, value in values.items() if name not in diff}, tuple(sorted(diff))


def _dotted(flat: Mapping[str, Any], known: Iterable[str]) -> Raw:
    """Return the values under their canonical names: parts of compounds dotted, an empty whole left out beside them."""
    names = set(known)
    values: Raw = {}
    for name, value in flat.items():
        if isinstance(value, dict):
            for part, inner in value.items():
                _put(values, f"{name}.{part}", inner)
        else:
            _put(values, flat_to_dotted(name, names), value)
    parents = {name.partition(".")[0] for name in values if "." in name}
    return {name: value for name, value in values.items() if value is not None or name not in parents}


def _put(values: Raw, name: str, value: Any) -> None:
    """Keep `value`, unless it is the empty column of a part whose compound has told more."""
    if value is not None or name not in values:
        values[name] = value


def _changed(told: Told, values: Raw, known: Iterable[str]) -> Raw:
    if not told.changed:
        return {name: value for name, value in values.items() if value is not None or told.null_is_value}
    names = set(known)
    found: Raw = {}
    for changed in told.changed:
        name = flat_to_dotted(changed, names)
        parts = {part: value for part, value in values.items() if part.startswith(f"{name}.")}
        if name in values:
            found[name] = values[name]
        elif parts:
            found.update(parts)
        elif values.get(name.partition(".")[0], "") is None:
            found[name] = None  # the whole compound was emptied
    return found


def _is_diff(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"diff"}


def _canonical(entity: str, raw: Raw, kinds: FieldKinds) -> tuple[dict[str, FieldValue], tuple[str, ...]]:
    values: dict[str, FieldValue] = {}
    inexact = []
    for name, value in raw.items():
        read = canonical_value(value, kinds.kind(entity, name), name)
        if read is INEXACT:
            inexact.append(name)
        else:
            values[name] = read
    return values, tuple(inexact)


def _derived_id(told: Told, topic: str, values: Mapping[str, FieldValue], diff: tuple[str, ...]) -> str:
    commit = told.commit
    content = [topic, told.entity, told.kind, commit.ts, commit.number, commit.tx, commit.seq, sorted(diff)]
    digest = blake2b(encode([*content, sorted(values.items())]), digest_size=16)
    return f"feed/{digest.hexdigest()}"
