"""The schemas of the bus over REST: by id, and the present one of an event by its name.

Place     rest/app -> [this] -> pubsub/schemas
Rules     COMPACT is the Avro schema and its `uuid`. EXPANDED, the default, is what CometD delivers, said as Avro: the
          payload among `data`, instants as text, the replay id, the channel.
Source    REST API Developer Guide, "Platform Event Schema by Schema ID", "Platform Event Schema by Event Name".
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.schemas import NAMESPACE, EventSchema
from fakturo.cli.sandbox.rest.answers import answer


async def schema_by_id(request: Request) -> Response:
    """Answer a schema by its id, also one of before a change of fields."""
    return _shown(request, _bus_of(request).schema(request.path_params["schema_id"]))


async def schema_by_name(request: Request) -> Response:
    """Answer the present schema of `X__e` or `<Object>ChangeEvent`."""
    bus, name = _bus_of(request), request.path_params["name"]
    found = next((one for one in bus.org.objects.values() if name in {one.event_name, one.name}), None)
    if found is None or (found.name == name and not name.endswith("__e")):
        return _shown(request, None)
    return _shown(request, bus.schemas.of(found))


def _bus_of(request: Request) -> EventBus:
    bus: EventBus | None = request.app.state.bus
    if bus is None:
        raise OrgError("NOT_FOUND", "The sandbox runs without its event bus")
    return bus


def _shown(request: Request, schema: EventSchema | None) -> Response:
    if schema is None:
        raise OrgError("NOT_FOUND", "The requested resource does not exist")
    form = request.query_params.get("payloadFormat", "EXPANDED").upper()
    if form not in {"COMPACT", "EXPANDED"}:
        raise OrgError("INVALID_PARAMETER_VALUE", f"payloadFormat must be COMPACT or EXPANDED, not {form}")
    compact = json.loads(schema.text)
    return answer({**compact, "uuid": schema.schema_id} if form == "COMPACT" else _expanded(compact))


def _expanded(compact: dict[str, Any]) -> dict[str, Any]:
    payload = {
        "type": "record",
        "name": "Payload",
        "doc": "",
        "fields": [_as_json(field) for field in compact["fields"]],
    }
    data = [
        {"name": "schema", "type": "string"},
        {"name": "payload", "type": payload},
        {
            "name": "event",
            "type": {"type": "record", "name": "Event", "fields": [{"name": "replayId", "type": "long"}]},
        },
    ]
    return {
        "name": compact["name"],
        "namespace": NAMESPACE,
        "type": "expanded-record",
        "fields": [
            {"name": "data", "type": {"type": "record", "name": "Data", "namespace": "", "fields": data}},
            {"name": "channel", "type": "string"},
        ],
    }


def _as_json(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field of the payload as JSON has it: instants, dates and times are text."""
    if field.get("doc", "").partition(":")[2].partition(":")[0] not in {"DateTime", "DateOnly", "TimeOnly"}:
        return field
    kind = field["type"]
    return {**field, "type": ["null", "string"] if isinstance(kind, list) else "string"}


ROUTES = [
    Route("/services/data/v{version}/event/eventSchema/{schema_id}", schema_by_id, methods=["GET"]),
    Route("/services/data/v{version}/sobjects/{name}/eventSchema", schema_by_name, methods=["GET"]),
]
