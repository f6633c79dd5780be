"""Access tokens of an org by JWT bearer or client credentials, one for the process, renewed when it is refused.

Place     settings -> [this] -> Org (REST), the bridge's gRPC metadata (`accesstoken`, `instanceurl`, `tenantid`).
Renewal   Salesforce says no lifetime; a token is good until a call is answered 401. Of several that find it refused at
          once, one asks for the new one and the others take it (`instead_of`).
Secrets   a token prints as its org; the secret, the assertion and the token are cut out of every error text.
Source    Salesforce help, "OAuth 2.0 JWT Bearer Flow" and "OAuth 2.0 Client Credentials Flow" (reference, 1.2, 4.1).
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests

from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgUnavailable, fault_of
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.salesforce.transport import said_of
from fakturo.schemas.salesforce_ids import long_id

ASSERTION_SECONDS = 180
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What opens an org: the token, where its API is, and whose it is."""

    access_token: str = field(repr=False)
    instance_url: str
    org_id: str
    user_id: str


class TokenProvider:
    """The process's token. `run` runs a blocking function with a session in a thread of the Org's pool."""

    def __init__(
        self,
        settings: SalesforceSettings,
        run: Callable[[Callable[[requests.Session], AccessToken]], Awaitable[AccessToken]],
    ) -> None:
        self._settings = settings
        self._run = run
        self._token: AccessToken | None = None
        self._lock = asyncio.Lock()

    async def token(self, *, renew: bool = False, instead_of: AccessToken | None = None) -> AccessToken:
        """Return the token; a new one with `renew`, or if the one there is still is the refused `instead_of`.

        Raises:
            AuthenticationRefused: the org does not let us in.
            OrgUnavailable: it could not be asked.
        """
        async with self._lock:
            if self._token is None or renew or self._token is instead_of:
                self._token = await self._run(self._ask)
            return self._token

    def _ask(self, session: requests.Session) -> AccessToken:
        settings = self._settings
        form, basic = _grant(settings)
        try:
            response = session.post(f"{settings.login_url}/services/oauth2/token", data=form, auth=basic)
        except OSError as error:  # as every exception of requests is
            raise OrgUnavailable(f"{settings.login_url}: {said_of(error)}") from None
        try:
            answer = response.json()
        except ValueError:
            answer = response.text
        if response.status_code != 200:
            fault = fault_of(response.status_code, answer, _secrets_of(form, basic))
            raise fault if isinstance(fault, OrgUnavailable) else AuthenticationRefused(str(fault))
        return _token_of(answer)


def _grant(settings: SalesforceSettings) -> tuple[dict[str, str], tuple[str, str] | None]:
    """Return the form, and user and password of the Authorization header, of the grant that the settings ask for."""
    if settings.private_key_file is not None:
        return {"grant_type": JWT_GRANT, "assertion": _assertion(settings, settings.private_key_file)}, None
    secret = "" if settings.client_secret is None else settings.client_secret.get_secret_value()
    return {"grant_type": "client_credentials"}, (settings.client_id, secret)


def _secrets_of(form: dict[str, str], basic: tuple[str, str] | None) -> tuple[str, ...]:
    """Return what of the request no error may quote: the assertion, the secret, and the header that holds it."""
    if basic is None:
        return (form["assertion"],)
    return basic[1], base64.b64encode(":".join(basic).encode()).decode()


def _assertion(settings: SalesforceSettings, key_file: Path) -> str:
    try:
        key = key_file.read_bytes()
        claims = {
            "iss": settings.client_id,
            "sub": settings.username,
            "aud": audience(settings.login_url),
            "exp": int(time.time()) + ASSERTION_SECONDS,
        }
        return jwt.encode(claims, key, algorithm="RS256")
    except (OSError, ValueError, TypeError, jwt.PyJWTError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no RSA private key in PEM form"
        raise AuthenticationRefused(f"{key_file}: {reason}") from None


def audience(login_url: str) -> str:
    """Return whom the assertion is for: Salesforce's login host of the org's kind, or a stand-in itself."""
    host = urlsplit(login_url).hostname or ""
    if host == "test.salesforce.com" or host.endswith(".sandbox.my.salesforce.com"):
        return "https://test.salesforce.com"
    return "https://login.salesforce.com" if host.endswith(".salesforce.com") else login_url


def _token_of(answer: Any) -> AccessToken:
    """Read the token and, from its `id` (https://login.../id/<org>/<user>), whose it is."""
    try:
        org_id, user_id = answer["id"].rstrip("/").split("/")[-2:]
        return AccessToken(
            access_token=answer["access_token"],
            instance_url=answer["instance_url"].rstrip("/"),
            org_id=long_id(org_id),
            user_id=long_id(user_id),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AuthenticationRefused("the token's answer lacks access_token, instance_url or id") from None
