"""The sandbox's own door for benches: `POST /sandbox/events` fills the bus with many events at once.

Place     benches -> rest/app -> [this] -> pubsub/filling
Body      `{"object": "OrderItem", "count": 100000, "first": 1, "values": {"UnitPrice": 49.90}}`; `first` may be left
          out. The answer says how many were told, and the first and last record's id.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.filling import fill
from fakturo.cli.sandbox.rest.answers import answer, read_object

MOST = 1_000_000


async def fill_bus(request: Request) -> Response:
    """Tell many changes; nothing of the org changes."""
    bus: EventBus | None = request.app.state.bus
    if bus is None:
        raise OrgError("NOT_FOUND", "The sandbox runs without its event bus")
    wanted = await read_object(request)
    name, values = wanted.get("object"), wanted.get("values")
    count, first = wanted.get("count"), wanted.get("first", 1)
    if not isinstance(name, str) or not isinstance(values, dict) or not values:
        raise OrgError("INVALID_FIELD", 'Expected "object" and "values": {"UnitPrice": 1}', ("object", "values"))
    if type(count) is not int or type(first) is not int or not 1 <= count <= MOST or first < 1:
        raise OrgError(
            "INVALID_FIELD", f"Expected a count of 1 to {MOST} and a first number from 1", ("count", "first")
        )
    ids = fill(bus, name, values, count, first=first)
    return answer({"told": count, "firstId": ids[0], "lastId": ids[1]})


ROUTES = [Route("/sandbox/events", fill_bus, methods=["POST"])]
