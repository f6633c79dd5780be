"""What really happened in the org, written down as it was committed: the truth that the book is measured against.

Place     SandboxOrg.listeners -> [this] -> test_salesforce.py. It knows nothing of bridge or contracts.
Told      a commit is `told` where its event went out with content: then each field must take effect at that very
          second. A gap tells when, not what. A commit that nobody told of (no stream, a reset before it was read, an
          event that was dropped) is only found by reading again: some later commit of the record then stands for it.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.transactions import CommittedTransaction
from fakturo.producers.salesforce.settling import HOT_MS
from fakturo.schemas.salesforce.compounds import dotted_name

Key = tuple[str, str]
"""(entity, record id)"""


class Fate(StrEnum):
    """What became of a commit's event."""

    TOLD = "told"
    GAP = "gap"
    OVERFLOW = "overflow"
    UNTOLD = "untold"


@dataclass(slots=True)
class FieldTruth:
    """A real change of a field: its value in the org's own form, the second of the commit, and its fate."""

    value: Any
    commit_ms: int
    fate: Fate


@dataclass
class OrgHistory:
    """Listens to `org`; `fate` is what becomes of the commits from now on."""

    org: SandboxOrg
    fate: Fate = Fate.UNTOLD
    fields: dict[Key, dict[str, list[FieldTruth]]] = field(default_factory=lambda: defaultdict(dict))
    commits: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    object_gaps: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    recent: list[FieldTruth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.org.listeners.append(self._note)

    def lose_since(self, since_ms: int) -> None:
        """Say that events from `since_ms` on may not have been read before the stream was reset."""
        for truth in self.recent:
            if truth.commit_ms >= since_ms and truth.fate is Fate.TOLD:
                truth.fate = Fate.UNTOLD
        self.recent.clear()

    @contextmanager
    def while_(self, fate: Fate) -> Iterator[None]:
        """Let `fate` be that of the commits within."""
        before, self.fate = self.fate, fate
        try:
            yield
        finally:
            self.fate = before

    def _note(self, committed: CommittedTransaction) -> None:
        for change in committed.changes:
            key = (change.entity, change.record_id)
            self.commits[key].append(committed.commit_ms)
            if self.fate is Fate.GAP:
                self.gaps[key].append(committed.commit_ms)
            elif self.fate is Fate.OVERFLOW:
                self.object_gaps[change.entity].add(committed.commit_ms)
            for name, value in change.changed.items():
                known = self.fields[key].setdefault(name, [])
                if not known or known[-1].value != value:
                    truth = FieldTruth(value, committed.commit_ms, self.fate)
                    known.append(truth)
                    self.recent.append(truth)

    def expected(self, key: Key) -> Iterator[tuple[str, FieldTruth, frozenset[int]]]:
        """Yield (dotted field, last change, the seconds at which its value may have taken effect in the book)."""
        for name, changes in self.changes(key):
            empty = FieldTruth(None, self.commits[key][0], Fate.UNTOLD)  # what a record is made without, no event tells
            seconds = {at for change in _unseen([empty, *changes]) for at in self._seconds(key, change)}
            yield name, changes[-1], frozenset(seconds)

    def changes(self, key: Key) -> Iterator[tuple[str, list[FieldTruth]]]:
        """Yield (dotted field, its changes) of the fields of a record that events tell of."""
        entity = self.org.objects[key[0]]
        compounds = {one.compound for one in entity.fields.values()}
        for name, changes in self.fields[key].items():
            shown = entity.fields.get(name)
            if shown is not None and shown.in_event and name not in compounds and not self._is_moved(key, name):
                yield dotted_name({"name": name, "compoundFieldName": shown.compound}), changes

    def _is_moved(self, key: Key, name: str) -> bool:
        """Return whether the field says when the record was deleted, which the event of the deletion does not tell."""
        row = self.org.tables[key[0]].get(key[1])
        return name in ("LastModifiedDate", "LastModifiedById") and (row is None or bool(row["IsDeleted"]))

    def _seconds(self, key: Key, change: FieldTruth) -> set[int]:
        at = {change.commit_ms}
        if change.fate is not Fate.TOLD:
            at |= {gap for gap in (*self.gaps[key], *self.object_gaps[key[0]]) if gap <= change.commit_ms}
            later = [one for one in self.commits[key] if one >= change.commit_ms]
            at |= {one - rest for one in later for rest in (0, HOT_MS)}
        return at


def _unseen(changes: list[FieldTruth]) -> Iterator[FieldTruth]:
    """Yield the last change, and earlier ones to the same value where nobody can know of what was in between.

    That is where nobody told of it, or where it was over within the second that stamps are told to.
    """
    value = changes[-1].value
    for position in range(len(changes) - 1, -1, -1):
        change = changes[position]
        if change.value == value:
            yield change
        elif change.fate is Fate.TOLD and changes[position + 1].commit_ms != change.commit_ms:
            return
