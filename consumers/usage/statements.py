"""Statements: what an item used and owes so far in its period, and, once time has passed it, for good.

Place     `advance` and `flush` of the handler -> [this] -> rating.py -> statement_store, `billing.rated`.
Final     an item is due when its period's end plus grace lies behind; it gets one final statement a period, at zero
          usage too, and its pointer moves on. Periods behind (a backdated contract) are worked off oldest first.
Revised   a period whose contract changed after its final statement is rated again (revisions.py) and, where that
          differs, stated anew as the next revision.
Running   made of the items whose totals changed, the oldest mark first; each rests between two of them, the longer the
          more events have to be read again. Alone with its items by their rows' locks: the final statement of a period
          waits for a running one that is being made, and one that is locked gets its next period's instead.
Bounded   so many items a call, and so many raw events: `advance` says whether more remain, `flush` leaves the rest
          marked for the next time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice

import structlog
from msgspec import Raw, structs

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, alerts, revision_store, running_store, statement_store, store
from fakturo.consumers.usage.event_usage import Known, usage_from_events
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.rating import Rated, Used, newest_of, rate_item, used_of
from fakturo.consumers.usage.revision_store import FinalStatement
from fakturo.consumers.usage.revisions import final_of
from fakturo.consumers.usage.running import rate_running
from fakturo.consumers.usage.running_items import Failed, RunningItems
from fakturo.consumers.usage.running_store import Pair
from fakturo.consumers.usage.statement_store import StatementRow
from fakturo.consumers.usage.totals import SliceRange, SliceTotal, totals_of
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import local_date
from fakturo.engine.schedule import next_item_period, zone_at
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.usage import USAGE_RATED
from fakturo.schemas.topics import RATED

FINAL_ITEMS_MAX = 200
RUNNING_MARKS_MAX = 1000
REVISED_PERIODS_MAX = 200
EVENTS_MAX = 200_000
"""How many raw events are read in one call, beyond those of its first item."""
EVENTS_A_SECOND = 10_000
"""Items of one meter that are rated from its events rest a second for so many of them that were read."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Work:
    """What came of some items: rated, failed with why, or left for the next time."""

    rated: list[tuple[Rateable, Rated]] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    postponed: list[DueItem] = field(default_factory=list)
    event_counts: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Makes statements.

    `grace_seconds` is how long after its end a period stays open, `rest_seconds` how long an item rests between two
    running statements. Usage of a busy item comes right after its statement as often as right before the next one: so
    that nearly all of it is in a published statement within a second, an item rests half a second, not a whole one.
    """

    grace_seconds: int
    billing_until: date | None
    rest_seconds: float = 0.0
    running_items: RunningItems = field(default_factory=RunningItems)

    async def finalize(self, to: datetime, tx: Transaction) -> bool:
        """Publish the final statements of up to `FINAL_ITEMS_MAX` items that are due at `to`; return if more remain."""
        await _lock(tx)
        closed_at = to - timedelta(seconds=self.grace_seconds)
        due = await statement_store.due_items(tx.driver, closed_at, to, FINAL_ITEMS_MAX)
        work = await _rate(*_rateable(due), tx, tick_at=to)
        await statement_store.save_problems(tx.driver, _problems(work.failed))
        ends = [self._moved(rated.source) for _, rated in work.rated]
        await statement_store.move_pointers(tx.driver, ends)
        finals = [final_of(item, rated.statement) for item, rated in work.rated]
        await revision_store.save_finals(tx.driver, finals)
        published = [rated for _, rated in work.rated]
        await alerts.tell(published, tx)
        await _publish([_row(one) for one in published], tx)
        more = len(due) == FINAL_ITEMS_MAX or bool(work.postponed)
        return more or any(end_at is not None and end_at <= closed_at for *_, end_at in ends)

    async def revise(self, to: datetime, tx: Transaction) -> bool:
        """Rate up to `REVISED_PERIODS_MAX` periods again and publish what differs; return whether more remain."""
        await _lock(tx)
        due = await revision_store.due_revisions(tx.driver, to, REVISED_PERIODS_MAX)
        work = await _rate(*_rateable(due), tx, tick_at=to)
        await statement_store.save_problems(tx.driver, _problems(work.failed))
        before = await revision_store.finals_of(tx.driver, due)
        published: list[Rated] = []
        kept: list[FinalStatement] = []
        said_again: list[FinalStatement] = []
        for item, rated in work.rated:
            final = final_of(item, rated.statement)
            old = before.get((final.subscription_item, final.period.start_at))
            if old is not None and old.content_hash == final.content_hash:
                said_again.append(replace(final, revision=old.revision))
                continue
            revision = 1 if old is None else old.revision + 1
            kept.append(replace(final, revision=revision))
            published.append(Rated(rated.source, structs.replace(rated.statement, revision=revision)))
        await revision_store.save_signatures(tx.driver, said_again)
        await revision_store.save_finals(tx.driver, kept)
        done = [(item.due.subscription_item, item.due.period.start_at) for item, _ in work.rated]
        await revision_store.unqueue(tx.driver, done)
        await alerts.tell(published, tx, before)
        await _publish([_row(one) for one in published], tx)
        return len(due) == REVISED_PERIODS_MAX or bool(work.postponed)

    async def publish_running(self, tx: Transaction) -> None:
        """Publish the running statements of up to `RUNNING_MARKS_MAX` meters of accounts whose totals changed."""
        await account_store.lock_contracts(tx.driver, alone=False)
        rest = timedelta(seconds=self.rest_seconds)
        pairs, resting_seconds = await running_store.take_marks(tx.driver, RUNNING_MARKS_MAX, rest)
        tx.flush_again_seconds = 0.0 if len(pairs) == RUNNING_MARKS_MAX else resting_seconds
        if pairs:
            await self._publish_running(pairs, tx)

    async def _publish_running(self, pairs: Sequence[Pair], tx: Transaction) -> None:
        work = await _rate(*await self.running_items.of(tx.driver, pairs), tx, tick_at=None)
        await store.mark_dirty(tx.driver, sorted({(one.account_id, one.meter_id) for one in work.postponed}))
        await self._let_rest(work, tx)
        rated = [one for _, one in work.rated]
        await alerts.tell(rated, tx)  # those too that say nothing new: their contract may have a new threshold
        # Events that ran ahead of the period mark its item too, and change nothing: an event is said once.
        rows = [_row(one) for one in rated]
        said = await statement_store.said_items(tx.driver, rows)
        await _publish([row for row in rows if row.statement.subscription_item not in said], tx)

    async def _let_rest(self, work: _Work, tx: Transaction) -> None:
        """Let items whose events were read again rest for as long as reading them takes, many times over."""
        rests = {
            pair: timedelta(seconds=count / EVENTS_A_SECOND)
            for pair, count in work.event_counts.items()
            if self.rest_seconds and count / EVENTS_A_SECOND > self.rest_seconds
        }
        await running_store.let_rest(tx.driver, rests)

    def _moved(self, due: DueItem) -> tuple[str, datetime, datetime | None, datetime | None]:
        """Return the item, where its finalized periods end, and its next period's start and end."""
        period = next_item_period(due.item, due.versions, due.period.end_at, self.billing_until)
        start_at, end_at = (period.start_at, period.end_at) if period else (None, None)
        return due.subscription_item, due.period.end_at, start_at, end_at


