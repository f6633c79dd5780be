"""A sandbox org as a child process, with what the Salesforce bench asks of it over REST.

Place     salesforce_*.py -> [this] -> `fakturo sandbox --json`, over TLS as a real org would be.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import requests

from fakturo.cli.sandbox.running import SandboxProcess, start_sandbox_process
from fakturo.schemas.salesforce import API_VERSION

CALL_SECONDS_MAX = 300.0
COLLECTION_MAX = 200


class BenchOrg:
    """One org; a context manager that ends it."""

    def __init__(self) -> None:
        self._sandbox: SandboxProcess = start_sandbox_process()
        self.told = self._sandbox.told
        self._token = ""
        self._token = self._login()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.stop()

    def environment(self, entities: Sequence[str]) -> dict[str, str]:
        """Return the settings that let the bridge work on this org; `entities` are read whole at first."""
        names = ("client_id", "client_secret", "pubsub_target", "ca_file")
        settings = {name: self.told[name] for name in names}
        settings |= {"login_url": self.told["rest_url"], "entities": ",".join(entities), "reconcile_seconds": "86400"}
        return {f"FAKTURO_SALESFORCE_{name.upper()}": str(value) for name, value in settings.items()}

    def session(self) -> requests.Session:
        """Return a new connection that is logged in."""
        session = requests.Session()
        session.trust_env = False  # REQUESTS_CA_BUNDLE would win over `verify`
        session.verify = self.told["ca_file"]
        session.headers["Authorization"] = f"Bearer {self._token}"
        return session

    def record_url(self, entity: str, record_id: str) -> str:
        """Return the address of a record."""
        return f"{self._data}/sobjects/{entity}/{record_id}"

    def create(self, entity: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Create records by collections; return their ids.

        Raises:
            RuntimeError: the org refused one.
        """
        ids: list[str] = []
        for start in range(0, len(records), COLLECTION_MAX):
            part = [{"attributes": {"type": entity}, **one} for one in records[start : start + COLLECTION_MAX]]
            answers = self._call("POST", f"{self._data}/composite/sobjects", {"allOrNone": True, "records": part})
            if refused := [one for one in answers if not one["success"]]:
                raise RuntimeError(f"{entity}: {refused[0]['errors']}")
            ids += [one["id"] for one in answers]
        return ids

    def tell_events(self, entity: str, values: Mapping[str, Any], count: int) -> None:
        """Fill the bus with so many changes of the object; no record changes."""
        self._door("POST", "events", {"object": entity, "values": values, "count": count})

    def put_rows(self, entity: str, values: Mapping[str, Any], count: int) -> None:
        """Fill the object's table with so many rows; no event tells of them."""
        self._door("POST", "rows", {"object": entity, "values": values, "count": count})

    def set_keepalive(self, seconds: float | None) -> None:
        """Let a silent stream hear something after so long; None: as in Salesforce."""
        if seconds is None:
            self._door("DELETE", "faults", None)
        else:
            self._door("POST", "faults", {"keepalive_seconds": seconds})

    @property
    def _data(self) -> str:
        return f"{self.told['rest_url']}/services/data/v{API_VERSION}"

    def _door(self, method: str, name: str, body: Any) -> Any:
        return self._call(method, f"{self.told['rest_url']}/sandbox/{name}", body)

    def _call(self, method: str, url: str, body: Any) -> Any:
        with self.session() as session:
            response = session.request(method, url, json=body, timeout=CALL_SECONDS_MAX)
        if not response.ok:
            raise RuntimeError(f"{method} {url}: {response.status_code} {response.text[:300]}")
        return response.json() if response.content else None

    def _login(self) -> str:
        names = ("client_id", "client_secret")
        form = {"grant_type": "client_credentials", **{name: self.told[name] for name in names}}
        with self.session() as session:
            url = f"{self.told['rest_url']}/services/oauth2/token"
            response = session.post(url, data=form, timeout=CALL_SECONDS_MAX)
        response.raise_for_status()
        return str(response.json()["access_token"])
