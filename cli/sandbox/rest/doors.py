"""The sandbox's own doors, which no real org has: faults, state, clock, deployment, the recycle bin.

Place     tests, administrators of the sandbox -> [this] -> faults.py, clock.py, packages.py
Rules     No token is needed: a sandbox is nothing to keep secret, and listens on loopback unless told otherwise. Errors
          are `{"error": "..."}` with a sentence.
"""

import json
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.clock import instant_text
from fakturo.cli.sandbox.package_files import PackageFault
from fakturo.cli.sandbox.packages import deploy_zip
from fakturo.cli.sandbox.rest.answers import answer, org_of
from fakturo.cli.sandbox.rest.calls import transaction_of


async def set_faults(request: Request) -> Response:
    """Set faults: `{"gap": {"Account": 2}, "lock_rows": 1}`."""
    org = org_of(request)
    try:
        org.faults.apply(await _object(request))
    except (ValueError, KeyError) as error:
        return _wrong(error)
    return answer(org.faults.state())


async def clear_faults(request: Request) -> Response:
    """Turn every fault off."""
    org_of(request).faults.clear()
    return answer(org_of(request).faults.state())


async def state(request: Request) -> Response:
    """Tell the org's time, faults, allocations and how many records it has."""
    org = org_of(request)
    counted = {}
    for name, table in org.tables.items():
        live = sum(1 for _ in table.live())
        if table:
            counted[name] = {"live": live, "deleted": len(table) - live}
    return answer(
        {
            "org_id": org.org_id,
            "now": instant_text(org.clock.now()),
            "faults": org.faults.state(),
            "records": counted,
            "allocations": org.allocations.state(),
            "captured": sorted(name for name, entity in org.objects.items() if entity.cdc),
        }
    )


async def clock(request: Request) -> Response:
    """Set the org's clock: one of `now`, `freeze` (instants), `advance_seconds`, `real`."""
    org = org_of(request)
    if request.method == "POST":
        try:
            wanted = await _object(request)
            ((action, value),) = wanted.items()
            if action in {"now", "freeze"}:
                moment = datetime.fromisoformat(value)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                (org.clock.set if action == "now" else org.clock.freeze)(moment)
            elif action == "advance_seconds":
                org.clock.advance(float(value))
            elif action == "real":
                org.clock.real()
            else:
                raise ValueError(f"{action}: expected now, freeze, advance_seconds or real")  # noqa: TRY301
        except (ValueError, TypeError) as error:
            return _wrong(error)
    return answer({"now": instant_text(org.clock.now())})


async def deploy(request: Request) -> Response:
    """Deploy the zip of a metadata package."""
    try:
        done = deploy_zip(org_of(request), await request.body())
    except PackageFault as fault:
        return _wrong(fault)
    return answer({"created": done.created, "changed": done.changed, "ignored": done.ignored})


async def undelete(request: Request) -> Response:
    """Bring records back from the recycle bin: `{"ids": [...]}`; REST has no call for it, only SOAP and Apex have."""
    org = org_of(request)
    try:
        wanted = await _object(request)
    except ValueError as error:
        return _wrong(error)
    with transaction_of(request, api="soap") as transaction:
        for record_id in wanted.get("ids", []):
            whole = org.canonical_id(record_id)
            entity = org.object_of(whole)
            if entity is None:
                return _wrong(ValueError(f"{record_id}: no object has ids like this"))
            transaction.undelete(entity.name, whole)
    return answer({"undeleted": len(wanted.get("ids", []))})


async def _object(request: Request) -> dict[str, Any]:
    body = json.loads(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - of the caller's doing, as bad JSON is
    return body


def _wrong(error: Exception) -> Response:
    return answer({"error": str(error)}, 400)


ROUTES = [
    Route("/sandbox/faults", set_faults, methods=["POST"]),
    Route("/sandbox/faults", clear_faults, methods=["DELETE"]),
    Route("/sandbox/state", state, methods=["GET"]),
    Route("/sandbox/clock", clock, methods=["GET", "POST"]),
    Route("/sandbox/deploy", deploy, methods=["POST"]),
    Route("/sandbox/undelete", undelete, methods=["POST"]),
]
