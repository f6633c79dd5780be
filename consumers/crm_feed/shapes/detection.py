"""Whose form a message has: decided for each message by itself, so a topic may change its connector over night.

Place     reading.py -> [this] -> one of the shapes. Pure.
Order     reference 3.3: CometD, Confluent v1, Confluent V2, osodevops, Avro's terms, tombstones; the wire format has
          been opened before. A message has one form at most: the shapes exclude each other.
Pinned    FAKTURO_CRM_SHAPE names one shape: every message is read as that, or refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fakturo.consumers.crm_feed.shapes import cometd, confluent_v1, confluent_v2, osodevops, tagged_avro, tombstones
from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchemas
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen


@dataclass(frozen=True, slots=True)
class Shape:
    """One form: its name, whether a message has it, what the message tells."""

    name: str
    matches: Callable[[Message], bool]
    read: Callable[[Message], Told]


def shapes(schemas: EventSchemas) -> tuple[Shape, ...]:
    """Return all shapes, in the order in which they are tried."""
    return (
        Shape(cometd.NAME, cometd.matches, cometd.read),
        Shape(confluent_v1.NAME, confluent_v1.matches, confluent_v1.read),
        Shape(confluent_v2.NAME, confluent_v2.matches, confluent_v2.read),
        Shape(osodevops.NAME, osodevops.matches, osodevops.read),
        Shape(tagged_avro.NAME, tagged_avro.is_avro, partial(tagged_avro.read, schemas=schemas)),
        Shape(tombstones.NAME, tombstones.matches, tombstones.read),
    )


def shape_of(message: Message, known: tuple[Shape, ...], pinned: str = "") -> Shape:
    """Return the shape that `message` has, among `known`, or the one that is `pinned`.

    Raises:
        SchemaError: it has none of them, or another than the pinned one.
    """
    found = next((shape for shape in known if shape.matches(message)), None)
    if found is None:
        names = ", ".join(shape.name for shape in known)
        raise misshapen(f"no form of a Salesforce change that we know ({names}){_what(message)}")
    if pinned and found.name not in (pinned, tombstones.NAME):
        raise misshapen(f"FAKTURO_CRM_SHAPE says {pinned}, the message has the form of {found.name}")
    return found


def _what(message: Message) -> str:
    if message.body is None:
        return ": it has neither value nor key"
    if not isinstance(message.body, dict):
        return ": it is no JSON object"
    names = ", ".join(sorted(map(str, message.body))[:5])
    return f"; its fields are {names}" if names else ": it is empty"