async def _lock(tx: Transaction) -> None:
    """Be alone with the statements, while no contract changes."""
    await statement_store.lock_statements(tx.driver)
    await account_store.lock_contracts(tx.driver, alone=False)


async def _rate(
    items: Sequence[Rateable], failed: Sequence[Failed], tx: Transaction, *, tick_at: datetime | None
) -> _Work:
    """Return the statements of `items` from the committed totals, or from the events where totals are not enough.

    They are for good as of the tick at `tick_at`, running ones without.
    Events are read until there are `EVENTS_MAX` of them, at least those of one item; the items behind are postponed.
    """
    work, events = _Work(failed=list(failed)), 0
    ranges = [SliceRange(i.due.account_id, i.due.meter_id, r.start_at, r.end_at) for i in items for r in i.ranges()]
    total = running_store.running_totals if tick_at is None else totals_of
    left = iter(await total(tx.driver, ranges))
    for item in items:
        totals = list(islice(left, len(item.ranges())))
        count = sum(group.rollup.count for total in totals for group in total.groups) if item.rates_events else 0
        if events and events + count > EVENTS_MAX:
            work.postponed.append(item.due)
            continue
        if count:
            pair = item.due.account_id, item.due.meter_id
            work.event_counts[pair] = work.event_counts.get(pair, 0) + count
        events += count
        try:
            used = await _used(item, totals, tx, tick_at)
            work.rated.append(
                (item, rate_running(item, used) if tick_at is None else rate_item(item, used, final=True))
            )
        except PriceError as error:
            work.failed.append((item.due, error))
    return work


