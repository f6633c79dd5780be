"""A sandbox served from a thread, one a module, and a client that says what Salesforce's documents say."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import requests

from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread


@dataclass
class Client:
    """Plain HTTP with a token; answers are decoded with exact numbers."""

    threaded: ThreadedSandbox
    session: requests.Session
    version: str = "67.0"

    @property
    def url(self) -> str:
        return self.threaded.sandbox.rest_url

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        path = path if path.startswith(("/services", "/sandbox")) else f"/services/data/v{self.version}/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.request(method, self.url + path, json=body, headers=named)

    def create(self, entity: str, **values: Any) -> str:
        answer = self.call("POST", f"sobjects/{entity}", values)
        assert answer.status_code == 201, answer.text
        record_id: str = answer.json()["id"]
        return record_id

    def read(self, entity: str, record_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"sobjects/{entity}/{record_id}")
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json(parse_float=Decimal)
        return record


@pytest.fixture(scope="module")
def threaded() -> Iterator[ThreadedSandbox]:
    with sandbox_in_thread() as threaded:
        yield threaded


def plain_session(threaded: ThreadedSandbox) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a REQUESTS_CA_BUNDLE of this machine would win over ours
    session.verify = threaded.sandbox.ca_file or False
    return session


@pytest.fixture
def visitor(threaded: ThreadedSandbox) -> Iterator[Client]:
    """Somebody without a token."""
    with plain_session(threaded) as session:
        yield Client(threaded, session)


@pytest.fixture
def client(threaded: ThreadedSandbox) -> Iterator[Client]:
    token = threaded.in_loop(lambda org: org.sessions.issue(org.user_id).token)
    with plain_session(threaded) as session:
        session.headers["Authorization"] = f"Bearer {token}"
        yield Client(threaded, session)
        threaded.in_loop(lambda org: org.faults.clear())
