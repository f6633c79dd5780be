"""The history of one CRM record: every fact about it, by when it took effect and when we knew.

Place     store -> [this] -> mapping. Pure. The order in which facts arrived does not matter, but for a tie: of two
          facts of one field and one commit the later arrival (`arrival`, ascending) counts.
Gap       what a row, read again because of a gap, says differently from all that was told before the gap took effect
          then, not when the row was last changed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from fakturo.consumers.contracts.reducer import DELETED, GAP, SWEPT, WHOLE, differs

Condition = Callable[[dict[str, Any]], bool]


SECOND = timedelta(seconds=1)
"""The resolution of Salesforce's stamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """From `effective_at` (the commit) on, `field` had `value`; we knew at `recorded_at`.

    `is_row` says that it stood in a row that was read, not in an event; `gap_at` is the commit of the gap that the row
    answers, None where it answers none.
    """

    field: str
    value: Any
    effective_at: datetime
    recorded_at: datetime
    arrival: int = 0
    is_row: bool = False
    gap_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a record said of some fields from `effective_at` on, until the next moment."""

    effective_at: datetime
    recorded_at: datetime
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """All facts of one record, in the order of effect; `unclear` says which derived field has no value now, and why."""

    entity: str
    record_id: str
    facts: tuple[Fact, ...]
    unclear: tuple[str, ...] = ()
    _latest: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_latest", {fact.field: fact.value for fact in self.facts})

    @classmethod
    def of(cls, entity: str, record_id: str, facts: Iterable[Fact]) -> "RecordHistory":
        """Return the history of `facts`, whatever order they are given in."""
        ordered = sorted(facts, key=lambda fact: (fact.effective_at, fact.arrival))
        if any(fact.is_row for fact in ordered):
            ordered = _without_hot_rows(ordered)
        if any(fact.gap_at is not None for fact in ordered):
            ordered = sorted(_at_their_gaps(ordered), key=lambda fact: fact.effective_at)
        return cls(entity, record_id, tuple(ordered))

    @property
    def recorded_at(self) -> datetime:
        """Return when the newest fact was recorded."""
        return max(fact.recorded_at for fact in self.facts)

    @property
    def effective_at(self) -> datetime:
        """Return when the last fact took effect."""
        return self.facts[-1].effective_at

    @property
    def gap(self) -> str | None:
        """Return the kind of an unmended gap: a change whose content did not reach us."""
        found = self._latest.get(GAP)
        return str(found) if found else None

    @property
    def seen_whole(self) -> bool:
        """Return whether the row itself has arrived, not only changes of it."""
        return self._latest.get(WHOLE) is True

    def value(self, fields: Sequence[str]) -> Any:
        """Return the newest value of the first of `fields` that is filled, or None."""
        return first_filled(self._latest, fields)

    def timeline(self, fields: Sequence[str]) -> list[Moment]:
        """Return the values of `fields` at every instant at which one of them was set, ascending."""
        wanted = frozenset(fields)
        moments: list[Moment] = []
        for fact in self.facts:
            if fact.field not in wanted:
                continue
            last = moments[-1] if moments else None
            values = {**(last.values if last else {}), fact.field: fact.value}
            if last is not None and last.effective_at == fact.effective_at:
                recorded_at = max(last.recorded_at, fact.recorded_at)
                moments[-1] = Moment(effective_at=fact.effective_at, recorded_at=recorded_at, values=values)
            else:
                moments.append(Moment(effective_at=fact.effective_at, recorded_at=fact.recorded_at, values=values))
        return moments

    def deleted_at(self) -> datetime | None:
        """Return since when the record is deleted, or None while it lives.

        Where nobody told, it is since the reading of the whole object that did not find it.
        """
        told_at = self.since(lambda values: bool(values.get(DELETED)), (DELETED,))
        return told_at or self.since(lambda values: bool(values.get(SWEPT)), (SWEPT,))

    def holds_since(self, field: str) -> datetime | None:
        """Return since when `field` has the value that it has now, or None where nothing was told of it."""
        now = self._latest.get(field)
        return self.since(lambda values: not differs(values.get(field), now), (field,))

    def since(self, holds: Condition, fields: Sequence[str]) -> datetime | None:
        """Return since when `holds` is true without a break up to now, or None if it is not true now."""
        start: datetime | None = None
        for moment in self.timeline(fields):
            if not holds(moment.values):
                start = None
            elif start is None:
                start = moment.effective_at
        return start


def _without_hot_rows(ordered: Sequence[Fact]) -> list[Fact]:
    """Leave out what a row says just before an event says the same: the event knows the second.

    A record that never rests is read as of a millisecond before its stamp (producers/salesforce/settling.py).
    """
    told: dict[str, list[Fact]] = {}
    for fact in ordered:
        if not fact.is_row:
            told.setdefault(fact.field, []).append(fact)

    def is_hot(row: Fact) -> bool:
        return any(
            row.effective_at < event.effective_at < row.effective_at + SECOND and not differs(event.value, row.value)
            for event in told.get(row.field, ())
        )

    return [fact for fact in ordered if not (fact.is_row and fact.field not in (GAP, WHOLE) and is_hot(fact))]


def _at_their_gaps(ordered: Sequence[Fact]) -> list[Fact]:
    """Add what first came with the answer to a gap at the gap, where nothing newer than the gap had been told.

    The row stays known at its own commit as well: a late event from in between must not win over it. Rows of one commit
    say the same; an event of that commit told the field, so it took effect then. Of several gaps it is the first.
    """
    by_field: dict[str, list[Fact]] = {}
    for fact in ordered:
        if fact.field not in (GAP, WHOLE):
            by_field.setdefault(fact.field, []).append(fact)
    found = list(ordered)
    for facts in by_field.values():
        before: Fact | None = None
        for effective_at, group in groupby(facts, key=lambda fact: fact.effective_at):
            told = list(group)
            last = told[-1]
            gaps = [one.gap_at for one in told if one.gap_at is not None and one.gap_at < effective_at]
            open_since = [at for at in gaps if before is None or before.effective_at <= at]
            is_news = before is None or differs(last.value, before.value)
            if open_since and is_news and all(one.is_row for one in told):
                found.append(replace(last, effective_at=min(open_since)))
            before = last
    return found


def first_filled(values: dict[str, Any], fields: Sequence[str]) -> Any:
    """Return the first of `fields` in `values` that is neither null nor empty text, or None."""
    for name in fields:
        value = values.get(name)
        if value is not None and value != "":
            return value
    return None
