"""`/jobs/ingest`: bulk jobs that write. Create, upload, close or abort, ask, fetch results, delete.

Place     calls.py -> [this] -> bulk.ingest
Source    Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest".
"""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from fakturo.cli.sandbox.bulk.jobs import LISTED, Job
from fakturo.cli.sandbox.bulk.lines import csv_pieces
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.questions import Questions
from fakturo.cli.sandbox.rest.answers import answer, no_content, read_object
from fakturo.cli.sandbox.rest.calls import SESSION, client_of, version_of
from fakturo.cli.sandbox.rest.queries import questions_of

CSV = "text/csv"
_JOBS = "/services/data/v{version}/jobs"


def job_of(request: Request) -> Job:
    """The job that a path names. Raises NOT_FOUND, also for a job of the other kind."""
    is_query = "/jobs/query/" in request.scope["path"]
    return questions_of(request).jobs.find(request.path_params["job"], query=is_query)


async def create(request: Request) -> Response:
    """Make an open job."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise OrgError("INVALIDJOB", "A job is made by a JSON body; its CSV is uploaded by a PUT to contentUrl.")
    job = questions_of(request).ingest.create(
        await read_object(request),
        version=version_of(request),
        user_id=request.scope[SESSION].user_id,
        client=client_of(request),
    )
    return answer(job.info())


async def upload(request: Request) -> Response:
    """Take the CSV of an open job."""
    questions_of(request).ingest.upload(job_of(request), await request.body())
    return Response(status_code=201)


async def change(request: Request) -> Response:
    """Close the upload or abort the job, of either kind."""
    job, state = job_of(request), (await read_object(request)).get("state")
    questions = questions_of(request)
    if state == "Aborted":
        (questions.query_jobs if job.is_query else questions.ingest).abort(job)
    elif state == "UploadComplete" and not job.is_query:
        questions.ingest.close_upload(job)
    else:
        raise OrgError("INVALIDJOBSTATE", f"A job can't be set to the state '{state}'.")
    return answer(job.info())


async def info(request: Request) -> Response:
    """How far a job of either kind got."""
    return answer(job_of(request).whole_info())


async def listing(request: Request) -> Response:
    """The jobs of a kind, the newest first, a thousand a page."""
    path = request.scope["path"]
    jobs = questions_of(request).jobs.listed(query=path.endswith("/query"))
    start = _start(request)
    following = start + LISTED
    return answer(
        {
            "done": following >= len(jobs),
            "records": [job.info() for job in jobs[start:following]],
            "nextRecordsUrl": f"{path}?queryLocator={following}" if following < len(jobs) else None,
        }
    )


def _start(request: Request) -> int:
    """The place in the list that a locator names."""
    locator = request.query_params.get("queryLocator", "0")
    if not locator.isdecimal():
        raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(locator)


async def results(request: Request) -> Response:
    """The records that were written, refused or not come to, as CSV."""
    job, questions = job_of(request), questions_of(request)
    header, lines = questions.ingest.result(job, request.path_params["which"].lower())
    return StreamingResponse(csv_pieces(header, lines, job) if header else iter(()), media_type=CSV)


async def delete(request: Request) -> Response:
    """Delete a job of either kind."""
    questions: Questions = questions_of(request)
    questions.jobs.forget(job_of(request))
    return no_content()


ROUTES = [
    Route(f"{_JOBS}/ingest", create, methods=["POST"]),
    Route(f"{_JOBS}/ingest", listing),
    Route(f"{_JOBS}/query", listing),
    Route(f"{_JOBS}/ingest/{{job}}", info),
    Route(f"{_JOBS}/ingest/{{job}}", change, methods=["PATCH"]),
    Route(f"{_JOBS}/ingest/{{job}}", delete, methods=["DELETE"]),
    Route(f"{_JOBS}/ingest/{{job}}/batches", upload, methods=["PUT"]),
    Route(f"{_JOBS}/ingest/{{job}}/{{which}}", results),
    Route(f"{_JOBS}/query/{{job}}", info),
    Route(f"{_JOBS}/query/{{job}}", change, methods=["PATCH"]),
    Route(f"{_JOBS}/query/{{job}}", delete, methods=["DELETE"]),
]
