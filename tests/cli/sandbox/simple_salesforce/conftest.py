"""The unmodified simple-salesforce against the sandbox org: no adapter, no patch, TLS by the sandbox's own authority.

Its hosts are hard-coded as `https://{domain}.salesforce.com`; with `domain="127.0.0.1:<port>/my"` that is a path of the
sandbox, which answers it.

Source    reference 4.1 (the four logins and what the client calls), 7; simple-salesforce 1.12.10.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce

from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread

VERSION = "67.0"


EXT = "Ext__c"


def org_with_external_ids() -> SandboxOrg:
    """An org whose accounts, and contacts, have an external id."""
    org = SandboxOrg()
    for entity in ("Account", "Contact"):
        org.add_field(entity, Field(name=EXT, type="string", length=40, external_id=True, unique=True))
    return org


def trusting(ca_file: str | None) -> requests.Session:
    """A session that knows the sandbox's authority, and no other that the environment may name."""
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file or False
    return session


class Client:
    """Logs in to a sandbox in every way that simple-salesforce knows."""

    def __init__(self, running: ThreadedSandbox) -> None:
        self.running = running
        self.told = running.sandbox.told()
        self.domain = running.sandbox.login_domain

    def log_in(self, **credentials: Any) -> Salesforce:
        more = {"version": VERSION, "domain": self.domain, **credentials}
        return Salesforce(session=trusting(self.told["ca_file"]), **more)

    def usual(self, **more: Any) -> Salesforce:
        return self.log_in(consumer_key=self.told["client_id"], consumer_secret=self.told["client_secret"], **more)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with sandbox_in_thread(org_with_external_ids()) as running:
        yield Client(running)


@pytest.fixture(scope="module")
def sf(client: Client) -> Salesforce:
    return client.usual(parse_float=Decimal)
