"""One record at a time: create, read, change, delete, by its id or by an external id.

Place     app.py -> [this] -> transactions.py
Rules     201 created, 204 changed or deleted, 200 for an upsert that changed (with a body since API 46), 300 when an
          external id names several records, 404 when it names none.
Source    REST API Developer Guide, "sObject Rows", "sObject Rows by External ID", "Upsert a Record".
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox import checks
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.reading import record_json
from fakturo.cli.sandbox.rest.answers import answer, no_content, org_of, read_object
from fakturo.cli.sandbox.rest.calls import transaction_of, version_of
from fakturo.cli.sandbox.rest.describe import DATA, object_in
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.validation import field_of

FIRST_WITH_UPSERT_BODY = 46


class _Several(Exception):
    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records")
        self.ids = ids


async def create(request: Request) -> Response:
    """Create a record."""
    entity = object_in(request)
    values = await read_object(request)
    with transaction_of(request) as transaction:
        record_id = transaction.insert(entity.name, values)
    return answer(_saved(record_id), 201, {"Location": _url(request, entity, record_id)})


async def read(request: Request) -> Response:
    """Read a record, or the fields of it that `fields` names."""
    entity = object_in(request)
    row = _row(request, entity, request.path_params["record_id"])
    return answer(record_json(entity, row, version_of(request), _wanted(request, entity)))


async def change(request: Request) -> Response:
    """Change a record."""
    entity = object_in(request)
    row = _row(request, entity, request.path_params["record_id"])
    values = await read_object(request)
    with transaction_of(request) as transaction:
        transaction.update(entity.name, row["Id"], values)
    return no_content()


async def delete(request: Request) -> Response:
    """Move a record to the recycle bin."""
    entity = object_in(request)
    row = _row(request, entity, request.path_params["record_id"])
    with transaction_of(request) as transaction:
        transaction.delete(entity.name, row["Id"])
    return no_content()


async def read_by_external_id(request: Request) -> Response:
    """Read the record that an external id names."""
    entity = object_in(request)
    try:
        row = _row(request, entity, _one_by_external_id(request, entity))
    except _Several as several:
        return _choices(request, entity, several.ids)
    return answer(record_json(entity, row, version_of(request), _wanted(request, entity)))


async def upsert(request: Request) -> Response:
    """Change the record that an external id names, or create it."""
    entity = object_in(request)
    field_name, value = request.path_params["field"], request.path_params["value"]
    values = await read_object(request)
    if field_name.lower() == "id":
        raise OrgError("NOT_FOUND", "The requested resource does not exist")
    field = checks.external_field(entity, field_name)
    if any(name.lower() == field.name.lower() for name in values):
        raise OrgError("INVALID_FIELD", f"The {field.name} field should not be specified in the sobject data.")
    found = org_of(request).by_external(entity.name, field.name, value)
    if len(found) > 1:
        return _choices(request, entity, found)
    with transaction_of(request) as transaction:
        done = transaction.upsert(entity.name, field.name, value, values)
    if not done.created and float(version_of(request)) < FIRST_WITH_UPSERT_BODY:
        return no_content()
    return answer(_saved(done.record_id) | {"created": done.created}, 201 if done.created else 200)


async def delete_by_external_id(request: Request) -> Response:
    """Delete the record that an external id names."""
    entity = object_in(request)
    try:
        record_id = _one_by_external_id(request, entity)
    except _Several as several:
        return _choices(request, entity, several.ids)
    with transaction_of(request) as transaction:
        transaction.delete(entity.name, record_id)
    return no_content()


def _saved(record_id: str) -> dict[str, Any]:
    return {"id": record_id, "success": True, "errors": []}


def _url(request: Request, entity: SObject, record_id: str) -> str:
    return f"/services/data/v{version_of(request)}/sobjects/{entity.name}/{record_id}"


def _choices(request: Request, entity: SObject, ids: list[str]) -> Response:
    return answer([_url(request, entity, one) for one in ids], 300)


def _row(request: Request, entity: SObject, record_id: str) -> Row:
    """Return a live row.

    Raises:
        OrgError: NOT_FOUND, ENTITY_IS_DELETED or MALFORMED_ID.
    """
    if len(record_id) not in (15, 18):
        raise OrgError("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {record_id}")
    row = org_of(request).tables[entity.name].get(checks.own_id(entity, record_id))
    if row is None:
        raise OrgError("NOT_FOUND", "The requested resource does not exist")
    if row["IsDeleted"]:
        raise OrgError("ENTITY_IS_DELETED", "entity is deleted")
    return row


def _one_by_external_id(request: Request, entity: SObject) -> str:
    field_name, value = request.path_params["field"], request.path_params["value"]
    field = checks.external_field(entity, field_name)
    found = org_of(request).by_external(entity.name, field.name, value)
    if not found:
        raise OrgError("NOT_FOUND", "The requested resource does not exist")
    if len(found) > 1:
        raise _Several(found)
    return found[0]


def _wanted(request: Request, entity: SObject) -> list[Field] | None:
    named = request.query_params.get("fields")
    return [field_of(entity, one.strip()) for one in named.split(",")] if named else None


_ROWS = f"{DATA}/sobjects/{{sobject}}"
ROUTES = [
    Route(_ROWS, create, methods=["POST"]),
    Route(f"{_ROWS}/{{record_id}}", read, methods=["GET"]),
    Route(f"{_ROWS}/{{record_id}}", change, methods=["PATCH"]),
    Route(f"{_ROWS}/{{record_id}}", delete, methods=["DELETE"]),
    # An external id may hold slashes, which a client writes as %2F.
    Route(f"{_ROWS}/{{field}}/{{value:path}}", read_by_external_id, methods=["GET"]),
    Route(f"{_ROWS}/{{field}}/{{value:path}}", upsert, methods=["PATCH"]),
    Route(f"{_ROWS}/{{field}}/{{value:path}}", delete_by_external_id, methods=["DELETE"]),
]
