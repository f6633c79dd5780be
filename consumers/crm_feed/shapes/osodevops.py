"""osodevops/kafka-connect-salesforce-oss: the event's own fields, one record a record id, the change in `sf.*` headers.

Place     detection -> [this] -> canonical. Pure.
Form      an event has the headers `sf.change.type`, `sf.changed.fields`, ... and all fields of the Avro event, the
          unchanged ones null. A row (snapshot, poll, answer to a gap) has none of them, but `_ObjectType` and
          `_EventType` created, updated or deleted: it is whole, and its version is its SystemModstamp. Dates and
          instants are both milliseconds: the field's kind tells them apart (field_kinds.py).
Source    reference 3.2; the connector's SourceRecordFactory and SObjectPipeline, read in its repository.
"""

from fakturo.consumers.crm_feed.shapes.connector_headers import names_in
from fakturo.consumers.crm_feed.shapes.keys import key_id
from fakturo.consumers.crm_feed.shapes.message import Message, Told, missing
from fakturo.consumers.crm_feed.shapes.rows import row_version
from fakturo.consumers.crm_feed.shapes.times import milliseconds_of
from fakturo.schemas.events.change_data import Commit

NAME = "osodevops"
ROW_TYPES = {"created": "SYNC", "updated": "SYNC", "deleted": "DELETE"}


def matches(message: Message) -> bool:
    """Return whether the message is one of this connector's, an event or a row.

    A row of Confluent's PushTopic connector looks the same but for its ReplayId; it may lack columns, so it is none.
    """
    return "sf.change.type" in message.headers or _is_row(message)


def _is_row(message: Message) -> bool:
    row = message.fields
    return (
        isinstance(row.get("_ObjectType"), str)
        and row.get("_EventType") in ROW_TYPES
        and "ChangeEventHeader" not in row
        and "ReplayId" not in row
    )


def read(message: Message) -> Told:
    """Return what the message tells.

    Raises:
        SchemaError: the object, the record id or the time of the change is missing.
    """
    is_row = "sf.change.type" not in message.headers
    entity = message.fields.get("_ObjectType") if is_row else message.headers.get("sf.entity")
    if not isinstance(entity, str) or not entity:
        raise missing("the object", "$headers.sf.entity")
    record_id = message.fields.get("Id") or key_id(message)
    if not isinstance(record_id, str):
        raise missing("the record id", "$.Id")
    return _row(message, entity, record_id) if is_row else _event(message, entity, record_id)


def _row(message: Message, entity: str, record_id: str) -> Told:
    row = message.fields
    kind = ROW_TYPES[row["_EventType"]]
    return Told(
        src=NAME,
        entity=entity,
        record_ids=(record_id,),
        kind=kind,
        commit=row_version(row),
        values=row,
        full=kind == "SYNC",
    )


def _event(message: Message, entity: str, record_id: str) -> Told:
    headers = message.headers
    return Told(
        src=NAME,
        entity=entity,
        record_ids=(record_id,),
        kind=headers["sf.change.type"],
        commit=Commit(
            ts=milliseconds_of(headers.get("sf.commit.timestamp"), "$headers.sf.commit.timestamp"),
            number=headers.get("sf.commit.number"),
            tx=headers.get("sf.transaction.key"),
        ),
        values=message.fields,
        changed=names_in(headers, "sf.changed.fields"),
        nulled=names_in(headers, "sf.nulled.fields") or (),
    )
