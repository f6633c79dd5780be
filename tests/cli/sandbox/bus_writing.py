"""An org with its bus, and writes to it whose events the tests look at."""

from typing import Any

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.bus import EventBus
from tests.cli.sandbox.bus_world import small_org


def world(*more: Any) -> tuple[SandboxOrg, EventBus]:
    org = small_org(*more)
    return org, EventBus(org)


def insert(org: SandboxOrg, name: str, **values: Any) -> str:
    with org.transaction(client="acme") as writing:
        return writing.insert(name, values)


def update(org: SandboxOrg, name: str, record_id: str, **values: Any) -> None:
    with org.transaction(client="acme") as writing:
        writing.update(name, record_id, values)


ACME = {"Name": "Acme", "Industry": "Energy", "Fax": "1", "BillingStreet": "1 Main", "ShippingCity": "Bern"}
