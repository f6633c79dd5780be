"""A few answers of an org over plain HTTP on loopback: what the sandbox org does not do on purpose.

Each test sets `answers`: path without query -> a function of the request that returns (status, headers, body).
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings

ORG_ID = "00D000000000001"
USER_ID = "005000000000001"
SECRET = "planted-secret-3141"


@dataclass
class Asked:
    """One request that the fake has got."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


Answer = tuple[int, dict[str, str], Any]


@dataclass
class FakeOrg:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)
    good_tokens: set[str] = field(default_factory=set)
    tokens_given: int = 0

    def settings(self, **more: Any) -> SalesforceSettings:
        given = {"login_url": self.url, "client_id": "consumer-key", "client_secret": SECRET, **more}
        return SalesforceSettings(**given)

    def count(self, path: str) -> int:
        return sum(one.path == path for one in self.asked)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path == "/services/oauth2/token" and asked.path not in self.answers:
            return self._token()
        if asked.path == "/services/data/":
            return 200, {}, []
        if asked.path != "/services/oauth2/token" and asked.token not in self.good_tokens:
            return 401, {}, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        found = self.answers.get(asked.path.removeprefix("/services/data/v67.0"))
        found = found or self.answers.get(asked.path)
        if found is None:
            return 404, {}, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
        return found(asked)

    def _token(self) -> Answer:
        self.tokens_given += 1
        token = f"{ORG_ID}!token-{self.tokens_given}"
        self.good_tokens = {token}
        identity = f"https://login.salesforce.com/id/{ORG_ID}/{USER_ID}"
        return 200, {}, {"access_token": token, "instance_url": self.url, "id": identity, "token_type": "Bearer"}


@pytest.fixture
def fake() -> Iterator[FakeOrg]:
    org = FakeOrg()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            params = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = Asked(self.command, unquote(parts.path), params, dict(self.headers), body)
            status, headers, answer = org.answer(asked)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _any  # noqa: N815 - http.server calls them so

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    org.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield org
    server.shutdown()
    server.server_close()
