"""What corrections take out of the totals and put into them, gathered over a part and written at once.

Place     chains -> [this] -> claiming (a replacement is stored like any event), late.Aside, folding -> corrected_store.
Open      counts of a period that is open change the totals at once; those of one that had closed wait for the tick.
Taken out count and sum are subtracted. A greatest, least or last value cannot be: the quarter of an hour is totalled
          again from its events (retotalling.py). Meters and prices that read single events leave out what no longer
          counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec import structs

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import corrected_store, late_store, removal_store, retotalling, store
from fakturo.consumers.usage.accounts import AccountDirectory, AccountMeters, CountingMeter
from fakturo.consumers.usage.claiming import Claims, stored_event
from fakturo.consumers.usage.corrected_reading import Correction
from fakturo.consumers.usage.corrected_store import CorrectionRow
from fakturo.consumers.usage.event_store import Identity, StoredEvent
from fakturo.consumers.usage.folding import Count, Fold
from fakturo.consumers.usage.late import BEFORE_ALL_TICKS, put_aside
from fakturo.consumers.usage.late_store import Quarter
from fakturo.consumers.usage.matching import Counted, match, split_late
from fakturo.consumers.usage.partitions import ensure_partitions, month_of
from fakturo.consumers.usage.reading import UsageEvent
from fakturo.consumers.usage.removal_store import Removal
from fakturo.consumers.usage.retention import Retention
from fakturo.consumers.usage.time_rules import TimeRules
from fakturo.engine.meters import Aggregation, quarter_hour
from fakturo.engine.money import exact_context

_NOT_SUBTRACTED = frozenset({Aggregation.MAX, Aggregation.MIN, Aggregation.LAST})


@dataclass(frozen=True, slots=True)
class Bound:
    """A correction that took effect; `stored` is its replacement as it is stored."""

    stored: StoredEvent | None


@dataclass(slots=True)
class Exchange:
    """Gathers what corrections change; `write` writes it."""

    directory: AccountDirectory
    time_rules: TimeRules
    retention: Retention
    added: list[Counted] = field(default_factory=list)
    stored: list[Counted] = field(default_factory=list)
    rows: list[CorrectionRow] = field(default_factory=list)
    superseded: list[tuple[StoredEvent, datetime]] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    late_removals: list[tuple[datetime, Removal]] = field(default_factory=list)
    retotalled: set[Quarter] = field(default_factory=set)
    retotalled_later: set[tuple[datetime, Quarter]] = field(default_factory=set)

    def bind(
        self, one: Correction, root: Identity, known_at: datetime | None, *, removed: StoredEvent | None, stands: bool
    ) -> Bound | None:
        """Exchange `removed` for the replacement of `one`, if it `stands`; return None if no meter counts that.

        Raises:
            MeterError: a meter finds no number in the replacement.
        """
        counted = self._match(one, known_at)
        if counted is None and one.replacement is not None:
            return None
        self.rows.append(CorrectionRow(one, root, known_at or BEFORE_ALL_TICKS))
        stored = None if counted is None else stored_event(counted)
        if counted is not None and stored is not None:
            self.stored.append(counted)
            if stands:
                self.added.append(counted)
            else:  # a greater correction came before it: it never counts
                self.superseded.append((stored, BEFORE_ALL_TICKS))
        if removed is not None:
            self._remove(removed, one, known_at)
        return Bound(stored)

    def time_problem(self, replacement: UsageEvent) -> str | None:
        """Return what is wrong with the time of a replacement, as of any event that came with the correction."""
        account = self.directory.get(replacement.subject)
        too_old = self.retention.too_old(replacement.at, replacement.record.watermark_at)
        return too_old if too_old or account is None else self.time_rules.problem(replacement, account)

    def _match(self, one: Correction, known_at: datetime | None) -> Counted | None:
        if one.replacement is None:
            return None
        account = self.directory.get(one.replacement.subject)
        if account is None:
            return None
        record = structs.replace(one.record, watermark_at=known_at)
        return match(structs.replace(one.replacement, record=record), account, self.time_rules.open_periods)

    def _remove(self, event: StoredEvent, one: Correction, known_at: datetime | None) -> None:
        self.superseded.append((event, known_at or BEFORE_ALL_TICKS))
        account = self.directory.get(event.account_id)
        if account is None:
            return  # it has no meters left, and totals are taken anew where it gets some
        open_periods = self.time_rules.open_periods
        open_counts, late_counts = split_late(_counts(event, account), event.at, known_at, account, open_periods)
        start_at, recorded_at = quarter_hour(event.at), one.record.recorded_at
        whole = {meter.meter_id for meter in account.by_type.get(event.type, ()) if _is_retotalled(meter)}
        for count in open_counts:
            removal = Removal(account.account_id, count, start_at, recorded_at)
            self.removals.append(removal)
            if count[0] in whole:
                self.retotalled.add(removal.quarter)
        for count in late_counts:
            removal, later_at = Removal(account.account_id, count, start_at, recorded_at), known_at or BEFORE_ALL_TICKS
            self.late_removals.append((later_at, removal))
            if count[0] in whole:
                self.retotalled_later.add((later_at, removal.quarter))

    async def write(self, tx: Transaction) -> None:
        """Write what was gathered: events, corrections, what waits for a tick, totals, marks, in this order."""
        if not self.rows:
            return
        await ensure_partitions(tx.driver, sorted({month_of(one.event.at) for one in self.stored}))
        await Claims().claim(self.stored, tx)
        raw = [one for one in self.stored if one.raw]
        if raw:
            await store.note_for_rating(tx.driver, raw)
        await corrected_store.save_corrections(tx.driver, self.rows)
        await corrected_store.save_superseded(tx.driver, self.superseded)
        await put_aside(self.added, tx)
        await removal_store.put_aside(tx.driver, self.late_removals)
        await removal_store.retotal_later(tx.driver, sorted(self.retotalled_later))
        await self._change_totals(tx)

    async def _change_totals(self, tx: Transaction) -> None:
        fold = Fold()
        with exact_context():
            for one in self.added:
                fold.add(one.account_id, one.counts, one.event.at, one.event.record.recorded_at)
        if fold.folded:
            await ensure_partitions(tx.driver, fold.months())
            await store.add_rollups(tx.driver, fold.columns())
        await removal_store.subtract(tx.driver, self.removals)
        quarters = sorted({removal.quarter for removal in self.removals})
        await late_store.forget_empty(tx.driver, quarters)
        await retotalling.at_once(sorted(self.retotalled), tx)
        marks = late_store.earliest([*fold.marks(), *quarters])
        await late_store.forget_problems(tx.driver, marks)
        if marks:
            await store.mark_changed(tx.driver, marks)


def _is_retotalled(meter: CountingMeter) -> bool:
    return meter.meter.aggregation in _NOT_SUBTRACTED


def _counts(event: StoredEvent, account: AccountMeters) -> Sequence[Count]:
    """Return what `event` counts for now; nothing where a meter cannot read it, which is how it was counted."""
    data = msgspec.json.decode(event.data)
    found = (meter.count_stored(event.type, data) for meter in account.by_type.get(event.type, ()))
    return [count for count in found if count is not None]
