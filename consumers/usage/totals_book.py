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

from dataclasses import dataclass, field

import asyncpg

from fakturo.consumers.usage import store
from fakturo.consumers.usage.folding import Folded, RollupColumns, RollupKey, marks_of

COPY_TOTALS_MIN = 500
"""A copy of its own pays from so many on: it takes a savepoint."""
MERGED_BATCHES = 8
"""After a copy that was refused, so many batches have accounts that are not known yet merged: they come in runs."""
JUMP_QUARTERS = 96
"""A batch that ends more than a day before the one before it is where it goes on: earlier usage is brought in."""
ACCOUNTS_MAX = 100_000
_NO_QUARTER = 1 << 40
"""Later than any."""

Totals = list[tuple[RollupKey, Folded]]


@dataclass(slots=True)
class TotalsBook:
    """Writes totals and marks what has changed."""

    newest: dict[str, int] = field(default_factory=dict)
    """The newest quarter of an hour that this worker wrote of each account."""
    merges_unknown: int = 0

    async def add(self, driver: asyncpg.Connection, columns: RollupColumns) -> None:
        """Add totals to what is there, and mark what has changed for a statement."""
        new, others = self._parted(columns)
        if len(new) >= COPY_TOTALS_MIN and await self._copy(driver, RollupColumns(new)):
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

    def _parted(self, columns: RollupColumns) -> tuple[Totals, Totals]:
        """Return the totals that are likely to be new, and the others, both sorted as they were."""
        new: Totals = []
        others: Totals = []
        newest_of = self.newest.get
        unknown = _NO_QUARTER if self.merges_unknown else -_NO_QUARTER
        self.merges_unknown = max(self.merges_unknown - 1, 0)
        for row in columns.rows:
            account_id, _, quarter, _ = row[0]
            (new if quarter > newest_of(account_id, unknown) else others).append(row)
        return new, others

    def _remember(self, columns: RollupColumns) -> None:
        newest = self.newest
        if len(newest) > ACCOUNTS_MAX:
            newest.clear()
        written: dict[str, int] = {}
        for (account_id, _, quarter, _), _ in columns.rows:
            if quarter >= written.get(account_id, quarter):
                written[account_id] = quarter
        for account_id, quarter in written.items():
            known = newest.get(account_id, quarter)
            if quarter >= known or known - quarter > JUMP_QUARTERS:
                newest[account_id] = quarter
