"""`/query` and `/queryAll`: SOQL over REST, page by page.

Place     calls.py -> [this] -> soql.execution, soql.locators
Rules     `queryAll` takes in deleted rows. A request's line and query may have 16,384 bytes; a longer query goes
          through a bulk job, or is cut into several. A large table is read in a thread.
Source    REST API Developer Guide, "Query", "QueryAll", "Query More Results".
"""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.questions import Questions
from fakturo.cli.sandbox.rest.answers import answer
from fakturo.cli.sandbox.rest.calls import TRANSACTION, version_of
from fakturo.cli.sandbox.soql.locators import page_size

LONGEST_REQUEST = 16_384


def questions_of(request: Request) -> Questions:
    """What this server answers queries with."""
    questions: Questions = request.app.state.questions
    return questions


async def query(request: Request) -> Response:
    """The first page of a query over live rows."""
    return await _first_page(request, "query", deleted=False)


async def query_all(request: Request) -> Response:
    """The first page of a query over all rows, deleted ones too."""
    return await _first_page(request, "queryAll", deleted=True)


async def query_more(request: Request) -> Response:
    """The page at a locator."""
    resource = "queryAll" if "/queryAll/" in request.scope["path"] else "query"
    page = questions_of(request).locators.next_page(
        request.path_params["place"],
        size=page_size(request.headers),
        version=version_of(request),
        resource=resource,
    )
    return answer(page)


async def _first_page(request: Request, resource: str, *, deleted: bool) -> Response:
    """Answer a query as far as its first page."""
    if len(request.scope["path"]) + len(request.scope["query_string"]) > LONGEST_REQUEST:
        return PlainTextResponse("URI Too Long", 414)
    text = request.query_params.get("q")
    if not text:
        raise OrgError("MALFORMED_QUERY", "A query string has to be specified")
    questions = questions_of(request)
    plan = questions.queries.plan(text, deleted=deleted)
    # Inside of a composite's transaction nothing else may come between.
    found = plan.run() if request.scope.get(TRANSACTION) is not None else await plan.run_aside()
    page = questions.locators.first_page(
        found, size=page_size(request.headers), version=version_of(request), resource=resource
    )
    return answer(page)


ROUTES = [
    Route("/services/data/v{version}/query", query),
    Route("/services/data/v{version}/query/{place}", query_more),
    Route("/services/data/v{version}/queryAll", query_all),
    Route("/services/data/v{version}/queryAll/{place}", query_more),
]
