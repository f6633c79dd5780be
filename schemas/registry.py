"""Which shapes travel on which topic: what the JSON Schemas, the examples and the AsyncAPI document are made from.

Place     topics + event structs -> [this] -> json_schemas, async_api. Who has a record in hand finds its shape here.
Clocks    `fakturo.clock.advanced.v1` comes on every input topic, and agents forward it on every topic they write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fakturo.schemas import topics
from fakturo.schemas.envelope import Event
from fakturo.schemas.events import (
    catalog,
    clock,
    collections,
    contracts,
    credit,
    documents,
    invoices,
    kpis,
    ledger,
    payments,
    requests,
    sales,
    usage,
)
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.topics import Topic

USAGE = "usage"
"""The shape of any usage event: its `type` is the meters' own, its `data` any object."""

CHANGE_DATA = "sf.cdc"
"""The shape of a Salesforce change record, the only one that is no CloudEvent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One shape of a record's value.

    `name` is the event type, or one of the two names above; `struct` is what the value decodes to. `read` says that
    others write it for us to read: its schema is closed and may only grow by optional fields. What we write is open
    and must go on holding what it held.
    """

    name: str
    struct: Any
    read: bool
    topics: tuple[Topic, ...]

    @property
    def is_event(self) -> bool:
        """Return whether it is a CloudEvent."""
        return self.name != CHANGE_DATA

    @property
    def constants(self) -> dict[str, Any]:
        """Return the attributes that are the same in every record of this shape."""
        if not self.is_event:
            return {"v": 1}
        return {"specversion": "1.0"} if self.name == USAGE else {"specversion": "1.0", "type": self.name}


def _shapes(types: Mapping[str, type[msgspec.Struct]], topic: Topic) -> tuple[Shape, ...]:
    read = topic.owner is None
    return tuple(
        Shape(name=name, struct=Event[struct], read=read, topics=(topic,))  # type: ignore[valid-type]
        for name, struct in types.items()
    )


def _usage_shapes(names: tuple[str, ...], topic: Topic) -> tuple[Shape, ...]:
    return _shapes({name: usage.TYPES[name] for name in names}, topic)


SHAPES: tuple[Shape, ...] = (
    Shape(name=CHANGE_DATA, struct=ChangeRecord, read=True, topics=topics.SF_TOPICS),
    Shape(name=USAGE, struct=Event[dict[str, Any]], read=True, topics=(topics.USAGE,)),
    *_usage_shapes((usage.USAGE_CORRECTED, usage.RERATE_REQUESTED), topics.USAGE),
    *_shapes(payments.TYPES, topics.PAYMENTS),
    *_shapes(requests.TYPES, topics.REQUESTS),
    *_shapes(catalog.TYPES, topics.CATALOG),
    Shape(
        name=topics.CLOCK_ADVANCED,
        struct=Event[clock.ClockAdvanced],
        read=True,
        topics=(*topics.INPUT_TOPICS, *topics.OUTPUT_TOPICS),
    ),
    *_shapes(contracts.TYPES, topics.CONTRACTS),
    *_shapes(sales.TYPES, topics.CONTRACTS),
    *_usage_shapes((usage.USAGE_RATED,), topics.RATED),
    *_usage_shapes((usage.THRESHOLD_CROSSED,), topics.ALERTS),
    *_shapes(invoices.TYPES, topics.INVOICES),
    *_shapes(credit.TYPES, topics.INVOICES),
    *_shapes(ledger.TYPES, topics.LEDGER),
    *_shapes(kpis.TYPES, topics.KPIS),
    *_shapes(collections.TYPES, topics.COLLECTIONS),
    *_shapes(documents.TYPES, topics.DOCUMENTS),
)


def shapes_on(topic: Topic) -> tuple[Shape, ...]:
    """Return the shapes that a reader of `topic` must know."""
    return tuple(shape for shape in SHAPES if topic in shape.topics)
