"""The org's access tokens: issued by the logins, checked by every call, gone after two idle hours.

Place     rest/oauth.py, rest/soap_login.py issue -> [this] -> REST and the bus check
Rules     A token reads `<org id, 15 characters>!<secret>`; it is the SOAP session id as well. Idle time is real time,
          whatever the org's clock says.
"""

import secrets
import time
from dataclasses import dataclass, field

SESSION_SECONDS = 7200.0


@dataclass(slots=True)
class Session:
    """One login: whose, through which app, last used when (monotonic seconds)."""

    token: str = field(repr=False)
    user_id: str
    client_id: str
    last_used: float


class Sessions:
    """The live tokens of one org."""

    def __init__(self, org_id: str, idle_seconds: float = SESSION_SECONDS) -> None:
        self._org_id = org_id
        self._live: dict[str, Session] = {}
        self.idle_seconds = idle_seconds

    def issue(self, user_id: str, client_id: str = "") -> Session:
        """Start a session and return it."""
        token = f"{self._org_id[:15]}!AQ{secrets.token_urlsafe(48)}"
        session = self._live[token] = Session(token, user_id, client_id, time.monotonic())
        return session

    def find(self, token: str) -> Session | None:
        """Return the session of a token that is still good, and keep it alive; None otherwise."""
        session = self._live.get(token)
        if session is None:
            return None
        now = time.monotonic()
        if now - session.last_used > self.idle_seconds:
            del self._live[token]
            return None
        session.last_used = now
        return session

    def revoke(self, token: str) -> bool:
        """End one session; False when there is none of that token."""
        return self._live.pop(token, None) is not None

    def expire_all(self) -> None:
        """End every session, as an administrator or a fault does."""
        self._live.clear()
