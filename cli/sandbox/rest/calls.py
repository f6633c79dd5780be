"""What every REST call goes through: where it is addressed, who calls, what the org has left, how it is answered.

Place     uvicorn -> [this] -> the routes of this folder
Rules     A path may begin with a segment that ends in `.salesforce.com`, since simple-salesforce knows no other hosts.
          Everything under /services/data needs a live token, but for the list of versions. Every answer has the org's
          time in `Date` and the calls of the day in `Sforce-Limit-Info`. The sandbox's own doors need nothing.
Source    REST API Developer Guide, "Status Codes and Error Responses", "Limit Info Header", "Call Options Header".
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakturo.cli.sandbox.allocations import API_REQUESTS
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rest.answers import org_of, refusal
from fakturo.cli.sandbox.transactions import Transaction

_HOST_IN_PATH = re.compile(r"^/[^/]+\.salesforce\.com(?=/|$)")
_OPEN = re.compile(r"^/services/data$|^/services/(oauth2|Soap)/|^/sandbox(/|$)")
_VERSION = re.compile(r"^/services/data/v([^/]+)")
_CLIENT = re.compile(r"client=([^,;\s]+)")
OLDEST, NEWEST = 31, 68
TRANSACTION, SESSION = "sandbox.transaction", "sandbox.session"


class SalesforceCalls:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, org: SandboxOrg) -> None:
        self._app = app
        self._org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _HOST_IN_PATH.sub("", scope["path"])
        scope = {**scope, "path": path.rstrip("/") or "/", "raw_path": None}
        try:
            self._admit(scope)
        except OrgError as error:
            await refusal(error)(scope, receive, self._with_headers(send))
            return
        await self._app(scope, receive, self._with_headers(send))

    def _admit(self, scope: Scope) -> None:
        path = scope["path"]
        if _OPEN.match(path):
            return
        if self._org.faults.take("unavailable"):
            raise OrgError("SERVER_UNAVAILABLE", "The server is temporarily unavailable; try again later.")
        session = self._org.sessions.find(_token(Headers(scope=scope).get("authorization", "")))
        if session is None:
            raise OrgError("INVALID_SESSION_ID", "Session expired or invalid")
        if not self._org.allocations.use(API_REQUESTS):
            raise OrgError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        version = _VERSION.match(path)
        if version is not None:
            _check_version(version.group(1))
        scope[SESSION] = session

    def _with_headers(self, send: Send) -> Send:
        allocations = self._org.allocations

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Date"] = format_datetime(self._org.clock.now(), usegmt=True)
                used, most = allocations.used(API_REQUESTS), allocations.most(API_REQUESTS)
                headers["Sforce-Limit-Info"] = f"api-usage={used}/{most}"
            await send(message)

        return sending


def _token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else ""


def _check_version(version: str) -> None:
    number, _, rest = version.partition(".")
    if not number.isdigit() or rest != "0" or int(number) > NEWEST:
        raise OrgError("NOT_FOUND", "The requested resource does not exist")
    if int(number) < OLDEST:
        raise OrgError("UNSUPPORTED_API_VERSION", f"API version {version} is retired")


def version_of(request: Request) -> str:
    """Return the API version that a call names in its path: `67.0`."""
    found = _VERSION.match(request.scope["path"])
    return found.group(1) if found else f"{NEWEST}.0"


def client_of(request: Request) -> str:
    """Return the client that `Sforce-Call-Options` names, or nothing."""
    found = _CLIENT.search(request.headers.get("sforce-call-options", ""))
    return found.group(1) if found else ""


@contextmanager
def transaction_of(request: Request, api: str = "rest") -> Iterator[Transaction]:
    """Open the transaction of a call; inside a composite call it is the composite's, and only undone to its start."""
    shared: Transaction | None = request.scope.get(TRANSACTION)
    if shared is not None:
        mark = len(shared.undo_log)
        try:
            yield shared
        except BaseException:
            shared.undo_to(mark)
            raise
        return
    session = request.scope.get(SESSION)
    with org_of(request).transaction(
        user_id=session.user_id if session else "",
        client=client_of(request),
        api=api,
        version=version_of(request),
    ) as transaction:
        yield transaction
