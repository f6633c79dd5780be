"""Fields that no record has: formulas, fields of records that a reference names, values under other names. Pure.

Place     histories -> [this] -> RecordHistory with more facts, so that the mapping reads them like any other field.
Facts     at every instant at which an input changed, the derived field has what its inputs gave then. A reference is
          followed to where it led then; a record that is deleted has no values any more.
Trouble   where a formula has no result the field is empty, and the history says why, if it is so now.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fakturo.consumers.contracts.field_paths import Derived, FieldPath, ValueMap
from fakturo.consumers.contracts.formulas import Trouble, as_text, evaluate
from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.reducer import DELETED, SWEPT


def with_values(history: RecordHistory, maps: Mapping[str, ValueMap]) -> RecordHistory:
    """Return `history` with the values of `maps` (by field) in place of those of Salesforce."""
    if not any(fact.field in maps for fact in history.facts):
        return history
    facts = [
        replace(fact, value=maps[fact.field].get(str(fact.value), fact.value)) if fact.field in maps else fact
        for fact in history.facts
    ]
    return RecordHistory(history.entity, history.record_id, tuple(facts))


def with_derived(
    history: RecordHistory, fields: Sequence[Derived], known: Mapping[str, RecordHistory]
) -> RecordHistory:
    """Return `history` with the facts of `fields`; `known` are the records that references may lead to, by id."""
    facts = list(history.facts)
    unclear: list[str] = []
    seen: dict[str, _Seen] = {}
    for one in _beginning_here(history, fields):
        found, trouble = _facts_of(one, history, known, seen)
        facts += found
        unclear += [f"cannot be worked out by {one.name}: it {trouble}"] if trouble else []
    ordered = tuple(sorted(facts, key=lambda fact: fact.effective_at))
    return RecordHistory(history.entity, history.record_id, ordered, tuple(unclear))


def targets_of(history: RecordHistory, fields: Sequence[Derived], known: Mapping[str, RecordHistory]) -> set[str]:
    """Return the ids of the records that the references of `fields` ever led to, as far as `known` shows them."""
    begun = _beginning_here(history, fields)
    return {record_id for one in begun for path in one.paths.values() for record_id in _targets(history, path, known)}


def _beginning_here(history: RecordHistory, fields: Sequence[Derived]) -> list[Derived]:
    """Return those of `fields` that the record has any input of; the others can have no fact."""
    present = {fact.field for fact in history.facts}
    return [one for one in fields if any(_first_field(path) in present for path in one.paths.values())]


def _first_field(path: FieldPath) -> str:
    return path.hops[0].field if path.hops else path.field


def _targets(history: RecordHistory, path: FieldPath, known: Mapping[str, RecordHistory]) -> Iterator[str]:
    reached = [history]
    for hop in path.hops:
        named = {str(fact.value) for one in reached for fact in one.facts if fact.field == hop.field and fact.value}
        yield from named
        reached = [known[record_id] for record_id in sorted(named) if record_id in known]


def _facts_of(
    one: Derived, history: RecordHistory, known: Mapping[str, RecordHistory], seen: "dict[str, _Seen]"
) -> tuple[list[Fact], str | None]:
    """Return the facts of a derived field, and why it has no value now, if so."""
    changes: dict[datetime, datetime] = {}
    for path in one.paths.values():
        for fact in _inputs(history, path, known):
            recorded_at = changes.get(fact.effective_at, fact.recorded_at)
            changes[fact.effective_at] = max(recorded_at, fact.recorded_at)
    facts: list[Fact] = []
    trouble: str | None = None
    for at, recorded_at in sorted(changes.items()):
        reading = _Reading(history, one.paths, known, seen, at)
        trouble = None
        try:
            result = evaluate(one.node, reading.value_of)
        except Trouble as error:
            result, trouble = None, str(error)
        value = result if isinstance(result, bool | str | None) else as_text(result)
        value = value.strip() if isinstance(value, str) else value
        facts.append(Fact(field=one.name, value=value, effective_at=at, recorded_at=recorded_at))
    return facts, trouble


def _inputs(history: RecordHistory, path: FieldPath, known: Mapping[str, RecordHistory]) -> Iterator[Fact]:
    """Yield every fact that can change what `path` gives."""
    reached = [history]
    marks: tuple[str, ...] = ()
    for hop in path.hops:
        wanted = (hop.field, *marks)
        yield from (fact for one in reached for fact in one.facts if fact.field in wanted)
        named = {str(fact.value) for one in reached for fact in one.facts if fact.field == hop.field and fact.value}
        reached = [known[record_id] for record_id in sorted(named) if record_id in known]
        marks = (DELETED, SWEPT)
    wanted = (path.field, *marks)
    yield from (fact for one in reached for fact in one.facts if fact.field in wanted)


@dataclass(slots=True)
class _Seen:
    """The facts of one record by field, to look up what held at an instant."""

    history: RecordHistory
    columns: dict[str, tuple[list[datetime], list[Any]]] = field(default_factory=dict)

    def value_at(self, name: str, at: datetime) -> Any:
        if name not in self.columns:
            facts = [fact for fact in self.history.facts if fact.field == name]
            self.columns[name] = ([fact.effective_at for fact in facts], [fact.value for fact in facts])
        instants, values = self.columns[name]
        index = bisect_right(instants, at)
        return values[index - 1] if index else None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the paths of a derived field give at an instant."""

    history: RecordHistory
    paths: Mapping[str, FieldPath]
    known: Mapping[str, RecordHistory]
    seen: dict[str, _Seen]
    at: datetime

    def value_of(self, text: str) -> Any:
        path = self.paths[text]
        record = self._seen(self.history)
        for hop in path.hops:
            target = self.known.get(str(record.value_at(hop.field, self.at)))
            if target is None:
                return None
            record = self._seen(target)
            if record.value_at(DELETED, self.at) or record.value_at(SWEPT, self.at):
                return None
        return record.value_at(path.field, self.at)

    def _seen(self, history: RecordHistory) -> _Seen:
        return self.seen.setdefault(history.record_id, _Seen(history))
