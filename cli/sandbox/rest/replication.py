"""`/sobjects/X/updated` and `/deleted`: which records were written or deleted between two instants.

Place     calls.py -> [this] -> soql.stamps, the recycle bin
Rules     Seconds don't count: both ends are cut to their minute. Both lie within the last 30 days by the org's clock
          and a minute apart at least. A record that was deleted stays in the list when it has left the recycle bin,
          too.
Source    REST API Developer Guide, "sObject Get Updated", "sObject Get Deleted"; SOAP API, "getUpdated()".
"""

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.clock import instant_text
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.rest.answers import answer, org_of
from fakturo.cli.sandbox.rest.queries import questions_of

REACHES_BACK = timedelta(days=30)
_CODE = "INVALID_REPLICATION_DATE"


async def updated(request: Request) -> Response:
    """The ids of records made or changed, deleted ones left out."""
    entity = org_of(request).object(request.path_params["entity"])
    low, high = _range(request)
    rows = questions_of(request).queries.stamps.between(entity.name, low, high)
    ids = [row["Id"] for row in rows if not row["IsDeleted"] and row["SystemModstamp"] < high]
    return answer({"ids": ids, "latestDateCovered": high})


async def deleted(request: Request) -> Response:
    """The ids of records deleted, and when."""
    org = org_of(request)
    entity = org.object(request.path_params["entity"])
    low, high = _range(request)
    times = {row["Id"]: row["SystemModstamp"] for row in org.tables[entity.name].values() if row["IsDeleted"]}
    times |= questions_of(request).queries.stamps.deleted(entity.name)
    found = sorted((stamp, record_id) for record_id, stamp in times.items() if low <= stamp < high)
    earliest = instant_text(org.clock.now() - REACHES_BACK)
    return answer(
        {
            "deletedRecords": [{"id": record_id, "deletedDate": stamp} for stamp, record_id in found],
            "earliestDateAvailable": earliest,
            "latestDateCovered": high,
        }
    )


def _range(request: Request) -> tuple[str, str]:
    """Start and end as rows hold instants. Raises INVALID_REPLICATION_DATE, MALFORMED_QUERY."""
    start, end = _instant(request, "start"), _instant(request, "end")
    if start >= end:
        raise OrgError(_CODE, "endDate is less than or equal to startDate, or less than a minute behind it")
    if start < org_of(request).clock.now() - REACHES_BACK:
        raise OrgError(_CODE, f"startDate is more than {REACHES_BACK.days} days back")
    return instant_text(start), instant_text(end)


def _instant(request: Request, name: str) -> datetime:
    """One end of the range, cut to its minute."""
    text = request.query_params.get(name, "").replace(" ", "+")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise OrgError("MALFORMED_QUERY", f"{name} '{text}' is no datetime like 2026-11-01T12:00:00+00:00") from None
    if found.tzinfo is None:
        raise OrgError("MALFORMED_QUERY", f"{name} '{text}' has no offset from UTC")
    return found.astimezone(UTC).replace(second=0, microsecond=0)


ROUTES = [
    Route("/services/data/v{version}/sobjects/{entity}/updated", updated),
    Route("/services/data/v{version}/sobjects/{entity}/deleted", deleted),
]