def _rateable(due: Sequence[DueItem]) -> tuple[list[Rateable], list[Failed]]:
    """Return the items cut at price and plan changes, and those whose prices cannot be read."""
    items: list[Rateable] = []
    failed: list[Failed] = []
    for one in due:
        try:
            items.append(Rateable.of(one))
        except PriceError as error:
            failed.append((one, error))
    return items, failed


async def _used(item: Rateable, totals: Sequence[SliceTotal], tx: Transaction, tick_at: datetime | None) -> list[Used]:
    """Return what was used in each range of the item; levels are held up to the newest event, in the end to the end."""
    used = [used_of(item.due, total) for total in totals]
    until_at = newest_of(used, item.due.period.start_at) if tick_at is None else None
    position = 0
    for stretch in item.stretches:
        for counted in (stretch.counted, stretch.billed):
            if counted is None:
                continue
            if item.due.meter.needs_events or stretch.part.price.needs_events:
                known = Known(tick_at, until_at, keeps_levels=tick_at is None)
                usage = await usage_from_events(tx.driver, item.due, stretch, counted, known)
                used[position] = used_of(item.due, totals[position], usage)
            position += 1
    return used


def _problems(failed: Sequence[Failed]) -> list[tuple[str, str]]:
    """Return (item, sentence): the item waits for a new contract, the others go on without it."""
    for due, error in failed:
        log.error("item cannot be rated", item=due.subscription_item, account=due.account_id, reason=error.message)
    return [(due.subscription_item, f"{error.message} ({error.code})") for due, error in failed]


def _row(rated: Rated) -> StatementRow:
    """Return a statement as it is kept and published: encoded once."""
    item, content = rated.source.item, encode(rated.statement)
    return StatementRow(
        rated.statement, content, sha256(content).digest(), item.product_name, item.unit, _start_on(rated)
    )


async def _publish(rows: Sequence[StatementRow], tx: Transaction) -> None:
    said = await statement_store.save_statements(tx.driver, rows)
    for row in rows:
        data = row.statement
        event = event_of(
            agent=tx.agent,
            event_type=USAGE_RATED,
            id=f"{data.subscription_item}/{row.start_on}/{_name(row, said.get(data.subscription_item, 0))}",
            subject=data.account,
            time=data.as_of,
            data=Raw(row.content),
            recorded_at=data.recorded_at,
        )
        tx.emit(RATED, event, account=data.account, key=f"{data.account}/item/{data.subscription_item}/{row.start_on}")


def _start_on(rated: Rated) -> date:
    start_at = rated.source.period.start_at
    return local_date(start_at, zone_at(rated.source.versions, start_at))


def _name(row: StatementRow, said_count: int) -> str:
    """Return what names a statement among those of its item and period.

    A running one may say again what an earlier one said (usage was taken back, and more came): the count tells them
    apart, so that nobody takes the newest for a repeat.
    """
    if not row.statement.final:
        return f"{row.content_hash.hex()[:16]}/{said_count}"
    return "final" if row.statement.revision == 1 else f"final/{row.statement.revision}"
