"""Events, rows, a gap, repeats, in any order: the same values with the same effective times as a simple model."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.contracts.history import Fact, RecordHistory
from fakturo.consumers.contracts.reducer import MARKS, RecordState, facts_of
from fakturo.schemas.events.change_data import ChangeRecord, Commit

START = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = ("A__c", "B__c", "C__c")


def second(number: int) -> datetime:
    return START + timedelta(seconds=number)


@dataclass(frozen=True)
class World:
    """What happened to a record: at second `n` the fields of `changes[n]` were set. `lost` is told as a gap alone."""

    changes: tuple[dict[str, str], ...]
    lost: int | None
    answer: int
    rows: tuple[int, ...]

    def row_at(self, number: int) -> dict[str, str]:
        found: dict[str, str] = {}
        for changed in self.changes[: number + 1]:
            found |= changed
        return found

    def since(self, name: str) -> int:
        """Return the second since which `name` has its last value, by all that anybody could know.

        A lost value that was overwritten before a row was read nobody ever saw.
        """
        was_read = self.lost in self.rows
        known: list[tuple[int, str]] = []
        for number, values in enumerate(self.changes):
            overwritten = any(name in later for later in self.changes[number + 1 : self.answer + 1])
            unseen = number == self.lost and overwritten and not was_read
            if name in values and not unseen and (not known or known[-1][1] != values[name]):
                known.append((number, values[name]))
        return known[-1][0]

    def told(self) -> list[ChangeRecord]:
        """Return the records that come of it: events, the gap, its answer, and rows read for other reasons."""
        found = []
        for number, values in enumerate(self.changes):
            if number == self.lost:
                found.append(_change("GAP_UPDATE", number))
            elif number == 0:
                found.append(_change("CREATE", number, values=values))
            else:
                found.append(_change("UPDATE", number, values=values, changed=tuple(values)))
        if self.lost is not None:
            gap_ms = _ms(self.lost)
            found.append(_change("SYNC", self.answer, values=self.row_at(self.answer), full=True, gapTs=gap_ms))
        found += [_change("SYNC", number, values=self.row_at(number), full=True) for number in self.rows]
        return found


def _ms(number: int) -> int:
    return int(second(number).timestamp() * 1000)


def _change(kind: str, number: int, **given: Any) -> ChangeRecord:
    return ChangeRecord(
        v=1, entity="Order", recordId="801NY0000000002YAA", changeType=kind, commit=Commit(ts=_ms(number)), **given
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    fields = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from("123"), min_size=1)
    first = {name: draw(st.sampled_from("123")) for name in FIELDS}
    changes, now = [first], dict(first)
    for drawn in draw(st.lists(fields, max_size=6)):
        changed = {name: value for name, value in drawn.items() if now[name] != value}
        changes += [changed] if changed else []  # Salesforce tells no field that stays as it is
        now |= changed
    last = len(changes) - 1
    lost = draw(st.none() | st.integers(0, last))
    answer = draw(st.integers(lost, last)) if lost is not None else 0
    # A row that was read between the gap and its answer tells of the change first, and only at its own commit.
    seconds = [number for number in range(last + 1) if lost is None or number <= lost or number >= answer]
    return World(tuple(changes), lost, answer, tuple(draw(st.lists(st.sampled_from(seconds), max_size=3))))


@given(worlds().flatmap(lambda world: st.tuples(st.just(world), st.permutations([*world.told(), *world.told()[:2]]))))
def test_any_order_ends_in_the_values_of_the_org_each_since_it_holds(case: tuple[World, list[ChangeRecord]]) -> None:
    world, arrivals = case
    state, facts = RecordState(), []
    for arrival, change in enumerate(arrivals):
        told = facts_of(change)
        state.apply(told, change.commit.ts)
        gap_at = None if change.gapTs is None else START + timedelta(seconds=(change.gapTs - _ms(0)) // 1000)
        facts += [
            Fact(
                field=name,
                value=value,
                effective_at=change.committed_at,
                recorded_at=START,
                arrival=arrival,
                is_row=change.changeType == "SYNC",
                gap_at=gap_at,
            )
            for name, value in told.items()
        ]
    history = RecordHistory.of("Order", "801NY0000000002YAA", facts)
    final = world.row_at(len(world.changes))
    assert {name: value for name, value in state.values.items() if name not in MARKS} == final
    assert {name: history.value((name,)) for name in FIELDS} == final
    assert history.gap == state.values.get("$gap")
    assert {name: history.holds_since(name) for name in FIELDS} == {name: second(world.since(name)) for name in FIELDS}
