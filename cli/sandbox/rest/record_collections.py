"""Up to 200 records in one call: create, change, upsert, delete, read, in the order in which they were given.

Place     app.py -> [this] -> transactions.py
Rules     One transaction a call. With `allOrNone` one bad record undoes all; the others say so. Without it the good
          ones hold. A result has `success`, `errors` and, where there is one, `id`; an upsert says `created`.
Source    REST API Developer Guide, "sObject Collections", "Upsert Multiple Records with an External ID".
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox import checks
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.reading import record_json
from fakturo.cli.sandbox.rest.answers import answer, org_of, read_object, save_error
from fakturo.cli.sandbox.rest.calls import transaction_of, version_of
from fakturo.cli.sandbox.rest.describe import DATA, object_in
from fakturo.cli.sandbox.transactions import Transaction
from fakturo.cli.sandbox.validation import field_of

MOST = 200
_ROLLED_BACK = OrgError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)
Result = dict[str, Any]
Write = Callable[[Transaction, Any], Result]


class _Undo(Exception):
    pass


async def create(request: Request) -> Response:
    """Create the records; `attributes.type` names each one's object."""
    records, all_or_none = await _records(request)

    def write(transaction: Transaction, record: dict[str, Any]) -> Result:
        return _saved(transaction.insert(_type_of(record), _values(record)))

    return answer(_each(request, records, write, all_or_none=all_or_none))


async def change(request: Request) -> Response:
    """Change the records, which carry their `id`."""
    records, all_or_none = await _records(request)

    def write(transaction: Transaction, record: dict[str, Any]) -> Result:
        record_id = _id_of(record)
        if not record_id:
            raise OrgError("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
        transaction.update(_type_of(record), record_id, _values(record))
        return _saved(transaction.org.canonical_id(record_id))

    return answer(_each(request, records, write, all_or_none=all_or_none))


async def upsert(request: Request) -> Response:
    """Create or change the records of one object by an external id field, or by Id."""
    entity = object_in(request)
    by_id = request.path_params["field"].lower() == "id"
    field = "Id" if by_id else checks.external_field(entity, request.path_params["field"]).name
    records, all_or_none = await _records(request)
    named = Counter(_key(record, field) for record in records)

    def write(transaction: Transaction, record: dict[str, Any]) -> Result:
        key = _key(record, field)
        if named[key] > 1 and key is not None:
            raise OrgError("DUPLICATE_VALUE", f"Duplicate external id specified: {key}", (field,))
        if _type_of(record).lower() != entity.name.lower():
            raise OrgError("INVALID_TYPE", f"{_type_of(record)} is not the type of this call, {entity.name}")
        values = {name: value for name, value in _values(record).items() if name.lower() != field.lower()}
        done = transaction.upsert(entity.name, field, key, values)
        return _saved(done.record_id) | {"created": done.created}

    return answer(_each(request, records, write, all_or_none=all_or_none))


async def delete(request: Request) -> Response:
    """Delete the records that `ids` names, which may be of several objects."""
    ids = [one for one in request.query_params.get("ids", "").split(",") if one]
    _check_count(ids)

    def write(transaction: Transaction, record_id: str) -> Result:
        whole = transaction.org.canonical_id(record_id)
        entity = transaction.org.object_of(whole)
        if entity is None:
            raise OrgError("MALFORMED_ID", f"malformed id {record_id}", ("Id",))
        transaction.delete(entity.name, whole)
        return _saved(whole)

    all_or_none = request.query_params.get("allOrNone", "false").lower() == "true"
    return answer(_each(request, ids, write, all_or_none=all_or_none))


async def read(request: Request) -> Response:
    """Read the named fields of records of one object; null stands for one that is not there."""
    entity = object_in(request)
    if request.method == "POST":
        body = await read_object(request)
        ids, names = body.get("ids") or [], body.get("fields") or []
    else:
        ids = request.query_params.get("ids", "").split(",")
        names = request.query_params.get("fields", "").split(",")
    fields = [field_of(entity, name.strip()) for name in names if name]
    org, version = org_of(request), version_of(request)
    rows = [org.live(entity.name, checks.own_id(entity, one)) for one in ids if one]
    return answer([None if row is None else record_json(entity, row, version, fields) for row in rows])


async def _records(request: Request) -> tuple[list[dict[str, Any]], bool]:
    body = await read_object(request)
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise OrgError("JSON_PARSER_ERROR", "records: a list of objects is expected")
    _check_count(records)
    return records, body.get("allOrNone") is True


def _check_count(given: list[Any]) -> None:
    if not given:
        raise OrgError("MISSING_ARGUMENT", "No records were specified")
    if len(given) > MOST:
        raise OrgError(
            "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST} records in this call"
        )


def _each(request: Request, given: Iterable[Any], write: Write, *, all_or_none: bool) -> list[Result]:
    results: list[Result] = []
    try:
        with transaction_of(request) as transaction:
            results.extend(_tried(transaction, one, write) for one in given)
            _check(results, all_or_none=all_or_none)
    except _Undo:
        return [_failed(_ROLLED_BACK) if result["success"] else result for result in results]
    return results


def _check(results: list[Result], *, all_or_none: bool) -> None:
    if all_or_none and not all(result["success"] for result in results):
        raise _Undo


def _tried(transaction: Transaction, one: Any, write: Write) -> Result:
    try:
        return write(transaction, one)
    except OrgError as error:
        return _failed(error)


def _saved(record_id: str) -> Result:
    return {"id": record_id, "success": True, "errors": []}


def _failed(error: OrgError) -> Result:
    return {"success": False, "errors": [save_error(error)]}


def _type_of(record: dict[str, Any]) -> str:
    named = record.get("attributes")
    kind = named.get("type") if isinstance(named, dict) else None
    if not isinstance(kind, str):
        raise OrgError("INVALID_TYPE", "attributes.type: the record's object is expected")
    return kind


def _id_of(record: dict[str, Any]) -> str:
    return str(next((value for name, value in record.items() if name.lower() == "id"), None) or "")


def _key(record: dict[str, Any], field: str) -> Any:
    return next((value for name, value in record.items() if name.lower() == field.lower()), None)


def _values(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name.lower() not in {"attributes", "id"}}


_COLLECTIONS = f"{DATA}/composite/sobjects"
ROUTES = [
    Route(_COLLECTIONS, create, methods=["POST"]),
    Route(_COLLECTIONS, change, methods=["PATCH"]),
    Route(_COLLECTIONS, delete, methods=["DELETE"]),
    Route(f"{_COLLECTIONS}/{{sobject}}", read, methods=["GET", "POST"]),
    Route(f"{_COLLECTIONS}/{{sobject}}/{{field}}", upsert, methods=["PATCH"]),
]
