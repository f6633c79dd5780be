"""The life of an order: activated, paused and resumed, cancelled, renewed, closed. Pure; local dates throughout.

Place     mapping -> [this] -> items (each item's end and pauses).
Pause     `paused_from` to `paused_until`, its last day; without one it lasts until told. The fields hold one pause at a
          time, their history holds all: a pause that was over, or under way, when the fields were changed keeps the
          days before the change, unless the new one overlaps it: then it is a correction and replaces it.
Cancel    `now`: the day is the first without service. `period_end`: each item ends with the billing period that holds
          the day. `term_end`: with the term that holds it.
Renewal   with auto-renewal the order's last day ends its first term only. Switched off, it ends with the term that
          holds the day of the change.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.profile import SubscriptionFields
from fakturo.consumers.contracts.reducer import WHOLE
from fakturo.consumers.contracts.values import (
    DayOf,
    Unclear,
    choice_of,
    date_in,
    date_of,
    day_after,
    earliest,
    flag,
    whole_of,
)
from fakturo.engine.periods import add_months, anchored_index
from fakturo.engine.schedule import is_one_time, period_end_on
from fakturo.schemas.events.contracts import Pause, SubscriptionItem

NOW, PERIOD_END, TERM_END = "now", "period_end", "term_end"
TERM_MONTHS_MAX = 240

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """When an order is in force. `ended_on` is its planned end, `closed_on` the day it was deactivated or deleted.

    `cancelled_on` ends each item as `cancel_at` says (`now` or `period_end`); the end of a term is in `ended_on`.
    All ends are exclusive. `unclear` are ends of sentences about what could not be followed.
    """

    started_on: date
    activated_at: datetime
    ended_on: date | None
    closed_on: date | None
    cancelled_on: date | None = None
    cancel_at: str = NOW
    pauses: tuple[Pause, ...] = ()
    auto_renew: bool = False
    term_months: int | None = None
    unclear: tuple[str, ...] = field(default=())

    def end_of(self, item: SubscriptionItem) -> date | None:
        """Return when the item's service ends at the latest, None where nothing ends it."""
        ends = earliest(item.service_end_on, self.closed_on)
        if self.cancelled_on is None:
            return ends
        never_began = self.cancelled_on <= item.service_start_on
        if is_one_time(item) and not never_began:
            return ends
        at_once = self.cancel_at == NOW or never_began
        return earliest(ends, self.cancelled_on if at_once else period_end_on(item, self.cancelled_on))


