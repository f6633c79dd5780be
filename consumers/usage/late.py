"""Late usage: put aside when it comes, added to the totals at the next tick, its stated periods rated again.

Place     handler: claiming -> [put_aside] -> late_store; before a tick -> [next_stop]; `advance` -> [apply] ->
          `usage.rollup`, `usage.revision_due` -> statements.revise -> the next revision -> invoicing's correction.
Why aside a statement made at a tick holds what was known before that tick, and nothing that another worker had read
          already: two runs of one history publish the same revisions. Totals that are put aside are additive like all
          others, so a million late events are some thousand rows, and applying them is one statement a part.
Bounded   `LATE_TOTALS_MAX` totals a call; the periods are rated when the last of them is in, once.
Unstated  a late event of a period that no item was stated for (before its service began, or of a contract that came
          later still) is in the totals, and there is nothing to revise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, late_store, statement_store, store
from fakturo.consumers.usage.folding import Count, Fold
from fakturo.consumers.usage.matching import Counted
from fakturo.consumers.usage.partitions import ensure_partitions
from fakturo.engine.money import exact_context

LATE_TOTALS_MAX = 10_000
"""How many totals are applied in one call of `advance`."""

BEFORE_ALL_TICKS = datetime(1, 1, 1, tzinfo=UTC)
"""The watermark of what came before the first tick."""


@dataclass(slots=True)
class Aside:
    """Totals that wait for a tick, by what time had reached where they came from."""

    folds: dict[datetime, Fold] = field(default_factory=dict)

    def add(
        self,
        watermark_at: datetime | None,
        account_id: str,
        counts: Iterable[Count],
        at: datetime,
        recorded_at: datetime,
    ) -> None:
        """Put the counts of one event aside; the caller holds the engine's exact arithmetic."""
        fold = self.folds.setdefault(watermark_at or BEFORE_ALL_TICKS, Fold())
        fold.add(account_id, counts, at, recorded_at)

    async def save(self, tx: Transaction) -> None:
        """Write what was put aside, in the order of the table's key."""
        months = sorted({month for fold in self.folds.values() for month in fold.months()})
        await ensure_partitions(tx.driver, months)
        for known_at in sorted(self.folds):
            await late_store.put_aside(tx.driver, known_at, self.folds[known_at].columns())


async def put_aside(counted: Sequence[Counted], tx: Transaction) -> None:
    """Put the late counts of `counted` aside."""
    late = [one for one in counted if one.late_counts]
    if not late:
        return
    aside = Aside()
    with exact_context():
        for one in late:
            event = one.event
            aside.add(event.record.watermark_at, one.account_id, one.late_counts, event.at, event.record.recorded_at)
    await aside.save(tx)


async def apply(to: datetime, tx: Transaction) -> bool:
    """Add a part of what was known before `to` to the totals; return whether more remain."""
    await statement_store.lock_statements(tx.driver)
    await account_store.lock_contracts(tx.driver, alone=False)
    touched = await late_store.merge(tx.driver, to, LATE_TOTALS_MAX)
    await revise_stated(touched.quarters, tx)
    return touched.total_count == LATE_TOTALS_MAX


async def next_stop(after: datetime | None, to: datetime, tx: Transaction) -> datetime:
    """Return up to where nothing late or corrected came since `after`, at most `to`.

    A tick there states what was over by then without what came after it, and the next one begins with that: so a jump
    over many ticks states, revises and passes on what those ticks would have one by one.
    """
    known_at = await late_store.next_known_at(tx.driver, after or BEFORE_ALL_TICKS, to)
    return to if known_at is None else known_at


async def revise_stated(quarters: Sequence[late_store.Quarter], tx: Transaction) -> None:
    """Have the stated periods that hold `quarters` rated again, and the running statements said again."""
    if quarters:
        marks = late_store.earliest(quarters)
        await late_store.forget_problems(tx.driver, marks)
        await late_store.queue_revisions(tx.driver, quarters)
        await store.mark_changed(tx.driver, marks)
