"""A record without a value: the connector says that the record of its key is deleted.

Place     detection, after the shapes whose headers tell more -> [this] -> canonical. Pure.
Object    a tombstone does not name it. Topics of the connectors that write some end in its name, and the id must be one
          of its own: where either can't be told, the message is refused and nothing guessed.
Time      of the deletion: when the record was written. The change event before it, where there is one, tells better.
"""

from fakturo.consumers.crm_feed.shapes.keys import entity_of_topic, key_id
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen, missing
from fakturo.schemas.events.change_data import Commit

NAME = "tombstone"


def matches(message: Message) -> bool:
    """Return whether the message has a key and no value."""
    return message.body is None and message.key is not None


def read(message: Message) -> Told:
    """Return the deletion that the message tells.

    Raises:
        SchemaError: the key is no record id, or the topic's name is not the id's object.
    """
    record_id = key_id(message)
    if record_id is None:
        raise missing("the record id", "$key")
    entity = entity_of_topic(message.topic, record_id)
    if entity is None:
        text = f"a tombstone of {record_id:.40}: the topic's name does not end in that record's object: {message.topic}"
        raise misshapen(text, "$key")
    commit = Commit(ts=message.recorded_ms)
    return Told(src=NAME, entity=entity, record_ids=(record_id,), kind="DELETE", commit=commit)
