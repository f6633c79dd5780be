"""A sandbox org to read again from, a publisher that keeps what it is given, and a reader that follows the rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.schemas.events.change_data import ChangeRecord, decode_change


def settings_of_sandbox(sandbox: RunningSandbox, **more: Any) -> SalesforceSettings:
    given = {
        "login_url": sandbox.rest_url,
        "client_id": sandbox.access.client_id,
        "client_secret": sandbox.access.client_secret,
        "ca_file": sandbox.ca_file,
        "pubsub_target": sandbox.pubsub_target,
        **more,
    }
    return SalesforceSettings(**given)


@dataclass
class KeptPublisher:
    """Keeps records and position as the real one does: both or neither."""

    records: list[Outgoing] = field(default_factory=list)
    position: bytes | None = None

    async def open(self) -> bytes | None:
        return self.position

    async def publish(self, records: Sequence[Outgoing], position: bytes) -> None:
        self.records += records
        self.position = position

    async def close(self) -> None:
        """Nothing to close."""

    @property
    def changes(self) -> list[ChangeRecord]:
        return changes_of(self.records)


def changes_of(records: Iterable[Outgoing]) -> list[ChangeRecord]:
    return [decode_change(record.value) for record in records]


@dataclass
class Follower:
    """The reference's rule (2.5), written down a second time: per field the newer version wins, of equals the later."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    deleted: dict[str, bool] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)

    def take(self, changes: Iterable[ChangeRecord]) -> None:
        for change in changes:
            if change.changeType == "SNAPSHOT_END":
                self._sweep(change)
                continue
            told = dict(change.values)
            told["$deleted"] = change.changeType == "DELETE" or told.pop("IsDeleted", False) is True
            if change.changeType == "UPDATE":
                told.pop("$deleted")
            values = self.values.setdefault(change.recordId, {})
            versions = self.versions.setdefault(change.recordId, {})
            for name, value in told.items():
                if change.commit.ts >= versions.get(name, 0):
                    values[name], versions[name] = value, change.commit.ts
            self.committed[change.recordId] = max(self.committed.get(change.recordId, 0), change.commit.ts)
            if change.snapshot:
                self.snapshots[change.recordId] = change.snapshot

    def _sweep(self, end: ChangeRecord) -> None:
        for record_id, committed in self.committed.items():
            if committed < end.commit.ts and self.snapshots.get(record_id) != end.snapshot:
                self.values[record_id]["$deleted"] = True

    @property
    def living(self) -> dict[str, dict[str, Any]]:
        return {
            record_id: {name: value for name, value in values.items() if name != "$deleted"}
            for record_id, values in self.values.items()
            if not values.get("$deleted")
        }

    def of(self, name: str) -> dict[str, Any]:
        return {record_id: values.get(name) for record_id, values in self.living.items()}


def living_in(org: SandboxOrg, entity: str, name: str) -> dict[str, Any]:
    """Return what the org itself has of one field, by record id."""
    rows = dict(org.tables[entity].items())
    return {record_id: row[name] for record_id, row in rows.items() if not row["IsDeleted"]}
