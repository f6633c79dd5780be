"""Adds the totals of one worker's batches: those of new quarters are copied in, the others merged with what is there.

Place     handler -> [this] -> store -> Postgres `usage.rollup`, `usage.dirty`.
New       usage comes in the order of time, more or less: of an account, what is later than all that this worker has
          written of it is most likely not in the book. It is copied at once, under a savepoint, for half of what a
          merge takes. Where one is in the book all the same (another worker wrote it, or this one before it was
          started) the key refuses the copy, and all is merged. What is remembered makes it fast, never right or wrong.
Locks     the merge and the copy each go by the key, one after the other. The workers' accounts are different ones, as
          their partitions are; of accounts that come under two names, in two partitions, two workers can wait for each
          other in a ring, where each copies what the other merges. Postgres ends it, and the runtime repeats the batch.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

import asyncpg

from fakturo.consumers.usage import store
from fakturo.consumers.usage.folding import Folded, MeterTotals, QuarterKey, RollupColumns, marks_of

COPY_TOTALS_MIN = 500
"""A copy of its own pays from so many on: it takes a savepoint."""
MERGED_BATCHES = 8
"""After a copy that was refused, so many batches have accounts that are not known yet merged: they come in runs."""
ACCOUNTS_MAX = 100_000


@dataclass(slots=True)
class TotalsBook:
    """Writes totals and marks what has changed."""

    newest: dict[str, int] = field(default_factory=dict)
    """The newest quarter of an hour that this worker wrote of each account."""
    merges_unknown: int = 0

    async def add(self, driver: asyncpg.Connection, columns: RollupColumns) -> None:
        """Add totals to what is there, and mark what has changed for a statement."""
        new, others = self._parted(columns)
        if sum(len(one.totals) for one in new) >= COPY_TOTALS_MIN and await self._copy(driver, RollupColumns(new)):
            if others:
                await store.add_rollups(driver, RollupColumns(others))
            await store.mark_changed(driver, marks_of(columns))
        else:
            await store.add_rollups(driver, columns, mark=True)
        self._remember(columns)

    async def _copy(self, driver: asyncpg.Connection, columns: RollupColumns) -> bool:
        """Copy totals; return False where one of them is in the book, and nothing is copied."""
        try:
            async with driver.transaction():
                await store.copy_rollups(driver, columns)
        except asyncpg.UniqueViolationError:
            self.newest.clear()
            self.merges_unknown = MERGED_BATCHES
            return False
        return True

    def _parted(self, columns: RollupColumns) -> tuple[list[MeterTotals], list[MeterTotals]]:
        """Return the totals that are likely to be new, and the others, both sorted as they were."""
        new: list[MeterTotals] = []
        others: list[MeterTotals] = []
        unknown = others if self.merges_unknown else new
        self.merges_unknown = max(self.merges_unknown - 1, 0)
        for one in columns.meters:
            newest = self.newest.get(one.account_id)
            if newest is None:
                unknown.append(one)
            elif one.first_quarter > newest:
                new.append(one)
            elif one.last_quarter <= newest:
                others.append(one)
            else:
                at = bisect_right(one.totals, newest, key=_quarter)
                others.append(one._replace(totals=one.totals[:at]))
                new.append(one._replace(totals=one.totals[at:]))
        return new, others

    def _remember(self, columns: RollupColumns) -> None:
        if len(self.newest) > ACCOUNTS_MAX:
            self.newest.clear()
        for one in columns.meters:
            self.newest[one.account_id] = max(one.last_quarter, self.newest.get(one.account_id, one.last_quarter))


def _quarter(one: tuple[QuarterKey, Folded]) -> int:
    return one[0][0]
