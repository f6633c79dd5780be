"""What an org can answer instead of what was asked, by the decision that it asks for.

OrgFault
├── OrgUnavailable         away, busy or out of time: the same call may succeed later
├── AllocationUsedUp       the day's API calls are used up: wait for long, and say so
├── AuthenticationRefused  a new token did not help: an administrator must look
└── OrgRefused             this call is wrong, with Salesforce's own code: no retry helps (but see `is_lock`)
Place     transport, tokens and Org -> [this] -> bridge, crm_sync, `fakturo salesforce`.
Secrets   texts come from the org's answer alone, never from a request or a URL; what an answer quotes of the
          request's secrets (a proxy's page may show every header) is cut out before the text is.
"""

from collections.abc import Iterable
from typing import Any

from fakturo.consumers.runtime.errors import RuntimeFault

TEXT_CHARACTERS_MAX = 500
LIMIT_CODES = frozenset({"REQUEST_LIMIT_EXCEEDED", "TOTAL_REQUESTS_LIMIT_EXCEEDED", "API_CURRENTLY_DISABLED"})
TRANSIENT_CODES = frozenset(
    {"SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION", "EXCEEDED_MAX_SEMAPHORE_LIMIT"}
)
LOCK_CODES = frozenset({"UNABLE_TO_LOCK_ROW"})
EXPIRED_CODE = "INVALID_SESSION_ID"


class OrgFault(RuntimeFault):
    """The root of what talking to an org can come to."""


class OrgUnavailable(OrgFault):
    """The org, or the way to it, is away or busy."""


class AllocationUsedUp(OrgFault):
    """The org's rolling day of API calls is used up."""


class AuthenticationRefused(OrgFault):
    """No token, or a fresh token is not taken."""


class OrgRefused(OrgFault):
    """The org says no, with its error `code` (MALFORMED_QUERY, NOT_FOUND, ...) and its `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def is_lock(self) -> bool:
        """Return whether another transaction held the row: worth another try."""
        return self.code in LOCK_CODES

    @property
    def is_missing(self) -> bool:
        """Return whether what was asked for is not there (any more)."""
        return self.code in ("NOT_FOUND", "ENTITY_IS_DELETED", "INVALID_TYPE")


def fault_of(status: int, content: Any, secrets: Iterable[str] = ()) -> OrgFault:
    """Return the fault that an answer with HTTP `status` and body `content` (JSON as Python, or text) means.

    Its text quotes none of `secrets`.
    """
    code, message = (_quotable(text, secrets) for text in _code_and_message(status, content))
    if code in LIMIT_CODES:
        return AllocationUsedUp(f"{code}: {message}")
    if status == 401:
        return AuthenticationRefused(f"{code}: {message}")
    if status in (408, 429) or status >= 500 or code in TRANSIENT_CODES:
        return OrgUnavailable(f"HTTP {status}, {code}: {message}")
    return OrgRefused(code, message)


def _code_and_message(status: int, content: Any) -> tuple[str, str]:
    """Read `[{"errorCode", "message"}]` (REST), `{"error", "error_description"}` (OAuth) or plain text."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        code = first.get("errorCode") or first.get("error") or f"HTTP_{status}"
        message = first.get("message") or first.get("error_description") or "no message"
        return str(code), str(message)
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first or "")
    return "NOT_FOUND" if status == 404 else f"HTTP_{status}", text.strip() or "no message"


def _quotable(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text[:TEXT_CHARACTERS_MAX]
