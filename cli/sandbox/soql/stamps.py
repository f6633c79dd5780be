"""Which records of an object were written when, and who was deleted when.

Place     the tables' orders by stamp; commits (a listener of the org) -> [this] -> candidates, rest/replication
Rules     The order of an object is built when somebody first asks for it, and kept by every write since. Deletions are
          remembered from the moment when this was made, also of records that have left the recycle bin.
"""

from collections import defaultdict

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.transactions import CommittedTransaction


class Stamps:
    """Knows the times of an org's writes."""

    def __init__(self, org: SandboxOrg) -> None:
        self._org = org
        self._deleted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        org.listeners.append(self._note)

    def between(self, entity: str, low: str, high: str) -> list[Row]:
        """The rows, deleted ones too, whose SystemModstamp lies from `low` to `high`, both included, in that order."""
        table = self._org.tables[entity]
        return table.by_stamp().between(low, high, table)

    def deleted(self, entity: str) -> dict[str, str]:
        """The records deleted since, also those that are gone for good: id to the time of deletion."""
        return self._deleted[entity]

    def _note(self, commit: CommittedTransaction) -> None:
        """Take a commit's deletions in."""
        for change in commit.changes:
            if change.kind == "DELETE":
                self._deleted[change.entity][change.record_id] = change.values["SystemModstamp"]
            elif change.kind == "UNDELETE":
                self._deleted[change.entity].pop(change.record_id, None)
