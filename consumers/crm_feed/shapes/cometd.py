"""CometD messages, Confluent's SF_API, EventBridge details and bare payloads: the Streaming API's readable names.

Place     detection -> [this] -> canonical. Pure.
Form      `{"channel", "data": {"schema", "payload", "event": {"replayId"}}}`, `{"payload", "schemaId", "id"}` (also as
          `detail` of an EventBridge event), or the payload alone. Only changed fields are there; an explicit null was
          set to null; there is no list of nulled fields. A long text may come as `{"diff": ...}`.
Source    reference 3.1 (a recorded message) and 3.2.
"""

from fakturo.consumers.crm_feed.shapes.change_header import read_header
from fakturo.consumers.crm_feed.shapes.envelopes import open_envelope
from fakturo.consumers.crm_feed.shapes.event_schemas import HEADER
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen
from fakturo.consumers.crm_feed.shapes.tagged_avro import is_avro

NAME = "cometd"


def matches(message: Message) -> bool:
    """Return whether the message holds a change event with readable names."""
    envelope = open_envelope(message.body)
    return envelope is not None and "_ObjectType" not in envelope.payload and not is_avro(message)


def read(message: Message) -> Told:
    """Return what the message tells.

    Raises:
        SchemaError: something of the header is missing or misshapen.
    """
    envelope = open_envelope(message.body)
    if envelope is None:
        raise misshapen("there is no ChangeEventHeader")
    header = read_header(envelope.payload[HEADER])
    return Told(
        src=NAME,
        entity=header.entity,
        record_ids=header.record_ids,
        kind=header.kind,
        commit=header.commit,
        values=envelope.payload,
        changed=header.changed,
        nulled=header.nulled,
        diff=header.diff,
        null_is_value=True,
        event_uuid=envelope.event_uuid or message.headers.get("event_uuid"),
        replay_id=envelope.replay_id,
        schema_id=envelope.schema_id,
        org=envelope.org,
    )
