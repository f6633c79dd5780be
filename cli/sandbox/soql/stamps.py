"""Which records of an object were written when: their ids in the order of SystemModstamp, and who was deleted when.

Place     commits (a listener of the org) -> [this] -> candidates (WHERE on SystemModstamp), rest/replication.
Rules     The order of an object is built when a query first asks for it, and kept by every commit since. A record
          that was written again has a new entry; the old one is passed over, and the order is built anew when most
          are old. A table whose size isn't what the commits say (a hard delete from the recycle bin) is read anew,
          too.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rows import Row, Table
from fakturo.cli.sandbox.transactions import CommittedTransaction, RecordChange

_SPARE = 10_000  # old entries that are tolerated beside as many as the table has rows


@dataclass(slots=True)
class _Order:
    """Entries (SystemModstamp, id) in order; `rows` is how many rows the table had when they were complete."""

    entries: list[tuple[str, str]]
    rows: int


class Stamps:
    """Follows an org's commits from the moment it is made."""

    def __init__(self, org: SandboxOrg) -> None:
        self._org = org
        self._orders: dict[str, _Order] = {}
        self._deleted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        org.listeners.append(self._note)

    def between(self, entity: str, low: str, high: str) -> list[Row]:
        """The rows, deleted ones too, whose SystemModstamp lies from `low` to `high`, both included, in that order."""
        table = self._org.tables[entity]
        entries = self._order(entity, table).entries
        begin = bisect_left(entries, (low, ""))
        end = bisect_right(entries, (high, "\x7f"))
        found: list[Row] = []
        last = ("", "")
        for entry in entries[begin:end]:
            row = table.get(entry[1])
            if row is not None and row["SystemModstamp"] == entry[0] and entry != last:
                found.append(row)
            last = entry
        return found

    def deleted(self, entity: str) -> dict[str, str]:
        """The records deleted since the org began, also those that are gone for good: id to the time of deletion."""
        return self._deleted[entity]

    def _order(self, entity: str, table: Table) -> _Order:
        """The order of an object, complete."""
        order = self._orders.get(entity)
        if order is None or order.rows != len(table) or len(order.entries) > 2 * len(table) + _SPARE:
            entries = sorted(map(itemgetter("SystemModstamp", "Id"), table.values()))
            order = self._orders[entity] = _Order(entries, len(table))
        return order

    def _note(self, commit: CommittedTransaction) -> None:
        """Take a commit's changes in."""
        for change in commit.changes:
            if change.kind == "DELETE":
                stamp = change.values["SystemModstamp"]
                self._deleted[change.entity][change.record_id] = stamp
            elif change.kind == "UNDELETE":
                self._deleted[change.entity].pop(change.record_id, None)
            order = self._orders.get(change.entity)
            if order is not None:
                self._enter(order, change)

    def _enter(self, order: _Order, change: RecordChange) -> None:
        """Add an entry; nearly always at the end, unless the org's clock was set back."""
        present = change.record_id in self._org.tables[change.entity]
        order.rows += (change.kind == "CREATE") - (not present)
        if present:
            entry = (change.values["SystemModstamp"], change.record_id)
            if order.entries and entry < order.entries[-1]:
                insort(order.entries, entry)
            else:
                order.entries.append(entry)
