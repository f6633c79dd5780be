"""HTTP sessions for simple-salesforce: with time limits, retries, our own CA, and what the answers' headers tell.

Place     Org, TokenProvider -> [this] -> requests -> the org.
Why own   simple-salesforce has no timeout and no retry and hard-codes https (reference, 4.1): all three are mended in
          the adapter that is mounted on the session which it is given.
Retries   connections that fail, and GETs answered 502, 503 or 504, are tried again here; everything else is the
          caller's to repeat. `Sforce-Call-Options` names us in each change event that a write of ours causes.
Source    requests, "Transport Adapters"; urllib3, `Retry`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings

CONNECT_SECONDS = 10
READ_SECONDS = 130
"""A SOQL query may take 120 seconds (reference, 6)."""
TEXT_CHARACTERS_MAX = 300
_URL = re.compile(r" with url: \S+")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Listener = Callable[[Mapping[str, str]], None]
"""Is given the headers of every answer, in the thread that asked."""


class OrgAdapter(HTTPAdapter):
    """Sends with our time limits and CA; for a stand-in without TLS it takes the s out of https."""

    def __init__(self, settings: SalesforceSettings, listener: Listener) -> None:
        self._plain_host = urlsplit(settings.login_url).netloc if settings.is_plain else None
        self._ca_file = None if settings.ca_file is None else str(settings.ca_file)
        self._listener = listener
        super().__init__(max_retries=_retry())

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: D102
        parts = urlsplit(request.url or "")
        if parts.scheme == "https" and parts.netloc == self._plain_host:
            request.url = parts._replace(scheme="http").geturl()
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (CONNECT_SECONDS, READ_SECONDS)
        if self._ca_file is not None:
            kwargs["verify"] = self._ca_file  # REQUESTS_CA_BUNDLE would go before the session's own
        if parts.hostname in LOOPBACK:
            kwargs["proxies"] = {}
        response = super().send(request, *args, **kwargs)
        self._listener(response.headers)
        return response


def make_session(settings: SalesforceSettings, listener: Listener) -> requests.Session:
    """Return a session for one thread."""
    session = requests.Session()
    adapter = OrgAdapter(settings, listener)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers["Sforce-Call-Options"] = f"client={settings.client_name}"
    session.auth = _as_it_is  # else requests looks into ~/.netrc and replaces our Authorization
    return session


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the org's own clock, to the second, from an answer's `Date`; None where it has none."""
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError):
        return None


def said_of(error: OSError) -> str:
    """Return what went wrong on the way to the org, without the URL that was asked."""
    return f"{type(error).__name__}: {_URL.sub('', str(error))[:TEXT_CHARACTERS_MAX]}"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _retry() -> Retry:
    return Retry(
        total=3,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        status_forcelist=(502, 503, 504),
        allowed_methods=frozenset({"GET"}),
        raise_on_status=False,
    )
