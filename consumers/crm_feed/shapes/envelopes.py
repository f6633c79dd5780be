"""What lies around a change event's payload: nothing, a CometD message, an EventBridge detail.

Place     cometd, tagged_avro -> [this]. Pure.
Source    reference 3.1 and 3.2 (EventBridge: `detail = {payload, schemaId, id}`).
"""

from dataclasses import dataclass
from typing import Any

from fakturo.consumers.crm_feed.shapes.change_header import header_in


@dataclass(frozen=True, slots=True)
class Envelope:
    """The payload of a message and what was written around it."""

    payload: dict[str, Any]
    event_uuid: str | None = None
    replay_id: str | None = None
    schema_id: str | None = None
    org: str | None = None


def open_envelope(body: object) -> Envelope | None:
    """Return the change event in `body`, None where there is none."""
    if not isinstance(body, dict):
        return None
    detail = body.get("detail")
    if isinstance(detail, dict) and header_in(detail.get("payload")):
        return _around(detail, org=_org_of(body.get("source")))
    data = body.get("data")
    if isinstance(data, dict) and header_in(data.get("payload")):
        return _around(data)
    if header_in(body.get("payload")):
        return _around(body)
    return Envelope(body) if header_in(body) else None


def _around(outer: dict[str, Any], org: str | None = None) -> Envelope:
    event = outer.get("event")
    inner = event if isinstance(event, dict) else {}
    return Envelope(
        payload=outer["payload"],
        event_uuid=_text(inner.get("EventUuid")) or _text(outer.get("id")),
        replay_id=_text(inner.get("replayId")),
        schema_id=_text(outer.get("schemaId")) or _text(outer.get("schema")),
        org=org,
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _org_of(source: object) -> str | None:
    """Return the org in an EventBridge source, `aws.partner/salesforce.com/<org id>/<channel>`."""
    parts = source.split("/") if isinstance(source, str) else []
    return parts[2] if len(parts) > 2 and parts[1] == "salesforce.com" else None
