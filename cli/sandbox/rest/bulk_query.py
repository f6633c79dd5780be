"""`/jobs/query`: bulk jobs that read. Create, and fetch the results page by page; the rest is as for ingest jobs.

Place     calls.py -> [this] -> bulk.query_jobs
Rules     A page is written while it is sent, so it needs no memory. `Sforce-Locator` names the next page, `null` is
          said on the last; `Sforce-NumberOfRecords` counts the page's records.
Source    Bulk API 2.0 Developer Guide, "Create a Query Job", "Get Results for a Query Job".
"""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.rest.answers import answer, read_object
from fakturo.cli.sandbox.rest.bulk_ingest import CSV, job_of
from fakturo.cli.sandbox.rest.calls import SESSION, client_of, version_of
from fakturo.cli.sandbox.rest.queries import questions_of


async def create(request: Request) -> Response:
    """Make a job and set it to work."""
    job = questions_of(request).query_jobs.create(
        await read_object(request),
        version=version_of(request),
        user_id=request.scope[SESSION].user_id,
        client=client_of(request),
    )
    return answer(job.info())


async def results(request: Request) -> Response:
    """A page of a complete job's rows."""
    job = job_of(request)
    asked = request.query_params.get("maxRecords")
    if asked is not None and not (asked.isdecimal() and int(asked) > 0):
        raise OrgError("INVALID_QUERY_LOCATOR", f"maxRecords is a positive number, not '{asked}'")
    page = questions_of(request).query_jobs.page(
        job, request.query_params.get("locator"), int(asked) if asked is not None else None
    )
    headers = {"Sforce-Locator": page.locator or "null", "Sforce-NumberOfRecords": str(page.records)}
    return StreamingResponse(page.pieces, headers=headers, media_type=CSV)


ROUTES = [
    Route("/services/data/v{version}/jobs/query", create, methods=["POST"]),
    Route("/services/data/v{version}/jobs/query/{job}/results", results),
]
