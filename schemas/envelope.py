"""The CloudEvents 1.0 envelope that every billing event travels in.

Place     codec -> [this] -> agents. `data` is one of the structs in `fakturo.schemas.events`.
Identity  (`source`, `id`); ids of ours derive from content, so a rerun gives the same.
Source    CloudEvents 1.0, section "Required attributes"; extensions `recordedat` and `traceparent`.
"""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time with its offset; encoded as RFC 3339 in UTC."""

Data = TypeVar("Data")

SOURCE_PREFIX = "fakturo/"


class Event(msgspec.Struct, Generic[Data], frozen=True, kw_only=True, omit_defaults=True):
    """One CloudEvent.

    `time` is the event time (when it took effect), `recordedat` when we knew it: the broker's append time of the
    input record that caused it, carried onward.
    """

    specversion: str
    id: str
    source: str
    type: str
    time: Instant
    data: Data
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    recordedat: Instant | None = None
    traceparent: str | None = None


def event_of(
    *,
    agent: str,
    event_type: str,
    id: str,  # noqa: A002 - the attribute's own name
    subject: str | None,
    time: datetime,
    data: Data,
    recorded_at: datetime | None = None,
) -> Event[Data]:
    """Return an event of ours: source `fakturo/<agent>`, JSON data."""
    return Event(
        specversion="1.0",
        id=id,
        source=SOURCE_PREFIX + agent,
        type=event_type,
        subject=subject,
        time=time,
        datacontenttype="application/json",
        recordedat=recorded_at,
        data=data,
    )
