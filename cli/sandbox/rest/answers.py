"""How the REST side reads and writes: JSON with exact numbers, and Salesforce's lists of errors.

Place     every module of this folder -> [this]
Rules     A JSON number with a fraction is read as a Decimal and written as one, never as a float. An error is a list
          of objects with `message`, `errorCode` and, where there are some, `fields`.
"""

from decimal import Decimal
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_JSON = "application/json;charset=UTF-8"


def org_of(request: Request) -> SandboxOrg:
    """Return the org that this server shows."""
    org: SandboxOrg = request.app.state.org
    return org


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(_ENCODER.encode(value), status, headers, media_type=_JSON)


def no_content() -> Response:
    """Return the empty answer of a write that went well."""
    return Response(status_code=204)


def refusal(error: OrgError) -> Response:
    """Return an error as REST tells it."""
    told: dict[str, Any] = {"message": error.message, "errorCode": error.code}
    if error.fields:
        told["fields"] = list(error.fields)
    return answer([told], error.status)


def save_error(error: OrgError) -> dict[str, Any]:
    """Return an error as the results of collections and upserts tell it."""
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}


def encoded(value: Any) -> bytes:
    """Return JSON, numbers exact."""
    return _ENCODER.encode(value)


def decoded(content: bytes) -> Any:
    """Read JSON, numbers exact."""
    return _DECODER.decode(content)


async def read_json(request: Request) -> Any:
    """Return the body, numbers exact.

    Raises:
        OrgError: JSON_PARSER_ERROR.
    """
    try:
        return _DECODER.decode(await request.body())
    except msgspec.DecodeError as error:
        raise OrgError("JSON_PARSER_ERROR", f"The HTTP entity body is no JSON: {error}") from None


async def read_object(request: Request) -> dict[str, Any]:
    """Return the body, which must be a JSON object.

    Raises:
        OrgError: JSON_PARSER_ERROR.
    """
    body = await read_json(request)
    if not isinstance(body, dict):
        raise OrgError("JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
    return body
