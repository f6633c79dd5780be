"""The `usage` agent: the fast path of a batch, and what the contracts, time and the interim timer ask for.

Place     runner -> processor -> [this] -> sort_out, claim, fold -> store; projection; statements -> billing.rated.
Batch     1. contracts, if any, alone under their lock: accounts, meters, items; what they release is counted as if it
             had just come. 2. usage: read, match, claim identities, store, put aside what is late, total by quarter
             hour, mark for a statement.
          Every step is one pass over the batch or one statement, so the cost of an event does not grow with history.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, corrected, late, rerate, store
from fakturo.consumers.usage.accounts import AccountDirectory
from fakturo.consumers.usage.claiming import Claims, Waiting, read_all, sort_out
from fakturo.consumers.usage.compaction import Compaction
from fakturo.consumers.usage.corrected import Corrections
from fakturo.consumers.usage.folding import Fold
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.matching import Counted
from fakturo.consumers.usage.projection import Change, Projection, read_contracts
from fakturo.consumers.usage.reading import Reader
from fakturo.consumers.usage.retention import Retention
from fakturo.consumers.usage.statements import Statements
from fakturo.consumers.usage.time_rules import TimeRules
from fakturo.consumers.usage.totals_book import TotalsBook
from fakturo.engine.money import exact_context
from fakturo.schemas.topics import USAGE

RELEASE_RECORDS = 10_000
"""How many parked records are taken out at a time."""


class UsageAgent:
    """Usage in, statements out."""

    name = "usage"

    def __init__(self, settings: Settings) -> None:
        self._directory = AccountDirectory()
        self._retention = Retention(settings.usage_retention_months)
        self._open_periods = OpenPeriods(settings.grace_seconds)
        self._claims = Claims()
        self._totals = TotalsBook()
        self._compaction = Compaction()
        self._reader = Reader()
        self._time_rules = TimeRules(self._open_periods, timedelta(seconds=settings.usage_ahead_seconds_max))
        self._corrections = Corrections(self._time_rules, self._retention)
        self._projection = Projection(billing_until=settings.billing_until, open_periods=self._open_periods)
        self._statements = Statements(
            grace_seconds=settings.grace_seconds,
            billing_until=settings.billing_until,
            rest_seconds=min(settings.statement_rest_seconds, settings.interim_seconds),
        )

    def read_ahead(self, records: Sequence[Record]) -> None:
        """Read usage that `handle` will be given, while the database works on what came before."""
        self._reader.read_ahead(record for record in records if record.topic == USAGE.name)

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Count the usage of `batch` once; reject what is bad, park what waits for a contract."""
        contracts = [record for record in batch if record.topic != USAGE.name]
        usage = [record for record in batch if record.topic == USAGE.name] if contracts else batch
        changes = read_contracts(contracts, tx)
        if changes:
            await self._handle_with_contracts(changes, usage, tx)
        elif usage:
            await account_store.lock_contracts(tx.driver, alone=False)
            await self._directory.refresh(tx.driver)
            await tx.park(await self._count(usage, self._directory, tx))

    async def next_stop(self, after: datetime | None, to: datetime, tx: Transaction) -> datetime | None:
        """Apply a part of the corrections that came, or return up to where the next tick knows nothing new."""
        if await self._corrections.apply(tx, at_tick=True):
            return None  # what is corrected counts before anything is stated
        return await late.next_stop(after, to, tx)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Publish final statements of a part of what is over, or to be rated again; return whether more remain."""
        if await rerate.apply(to, self._open_periods, tx):
            return True  # by itself: it holds the contracts alone
        if await late.apply(to, tx) or await corrected.retotal(to, tx):
            return True
        more = await self._statements.finalize(to, tx)
        more = await self._statements.revise(to, tx) or more
        if not more:
            await self._retention.advance(to, tx)
        return more

    async def flush(self, tx: Transaction) -> None:
        """Apply corrections that came; publish running statements of a part of what changed; merge small segments."""
        await self._corrections.apply(tx, at_tick=False)
        await self._statements.publish_running(tx)
        await self._compaction.run(tx.driver)

    async def _handle_with_contracts(self, changes: Sequence[Change], usage: Sequence[Record], tx: Transaction) -> None:
        await account_store.lock_contracts(tx.driver, alone=True)
        references = await self._projection.apply(changes, tx)
        directory = AccountDirectory()  # of this transaction: nothing of it may stay if it is rolled back
        if references:
            await self._release(references, directory, tx)
        if usage:
            await tx.park(await self._count(usage, directory, tx))

    async def _release(self, references: Sequence[str], directory: AccountDirectory, tx: Transaction) -> None:
        """Count what waited for `references`, a part at a time; what waits for more is parked again with its part."""
        last: Record | None = None
        while released := await tx.release_parked(references, RELEASE_RECORDS, after=last):
            again = await self._count(released, directory, tx)
            tx.count(USAGE.name, "released", len(released) - len(again))
            tx.count(USAGE.name, "parked", -len(again))  # they were parked before: `park` counts them once more
            await tx.park(again)
            last = released[-1]

    async def _count(self, records: Sequence[Record], directory: AccountDirectory, tx: Transaction) -> list[Waiting]:
        """Count `records`; return those that wait for a contract."""
        found = read_all(records, self._reader, tx)
        result = await sort_out(found.events, directory, self._time_rules, self._retention, tx)
        if found.requests:
            await rerate.take(found.requests, tx)
        fresh = await self._claims.claim(result.counted, tx)
        raw = [one for one in fresh if one.raw]
        if raw:
            await store.note_for_rating(tx.driver, raw)
        came_late = [one for one in fresh if one.late_counts]
        if came_late:
            tx.count(USAGE.name, "late", len(came_late))
            await late.put_aside(came_late, tx)
        fold = _fold(fresh)
        if fold.folded:
            await self._totals.add(tx.driver, fold.columns())
        return found.waiting + result.waiting


def _fold(counted: Sequence[Counted]) -> Fold:
    fold = Fold()
    with exact_context():
        for one in counted:
            if one.counts:
                fold.add(one.account_id, one.counts, one.event.at, one.event.record.recorded_at)
    return fold
