"""One transaction of the sandbox org: writes, undone together or committed together and told to the listeners.

Place     REST, SOAP, Bulk, tests -> SandboxOrg.transaction() -> [this] -> tables; on commit -> listeners (the bus).
Rules     A write either holds as a whole or changes nothing and raises OrgError; the transaction goes on, and its user
          decides (allOrNone). Leaving the block with an exception undoes everything. Several writes of one record
          become one change: the first kind, the last values. Stamps are the transaction's instant cut to the second.
Source    Change Data Capture Developer Guide, "Change Event Header Fields", "Transaction-Based Replication".
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from fakturo.cli.sandbox.writing import Writing

if TYPE_CHECKING:
    from fakturo.cli.sandbox.org import SandboxOrg
    from fakturo.cli.sandbox.rows import Row

ChangeKind = Literal["CREATE", "UPDATE", "DELETE", "UNDELETE"]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What a transaction did to one record.

    `changed` holds flat field names and new values (None: set to null) of an UPDATE, every set value of a CREATE or
    UNDELETE, nothing of a DELETE; `before` is the whole row before (empty for a CREATE), `values` the whole row after.
    Rows are sparse: a name that is not there is null, and `row[name]` gives None for it.
    """

    entity: str
    record_id: str
    kind: ChangeKind
    changed: dict[str, Any]
    before: "Row"
    values: "Row"


@dataclass(frozen=True, slots=True)
class CommittedTransaction:
    """A committed transaction: `at` has milliseconds; `commit_ms` is the events' commitTimestamp, cut to the second.

    Sequence numbers of events count the changes from 1, in their order. `client` is what `Sforce-Call-Options` named.
    """

    at: datetime
    commit_number: int
    key: str
    user_id: str
    client: str
    api: str
    version: str
    changes: list[RecordChange] = field(default_factory=list)

    @property
    def commit_ms(self) -> int:
        """The commit's instant in milliseconds since 1970, cut to the second."""
        return int(self.at.timestamp()) * 1000

    @property
    def origin(self) -> str:
        """The changeOrigin: `com/salesforce/api/rest/67.0;client=acme`."""
        client = f";client={self.client}" if self.client else ""
        return f"com/salesforce/api/{self.api}/{self.version}{client}"


class Transaction(Writing):
    """A context manager; see the module. `committed` is set once the block was left and something had changed."""

    def __init__(self, org: "SandboxOrg", *, user_id: str, client: str, api: str, version: str) -> None:
        super().__init__(org, user_id=user_id, at=org.clock.now())
        self.client = client
        self.api = api
        self.version = version
        self.committed: CommittedTransaction | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.undo_to(0)
        else:
            self._commit()

    def _commit(self) -> None:
        self.settle_totals()
        changes = [change for change in self._changes() if change is not None]
        if not changes:
            return
        self.committed = CommittedTransaction(
            at=self.at,
            commit_number=self.org.next_commit_number(),
            key=str(uuid.UUID(int=self.org.random.getrandbits(128), version=4)),
            user_id=self.user_id,
            client=self.client,
            api=self.api,
            version=self.version,
            changes=changes,
        )
        for listener in self.org.listeners:
            listener(self.committed)

    def _changes(self) -> "list[RecordChange | None]":
        first: dict[tuple[str, str], Row | None] = {}
        for entity, record_id, before in self.undo_log:
            first.setdefault((entity, record_id), before)
        return [
            _change(entity, record_id, before, self.org.tables[entity].get(record_id))
            for (entity, record_id), before in first.items()
        ]


def _change(entity: str, record_id: str, before: "Row | None", after: "Row | None") -> RecordChange | None:
    was_live = before is not None and not before["IsDeleted"]
    is_live = after is not None and not after["IsDeleted"]
    if after is None or not is_live:
        # A record that came and went, or left the recycle bin, raises no event.
        if not was_live or before is None:
            return None
        return RecordChange(entity, record_id, "DELETE", {}, before, before if after is None else after)
    if was_live and before is not None:
        return RecordChange(entity, record_id, "UPDATE", _difference(before, after), before, after)
    kind: ChangeKind = "CREATE" if before is None else "UNDELETE"
    return RecordChange(entity, record_id, kind, dict(after), type(after)() if before is None else before, after)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: value for name, value in after.items() if before[name] != value}
    changed.update((name, None) for name in before if name not in after)
    changed["LastModifiedDate"] = after["LastModifiedDate"]
    return changed
