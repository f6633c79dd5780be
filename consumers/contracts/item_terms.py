"""What was agreed of an order item, by date: terms, and the shape of the item (product, billing). Pure.

Place     items -> [this]: the record's history becomes stretches, each with the values that hold from its date on.
Rules     Values up to the order's activation hold from the start of service, later ones from the local day of their
          commit. With an effective date they hold from that date, past or future: it counts for the commit that sets
          it, and for later ones as long as it lies ahead; set alone, it moves the last change to that date. A later
          commit wins over an earlier one, field by field, from its own date on.
Shape     a change of the product or of how it is billed ends the item and starts another one, numbered as agreed: 2 for
          the first such change. A number that later changes left without days stays, without days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from fakturo.consumers.contracts.history import Moment, RecordHistory, first_filled
from fakturo.consumers.contracts.profile import ItemFields
from fakturo.consumers.contracts.reducer import differs
from fakturo.consumers.contracts.values import DayOf, date_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The values that hold from `start_on` on; `number` is that of the shape."""

    start_on: date
    values: dict[str, Any] = field(default_factory=dict)
    recorded_at: datetime
    number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive stretches of one shape; without stretches the shape lost all its days. `end_on` is exclusive."""

    number: int
    start_on: date
    end_on: date | None
    values: dict[str, Any]
    stretches: tuple[Stretch, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    on: date
    values: dict[str, Any]
    recorded_at: datetime


def segments_of(
    history: RecordHistory,
    fields: ItemFields,
    *,
    start_on: date,
    agreed_at: datetime,
    day_of: DayOf,
) -> list[Segment]:
    """Return the shapes of the item by number, each with the stretches of its values, ascending.

    Raises:
        Unclear: an effective date is no date.
    """
    changes = _changes(history, fields, start_on, agreed_at, day_of)
    stretches = [Stretch(start_on=start_on, recorded_at=history.recorded_at)]
    shapes: dict[int, Stretch] = {}
    for change in changes:
        stretches = _joined(_applied(stretches, change, fields, len(shapes) + 1), fields)
        newest = next(one for one in stretches if one.start_on == change.on)
        if newest.number not in shapes:
            shapes[newest.number] = newest
    if not shapes:
        shapes[1] = stretches[0]
    return _segments(stretches, shapes)


def _changes(
    history: RecordHistory, fields: ItemFields, start_on: date, agreed_at: datetime, day_of: DayOf
) -> list[_Change]:
    """Return what each commit changed, in the order of commits, with the date from which it holds."""
    wanted = (*fields.terms, *fields.shape)
    changes: list[_Change] = []
    before: dict[str, Any] = {}
    for moment in history.timeline((*wanted, *fields.effective_on)):
        values = {
            name: value for name, value in moment.values.items() if name in wanted and differs(value, before.get(name))
        }
        day = day_of(moment.effective_at)
        dated_on = _dated_on(moment, before, fields, day_of)
        if values:
            early = not changes or moment.effective_at <= agreed_at
            on = dated_on if dated_on and changes else start_on if early else day
            changes.append(_Change(on=max(start_on, on), values=values, recorded_at=moment.recorded_at))
        elif dated_on is not None and len(changes) > 1:
            changes[-1] = replace(changes[-1], on=max(start_on, dated_on), recorded_at=moment.recorded_at)
        before = moment.values
    return changes


def _dated_on(moment: Moment, before: dict[str, Any], fields: ItemFields, day_of: DayOf) -> date | None:
    """Return the effective date that counts at `moment`: one that it sets, or one that still lies ahead."""
    value = first_filled(moment.values, fields.effective_on)
    if not value:
        return None
    dated_on = date_in(value, day_of)
    is_set_now = value != first_filled(before, fields.effective_on)
    return dated_on if is_set_now or dated_on > day_of(moment.effective_at) else None


def _applied(stretches: Sequence[Stretch], change: _Change, fields: ItemFields, next_number: int) -> list[Stretch]:
    """Return `stretches` with the change in all from its date on."""
    before = next(one for one in reversed(stretches) if one.start_on <= change.on)
    reshaped = change.on > stretches[0].start_on and any(name in fields.shape for name in change.values)
    cut = [*stretches, *([] if before.start_on == change.on else [replace(before, start_on=change.on)])]
    return [
        replace(
            one,
            values={**one.values, **change.values},
            recorded_at=change.recorded_at if one.start_on == change.on else max(one.recorded_at, change.recorded_at),
            number=next_number if reshaped and one.number == before.number else one.number,
        )
        if one.start_on >= change.on
        else one
        for one in sorted(cut, key=lambda one: one.start_on)
    ]


def _joined(stretches: Sequence[Stretch], fields: ItemFields) -> list[Stretch]:
    """Give a stretch the number of the one before it where both have one shape: a later change overruled it."""
    joined: list[Stretch] = []
    for one in stretches:
        if joined and not any(differs(one.values.get(name), joined[-1].values.get(name)) for name in fields.shape):
            one = replace(one, number=joined[-1].number)
        joined.append(one)
    return joined


def _segments(stretches: Sequence[Stretch], shapes: dict[int, Stretch]) -> list[Segment]:
    segments = []
    for number, shape in sorted(shapes.items()):
        own = tuple(one for one in stretches if one.number == number)
        after = [one.start_on for one in stretches if own and one.start_on > own[-1].start_on]
        segments.append(
            Segment(
                number=number,
                start_on=own[0].start_on if own else shape.start_on,
                end_on=(min(after) if after else None) if own else shape.start_on,
                values=own[-1].values if own else shape.values,
                stretches=own,
                recorded_at=shape.recorded_at,
            )
        )
    return segments
