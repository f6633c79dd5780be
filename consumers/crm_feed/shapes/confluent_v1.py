"""Confluent's Salesforce CDC Source (v1): a flat record of the object with a ChangeEventHeader and `_ObjectType`.

Place     detection -> [this] -> canonical. Pure. The `{"schema", "payload"}` around it has been opened by reading.py.
Form      all columns of the object stand there, unchanged ones null: `changedFields` alone says what changed, and
          which of them are null now. Without it, null means unchanged. Compounds stand flat (`MailingStreet`) beside a
          null of the whole. There is no list of nulled fields.
Source    reference 3.2; recorded messages of connector 1.x in kafka-docker-playground.
"""

from fakturo.consumers.crm_feed.shapes.change_header import header_in, read_header
from fakturo.consumers.crm_feed.shapes.event_schemas import HEADER
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen

NAME = "confluent_v1"


def matches(message: Message) -> bool:
    """Return whether the message is one of this connector's."""
    return "_ObjectType" in message.fields and header_in(message.body) is not None


def read(message: Message) -> Told:
    """Return what the message tells.

    Raises:
        SchemaError: something of the header is missing or misshapen.
    """
    found = header_in(message.body)
    if found is None:
        raise misshapen(f"there is no {HEADER}")
    header = read_header(found)
    body = message.fields
    return Told(
        src=NAME,
        entity=header.entity,
        record_ids=header.record_ids or ((body["Id"],) if isinstance(body.get("Id"), str) else ()),
        kind=header.kind,
        commit=header.commit,
        values=body,
        changed=header.changed,
        nulled=header.nulled,
        diff=header.diff,
        event_uuid=_text(body.get("EventUuid")),
        replay_id=_text(body.get("ReplayId")),
        schema_id=_text(body.get("_EventType")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
