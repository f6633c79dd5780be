"""The versions, the resources of one, and the limits of the org.

Place     app.py -> [this] -> allocations.py
Source    REST API Developer Guide, "Versions", "Resources by Version", "Limits".
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.rest.answers import answer, org_of
from fakturo.cli.sandbox.rest.calls import NEWEST, OLDEST, version_of
from fakturo.cli.sandbox.rest.describe import DATA

_SEASONS = ("Spring", "Summer", "Winter")
_RESOURCES = {
    "composite": "composite",
    "eventSchema": "event/eventSchema",
    "jobs": "jobs",
    "limits": "limits",
    "query": "query",
    "queryAll": "queryAll",
    "sobjects": "sobjects",
}


async def versions(request: Request) -> Response:
    """List the API versions; no token is needed."""
    return answer(
        [
            {"label": _label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(OLDEST, NEWEST + 1)
        ]
    )


def _label(number: int) -> str:
    """Return the release of an API version: 31 was Summer '14, then three a year."""
    season = (number - 30) % 3
    year = 14 + (number - 30) // 3 + (season == 2)
    return f"{_SEASONS[season]} '{year}"


async def resources(request: Request) -> Response:
    """List what there is in a version."""
    base = f"/services/data/v{version_of(request)}"
    return answer({name: f"{base}/{path}" for name, path in _RESOURCES.items()})


async def limits(request: Request) -> Response:
    """Tell the allocations and what is left of them."""
    return answer(org_of(request).allocations.state())


ROUTES = [
    Route("/services/data", versions, methods=["GET"]),
    Route(DATA, resources, methods=["GET"]),
    Route(f"{DATA}/limits", limits, methods=["GET"]),
]
