"""Who may call the bus: the three headers that every call brings, against the org's sessions.

Place     service -> [this] -> SandboxOrg.sessions
Rules     `accesstoken`, `instanceurl` and `tenantid` must be there; the token must be alive and the tenant this org
          (18 characters, or 15). An open stream is not checked again: it outlives its token, as in Salesforce.
Source    Pub/Sub API guide, "Supported Authentication"; reference 1.2.
"""

from collections.abc import Iterable, Mapping

import grpc

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.errors import BusError, auth_error

_HEADERS = ("accesstoken", "instanceurl", "tenantid")


def check_access(org: SandboxOrg, metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the id of the user whose session it is.

    Raises:
        BusError: service.auth.headers.invalid, service.auth.error. The token is never quoted.
    """
    given: Mapping[str, str | bytes] = dict(metadata)
    missing = [name for name in _HEADERS if not given.get(name)]
    if missing:
        raise BusError(
            grpc.StatusCode.UNAUTHENTICATED,
            "service.auth.headers.invalid",
            f"Authentication headers are missing: {', '.join(missing)}.",
        )
    tenant = str(given["tenantid"])
    if tenant not in {org.org_id, org.org_id[:15]}:
        raise auth_error(f"The tenantid {tenant!r} is not this org's.")
    if not str(given["instanceurl"]).startswith(("https://", "http://")):
        raise auth_error("The instanceurl is no URL.")
    session = org.sessions.find(str(given["accesstoken"]))
    if session is None:
        raise auth_error("The access token is invalid or has expired.")
    return session.user_id
