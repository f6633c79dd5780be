"""The REST side as one ASGI application: the routes of every module in this folder, and how errors leave it.

Place     server.py -> [this] -> the modules of this folder; each lists its own in `ROUTES`
Rules     Of two routes the one with more fixed words wins (`/sobjects/X/describe` before `/sobjects/X/<id>`).
          Slashes at the end of a path mean nothing. What Salesforce refuses is an OrgError; anything else is a fault
          of ours and answered 500 with its name alone.
"""

import pkgutil
from importlib import import_module

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fakturo.cli.sandbox import rest
from fakturo.cli.sandbox.access import Access
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.questions import Questions
from fakturo.cli.sandbox.rest.answers import refusal
from fakturo.cli.sandbox.rest.calls import SalesforceCalls


def build_app(org: SandboxOrg, access: Access) -> Starlette:
    """Return the application of one org; `app.state` holds `org`, `access`, `questions` and, when made, `bus`."""
    app = Starlette(
        routes=collected_routes(),
        middleware=[Middleware(SalesforceCalls, org=org)],
        exception_handlers={OrgError: _refused, HTTPException: _unrouted, Exception: _broken},
    )
    app.router.redirect_slashes = False
    app.state.org = org
    app.state.access = access
    app.state.bus = None
    app.state.questions = Questions(org)
    return app


def collected_routes() -> list[BaseRoute]:
    """Return the routes of every module of this folder, the more fixed ones first."""
    routes: list[Route] = []
    for module in pkgutil.iter_modules(rest.__path__, f"{rest.__name__}."):
        routes.extend(getattr(import_module(module.name), "ROUTES", ()))
    return sorted(routes, key=_precedence)


def _precedence(route: BaseRoute) -> list[tuple[bool, str]]:
    path = route.path if isinstance(route, Route) else ""
    return [("{" in segment, segment) for segment in path.split("/")]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrgError)  # noqa: S101 - starlette calls it for nothing else
    return refusal(error)


async def _unrouted(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return refusal(OrgError("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed."))
    return refusal(OrgError("NOT_FOUND", "The requested resource does not exist"))


async def _broken(request: Request, error: Exception) -> Response:
    return refusal(OrgError("INTERNAL_ERROR", f"The sandbox itself failed: {type(error).__name__}"))
