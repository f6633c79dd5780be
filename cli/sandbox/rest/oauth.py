"""OAuth: the token endpoint with its three grants, who a token belongs to, and its end.

Place     app.py -> [this] -> access.py (who), sessions.py (tokens)
Rules     client_credentials with a Basic header or in the body; jwt-bearer signed with the private key that the sandbox
          gave out; password with or without the security token. Errors are OAuth's objects, not REST's lists.
Source    Salesforce help: "OAuth Endpoints", "OAuth 2.0 JWT Bearer Flow", "OAuth Authorization Errors"; RFC 7523.
"""

import base64
import binascii
import hashlib
import hmac
import re
from urllib.parse import parse_qsl

import jwt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.access import Access
from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.rest.answers import answer, org_of

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SALESFORCE_HOST = re.compile(r"^https?://[^?#]*\.salesforce\.com(/.*)?$")


class _Refused(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


async def token(request: Request) -> Response:
    """Give out an access token for one of the grants."""
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    access: Access = request.app.state.access
    grants = {"client_credentials": _client_credentials, "password": _password, _JWT_BEARER: _jwt_bearer}
    try:
        grants.get(form.get("grant_type", ""), _unsupported)(request, access, form)
    except _Refused as refused:
        return answer({"error": refused.error, "error_description": refused.description}, 400)
    return answer(_issue(request, access))


def _issue(request: Request, access: Access) -> dict[str, str]:
    org = org_of(request)
    session = org.sessions.issue(org.user_id, access.client_id)
    issued_at = str(epoch_ms(org.clock.now()))
    identity = f"https://login.salesforce.com/id/{org.org_id}/{org.user_id}"
    signed = hmac.new(access.client_secret.encode(), f"{identity}{issued_at}".encode(), hashlib.sha256)
    return {
        "access_token": session.token,
        "signature": base64.b64encode(signed.digest()).decode(),
        "scope": "api",
        "instance_url": instance_url(request),
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }


def instance_url(request: Request) -> str:
    """Return where the org is, under the name that the caller used for it."""
    host = request.headers.get("host") or request.url.netloc
    scheme = "https" if host.endswith(".salesforce.com") else request.url.scheme
    return f"{scheme}://{host}"


def _unsupported(request: Request, access: Access, form: dict[str, str]) -> None:
    raise _Refused("unsupported_grant_type", "grant type not supported")


def _client_credentials(request: Request, access: Access, form: dict[str, str]) -> None:
    _check_app(access, *_app_of(request, form))


def _password(request: Request, access: Access, form: dict[str, str]) -> None:
    _check_app(access, *_app_of(request, form))
    if not access.is_user(form.get("username", ""), form.get("password", "")):
        raise _Refused("invalid_grant", "authentication failure")


def _app_of(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _Refused("invalid_client", "invalid client credentials") from None
    return client_id, secret


def _check_app(access: Access, client_id: str, secret: str) -> None:
    if client_id != access.client_id:
        raise _Refused("invalid_client_id", "client identifier invalid")
    if not access.is_app(client_id, secret):
        raise _Refused("invalid_client", "invalid client credentials")


def _jwt_bearer(request: Request, access: Access, form: dict[str, str]) -> None:
    try:
        claims = jwt.decode(
            form.get("assertion", ""),
            access.public_key,
            algorithms=["RS256"],
            options={"require": ["exp"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError:
        raise _Refused("invalid_grant", "expired authorization code") from None
    except jwt.InvalidTokenError:
        raise _Refused("invalid_grant", "invalid assertion") from None
    if claims.get("iss") != access.client_id:
        raise _Refused("invalid_client_id", "client identifier invalid")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(_is_ours(request, str(one)) for one in named):
        raise _Refused("invalid_grant", "audience is invalid")
    if str(claims.get("sub", "")).lower() != access.username.lower():
        raise _Refused("invalid_grant", "user hasn't approved this consumer")


def _is_ours(request: Request, audience: str) -> bool:
    return bool(_SALESFORCE_HOST.match(audience)) or audience.rstrip("/") == instance_url(request)


async def userinfo(request: Request) -> Response:
    """Say whose token it is."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    org = org_of(request)
    if scheme.lower() != "bearer" or org.sessions.find(given.strip()) is None:
        return Response("Bad_OAuth_Token", 403, media_type="text/html")
    user = org.tables["User"][org.user_id]
    where = instance_url(request)
    return answer(
        {
            "sub": f"https://login.salesforce.com/id/{org.org_id}/{org.user_id}",
            "user_id": org.user_id,
            "organization_id": org.org_id,
            "preferred_username": user["Username"],
            "nickname": user["Alias"],
            "name": user["Name"],
            "email": user["Email"],
            "email_verified": True,
            "given_name": user["FirstName"],
            "family_name": user["LastName"],
            "zoneinfo": user["TimeZoneSidKey"],
            "user_type": "STANDARD",
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "utcOffset": 0,
            "urls": {
                "rest": f"{where}/services/data/v{{version}}/",
                "sobjects": f"{where}/services/data/v{{version}}/sobjects/",
                "query": f"{where}/services/data/v{{version}}/query/",
                "partner": f"{where}/services/Soap/u/{{version}}/{org.org_id[:15]}",
            },
            "active": True,
        }
    )


async def revoke(request: Request) -> Response:
    """End a token."""
    body = parse_qsl((await request.body()).decode("utf-8", "replace"))
    given = request.query_params.get("token") or dict(body).get("token", "")
    if org_of(request).sessions.revoke(given):
        return Response(status_code=200)
    return answer({"error": "invalid_token", "error_description": "invalid token"}, 400)


ROUTES = [
    Route("/services/oauth2/token", token, methods=["POST"]),
    Route("/services/oauth2/userinfo", userinfo, methods=["GET", "POST"]),
    Route("/services/oauth2/revoke", revoke, methods=["GET", "POST"]),
]
