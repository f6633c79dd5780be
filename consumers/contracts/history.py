"""The history of one CRM record: every fact about it, by when it took effect and when we knew.

Place     store -> [this] -> mapping. Pure. The order in which facts arrived does not matter, but for a tie: of two
          facts of one field and one commit the later arrival (`arrival`, ascending) counts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakturo.consumers.contracts.reducer import DELETED, GAP, WHOLE

Condition = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """From `effective_at` (the commit) on, `field` had `value`; we knew at `recorded_at`."""

    field: str
    value: Any
    effective_at: datetime
    recorded_at: datetime
    arrival: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a record said of some fields from `effective_at` on, until the next moment."""

    effective_at: datetime
    recorded_at: datetime
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """All facts of one record, in the order of effect."""

    entity: str
    record_id: str
    facts: tuple[Fact, ...]
    _latest: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_latest", {fact.field: fact.value for fact in self.facts})

    @classmethod
    def of(cls, entity: str, record_id: str, facts: Iterable[Fact]) -> "RecordHistory":
        """Return the history of `facts`, whatever order they are given in."""
        ordered = tuple(sorted(facts, key=lambda fact: (fact.effective_at, fact.arrival)))
        return cls(entity, record_id, ordered)

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
        """Return since when the record is deleted, or None while it lives."""
        return self.since(lambda values: bool(values.get(DELETED)), (DELETED,))

    def since(self, holds: Condition, fields: Sequence[str]) -> datetime | None:
        """Return since when `holds` is true without a break up to now, or None if it is not true now."""
        start: datetime | None = None
        for moment in self.timeline(fields):
            if not holds(moment.values):
                start = None
            elif start is None:
                start = moment.effective_at
        return start


def first_filled(values: dict[str, Any], fields: Sequence[str]) -> Any:
    """Return the first of `fields` in `values` that is neither null nor empty text, or None."""
    for name in fields:
        value = values.get(name)
        if value is not None and value != "":
            return value
    return None
