"""The Tooling API's query, for the two objects that say which objects a channel of change events tells of.

Place     app.py -> [this] -> SandboxOrg.objects and channels
Rules     Selection lists and filters of a query are not looked at: every row is answered with all of its fields.
Source    Tooling API: PlatformEventChannel, PlatformEventChannelMember.
"""

import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.record_ids import record_id
from fakturo.cli.sandbox.rest.answers import answer, org_of
from fakturo.cli.sandbox.rest.describe import DATA

_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
CHANNEL, MEMBER = "PlatformEventChannel", "PlatformEventChannelMember"
STANDARD = "ChangeEvents"


async def tooling_query(request: Request) -> Response:
    """Answer a query for channels or their members.

    Raises:
        OrgError: MALFORMED_QUERY, INVALID_TYPE.
    """
    found = _FROM.search(request.query_params.get("q", ""))
    if found is None:
        raise OrgError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
    if found[1] not in (CHANNEL, MEMBER):
        raise OrgError("INVALID_TYPE", f"sObject type '{found[1]}' is not supported.")
    channels = dict(org_of(request).channels)
    rows = list(_channels(channels) if found[1] == CHANNEL else _members(request, channels))
    records = [{"attributes": {"type": found[1]}, **row} for row in rows]
    return answer({"size": len(rows), "totalSize": len(rows), "done": True, "records": records})


def _channels(channels: dict[str, Any]) -> Iterator[dict[str, str]]:
    for number, name in enumerate(sorted(channels), start=1):
        yield {"Id": record_id("0YL", number), "DeveloperName": name.removesuffix("__chn")}


def _members(request: Request, channels: dict[str, Any]) -> Iterator[dict[str, str]]:
    for entity in org_of(request).objects.values():
        if entity.cdc:
            yield {"EventChannel": STANDARD, "SelectedEntity": entity.event_name}
    for number, name in enumerate(sorted(channels), start=1):
        for member in sorted(channels[name]):
            event = org_of(request).objects[member].event_name
            yield {"EventChannel": record_id("0YL", number), "SelectedEntity": event}


ROUTES = [Route(f"{DATA}/tooling/query", tooling_query, methods=["GET"])]