def lifecycle_of(order: RecordHistory, fields: SubscriptionFields, day_of: DayOf) -> Lifecycle | None:
    """Return the order's life so far, or None where it never was activated. The order must have a first day.

    Raises:
        Unclear: its first or last day is no date.
    """
    activated_at = activated_at_of(order, fields)
    if activated_at is None:
        return None
    unclear: list[str] = []
    started_on = date_in(order.value(fields.first_day), day_of)
    latest = {name: order.value((name,)) for name in (*fields.numbers, *fields.cancel_at)}
    term_months = _noted(unclear, lambda: whole_of(latest, fields.term_months, 1, TERM_MONTHS_MAX))
    cancel_at = _noted(unclear, lambda: choice_of(latest, fields.cancel_at, (NOW, PERIOD_END, TERM_END)))
    auto_renew = flag(order.value(fields.auto_renew))
    if auto_renew and term_months is None:
        unclear.append(f"renews itself, but has no term: fill {fields.term_months[0]}")
        auto_renew = False
    terms = _Terms(started_on, _end_on(order, fields, day_of), term_months)
    ended_on = None if auto_renew else _term_end(order, fields, terms, day_of)
    cancelled_on = date_of(order, fields.cancel_on, day_of)
    if cancel_at == TERM_END and cancelled_on is not None:
        ended_on, cancelled_on = earliest(ended_on, terms.end_after(cancelled_on)), None
        if ended_on is None:
            unclear.append(f"is cancelled at the end of its term, but has none: fill {fields.term_months[0]}")
    if cancel_at is None and order.value(fields.cancel_at) is not None:
        cancelled_on = None  # unclear how: it goes on, and the sentence says so
    return Lifecycle(
        started_on=started_on,
        activated_at=activated_at,
        ended_on=ended_on,
        closed_on=_closed_on(order, fields, started_on, day_of),
        cancelled_on=cancelled_on,
        cancel_at=cancel_at or NOW,
        pauses=_pauses(order, fields, day_of, unclear),
        auto_renew=auto_renew,
        term_months=term_months,
        unclear=tuple(unclear),
    )


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of an order: the first to its last day, where it has one, each other `months` long."""

    started_on: date
    first_end_on: date | None
    months: int | None

    def end_after(self, on: date) -> date | None:
        """Return the end of the term that holds `on`, None where there are no terms."""
        if self.months is None or (self.first_end_on is not None and on < self.first_end_on):
            return self.first_end_on
        base_on = self.first_end_on or self.started_on
        index = max(anchored_index(base_on, on, self.months), 0)
        return add_months(base_on, (index + 1) * self.months)


def _noted(unclear: list[str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except Unclear as problem:
        unclear.append(str(problem))
        return None


def activated_at_of(order: RecordHistory, fields: SubscriptionFields) -> datetime | None:
    """Return when the order was activated first, None where it never was."""
    for moment in order.timeline((*fields.status, WHOLE)):
        if _is_active(moment.values, fields):
            return moment.effective_at
    return None


def _is_active(values: dict[str, object], fields: SubscriptionFields) -> bool:
    return str(first_filled(values, fields.status) or "") in fields.active_statuses


def _end_on(order: RecordHistory, fields: SubscriptionFields, day_of: DayOf) -> date | None:
    last_on = date_of(order, fields.last_day, day_of)
    return day_after(last_on) if last_on else None


def _term_end(order: RecordHistory, fields: SubscriptionFields, terms: _Terms, day_of: DayOf) -> date | None:
    """Return the planned end of an order that does not renew itself (any more), None where it has none."""
    renewed = [moment for moment in order.timeline(fields.auto_renew) if flag(_value(moment.values, fields.auto_renew))]
    if not renewed:
        return terms.end_after(terms.started_on)
    off_at = order.since(lambda values: not flag(_value(values, fields.auto_renew)), fields.auto_renew)
    return terms.end_after(day_of(off_at)) if off_at else terms.first_end_on


def _value(values: dict[str, object], names: tuple[str, ...]) -> object:
    return first_filled(values, names)


def _closed_on(order: RecordHistory, fields: SubscriptionFields, started_on: date, day_of: DayOf) -> date | None:
    """Return the first day on which the order no longer held because it was deactivated or deleted, or None."""
    inactive_at = order.since(lambda values: not _is_active(values, fields), fields.status)
    closings = [at for at in (inactive_at, order.deleted_at()) if at is not None]
    return max(started_on, day_of(min(closings))) if closings else None


def _pauses(order: RecordHistory, fields: SubscriptionFields, day_of: DayOf, unclear: list[str]) -> tuple[Pause, ...]:
    """Return all pauses, ascending, as the history of the two fields tells them."""
    pauses: list[Pause] = []
    problem: str | None = None
    for moment in order.timeline((*fields.paused_from, *fields.paused_until)):
        told = [first_filled(moment.values, names) for names in (fields.paused_from, fields.paused_until)]
        try:
            first, last = (date_in(value, day_of) if value else None for value in told)
        except Unclear as no_date:
            problem = str(no_date)
            continue
        problem = _pause_problem(first, last, fields)
        if problem is None:
            new = Pause(start_on=first, end_on=day_after(last) if last else None) if first else None
            pauses = _with_pause(pauses, new, day_of(moment.effective_at))
    if problem:
        unclear.append(problem)
    return tuple(sorted(pauses, key=lambda pause: pause.start_on))


def _pause_problem(first: date | None, last: date | None, fields: SubscriptionFields) -> str | None:
    if last and not first:
        return f"has a pause that ends but does not begin: fill {fields.paused_from[0]}"
    if first and last and last < first:
        return f"has a pause that ends on {last}, before it begins on {first}"
    return None


def _with_pause(pauses: list[Pause], new: Pause | None, changed_on: date) -> list[Pause]:
    """Return `pauses` up to the day of the change, and the new one; it replaces those that it overlaps."""
    kept = []
    for pause in pauses:
        if new is not None and _overlap(pause, new):
            continue
        if pause.end_on is not None and pause.end_on <= changed_on:
            kept.append(pause)
        elif pause.start_on < changed_on:
            kept.append(Pause(start_on=pause.start_on, end_on=changed_on))
    return [*kept, *([new] if new else [])]


def _overlap(one: Pause, other: Pause) -> bool:
    return (other.end_on is None or one.start_on < other.end_on) and (one.end_on is None or other.start_on < one.end_on)
