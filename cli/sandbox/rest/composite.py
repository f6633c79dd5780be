"""Several calls in one: up to 25, of which a later one may use what an earlier one answered.

Place     app.py -> [this] -> the other routes, called from inside
Rules     `@{ref.id}` in a url or a body stands for a value of an earlier answer, whole or inside of text. With
          `allOrNone` all run in one transaction, and one failure undoes all; without it each is one of its own.
Source    REST API Developer Guide, "Composite", "Composite Batch".
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.rest.answers import answer, decoded, encoded, read_object
from fakturo.cli.sandbox.rest.calls import SESSION, TRANSACTION, transaction_of
from fakturo.cli.sandbox.rest.describe import DATA
from fakturo.cli.sandbox.transactions import Transaction

MOST = 25
_REFERENCE = re.compile(r"@\{(\w+)\.([^}]+)\}")
_NOT_INSIDE = ("/composite", "/composite/batch")
_STEP = re.compile(r"\w+|\[\d+\]")
_HALTED = [
    {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same transaction failed.",
    }
]
Answers = dict[str, Any]


class _Undo(Exception):
    pass


class _Unknown(Exception):
    pass


async def composite(request: Request) -> Response:
    """Run sub-requests in order."""
    body = await read_object(request)
    calls = _calls(body.get("compositeRequest"), "compositeRequest")
    names = [one.get("referenceId") for one in calls]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise OrgError("JSON_PARSER_ERROR", "referenceId: every sub-request has one of its own")
    if body.get("allOrNone") is not True:
        return answer({"compositeResponse": [one async for one in _run(request, calls, None)]})
    results: list[dict[str, Any]] = []
    try:
        with transaction_of(request) as transaction:
            async for one in _run(request, calls, transaction):
                results.append(one)
                if one["httpStatusCode"] >= 300:
                    raise _Undo  # noqa: TRY301 - leaves the transaction
    except _Undo:
        failed = results[-1]
        results = [failed if one["referenceId"] == failed["referenceId"] else _halted(one) for one in calls]
    return answer({"compositeResponse": results})


async def batch(request: Request) -> Response:
    """Run sub-requests that know nothing of each other, each a transaction of its own."""
    body = await read_object(request)
    results: list[dict[str, Any]] = []
    for one in _calls(body.get("batchRequests"), "batchRequests"):
        url = str(one.get("url", ""))
        whole = url if url.startswith("/") else f"/services/data/{url}"
        status, _, told = await _call(request, one.get("method", "GET"), whole, one.get("richInput"), {}, None)
        results.append({"statusCode": status, "result": told})
        if status >= 400 and body.get("haltOnError") is True:
            break
    return answer({"hasErrors": any(one["statusCode"] >= 400 for one in results), "results": results})


def _calls(given: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise OrgError("JSON_PARSER_ERROR", f"{name}: a list of objects is expected")
    if len(given) > MOST:
        raise OrgError("LIMIT_EXCEEDED", f"The request contains more than the limit of {MOST} subrequests")
    return given


async def _run(request: Request, calls: list[dict[str, Any]], shared: Transaction | None) -> Any:
    known: Answers = {}
    for one in calls:
        name = one["referenceId"]
        try:
            url = _filled(str(one.get("url", "")), known)
            body = _filled(one.get("body"), known)
        except _Unknown as unknown:
            error = {"errorCode": "PROCESSING_HALTED", "message": f"Invalid reference specified. {unknown}"}
            yield {"body": [error], "httpHeaders": {}, "httpStatusCode": 400, "referenceId": name}
            continue
        status, headers, told = await _call(
            request, one.get("method", "GET"), url, body, one.get("httpHeaders") or {}, shared
        )
        if status < 300:
            known[name] = told
        yield {"body": told, "httpHeaders": headers, "httpStatusCode": status, "referenceId": name}


def _halted(call: dict[str, Any]) -> dict[str, Any]:
    return {"body": _HALTED, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": call["referenceId"]}


def _filled(value: Any, known: Answers) -> Any:
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return _value(known, *whole.groups())
        return _REFERENCE.sub(lambda found: str(_value(known, *found.groups())), value)
    if isinstance(value, list):
        return [_filled(one, known) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, known) for name, one in value.items()}
    return value


def _value(known: Answers, name: str, path: str) -> Any:
    value = known.get(name)
    for step in _STEP.findall(path):
        if step.startswith("["):
            index = int(step[1:-1])
            value = value[index] if isinstance(value, list) and index < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        raise _Unknown(f"No value for {name}.{path} found in {name}")
    return value


async def _call(
    request: Request, method: str, url: str, body: Any, headers: Mapping[str, str], shared: Transaction | None
) -> tuple[int, dict[str, str], Any]:
    """Call a route from inside; return status, headers that tell something, and the body."""
    split = urlsplit(url)
    if not split.path.startswith("/services/data/v") or split.path.endswith(_NOT_INSIDE):
        error = {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
        return 404, {}, [error]
    kept = [(name, value) for name, value in request.scope["headers"] if name.lower() == b"sforce-call-options"]
    scope = {
        **request.scope,
        "method": method.upper(),
        "path": split.path.rstrip("/"),
        "raw_path": None,
        "query_string": split.query.encode(),
        "headers": [*kept, *((name.lower().encode(), str(value).encode()) for name, value in headers.items())],
        SESSION: request.scope.get(SESSION),
        TRANSACTION: shared,
    }
    for left in ("path_params", "endpoint", "route", "router"):
        scope.pop(left, None)
    got: dict[str, Any] = {"body": b""}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"" if body is None else encoded(body), "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            got.update(status=message["status"], headers=message["headers"])
        else:
            got["body"] += message.get("body", b"")

    try:
        await request.app.router(scope, receive, send)
    except HTTPException as error:
        code = "METHOD_NOT_ALLOWED" if error.status_code == 405 else "NOT_FOUND"
        return error.status_code, {}, [{"errorCode": code, "message": "The requested resource does not exist"}]
    told = {name.decode().title(): value.decode() for name, value in got["headers"] if name == b"location"}
    return got["status"], told, decoded(got["body"]) if got["body"] else None


ROUTES = [
    Route(f"{DATA}/composite", composite, methods=["POST"]),
    Route(f"{DATA}/composite/batch", batch, methods=["POST"]),
]
