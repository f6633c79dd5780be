"""Statements: what an item used and owes so far in its period, and, once time has passed it, for good.

Place     `advance` and `flush` of the handler -> [this] -> rating.py -> statement_store, `billing.rated`.
Final     an item is due when its period's end plus grace lies behind; it gets one final statement a period, at zero
          usage too, and its pointer moves on. Periods behind (a backdated contract) are worked off oldest first.
Bounded   so many items a call: `advance` says whether more remain, `flush` leaves the rest marked for the next time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256

import structlog

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, statement_store
from fakturo.consumers.usage.rating import Rateable, Rated, rate_item, slice_ranges
from fakturo.consumers.usage.statement_store import DueItem, StatementRow
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import local_date
from fakturo.engine.schedule import next_item_period, zone_at
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.usage import USAGE_RATED, UsageRated
from fakturo.schemas.topics import RATED

FINAL_ITEMS_MAX = 200
RUNNING_ITEMS_MAX = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Makes statements; `grace_seconds` is how long after its end a period stays open."""

    grace_seconds: int
    billing_until: date | None

    async def finalize(self, to: datetime, tx: Transaction) -> bool:
        """Publish the final statements of up to `FINAL_ITEMS_MAX` items that are due at `to`; return if more remain."""
        await _lock(tx)
        closed_at = to - timedelta(seconds=self.grace_seconds)
        due = await statement_store.due_items(tx.driver, closed_at, to, FINAL_ITEMS_MAX)
        rateable, broken = _sliced(due)
        rated, failed = await _rate(rateable, tx, final=True)
        await statement_store.save_problems(tx.driver, _problems([*broken, *failed]))
        ends = [self._moved(statement.source) for statement in rated]
        await statement_store.move_pointers(tx.driver, ends)
        await _publish(rated, tx)
        return len(due) == FINAL_ITEMS_MAX or any(end_at is not None and end_at <= closed_at for *_, end_at in ends)

    async def publish_running(self, tx: Transaction) -> None:
        """Publish the running statements of up to `RUNNING_ITEMS_MAX` items whose totals changed."""
        await _lock(tx)
        rateable, _ = _sliced(await statement_store.take_dirty_items(tx.driver, RUNNING_ITEMS_MAX))
        rated, _ = await _rate(rateable, tx, final=False)
        # Events that ran ahead of the period mark its item too, and change nothing: an event is said once.
        said = await statement_store.said_items(tx.driver, [one.statement for one in rated])
        await _publish([one for one in rated if one.statement.subscription_item not in said], tx)

    def _moved(self, due: DueItem) -> tuple[str, datetime, datetime | None, datetime | None]:
        """Return the item, where its finalized periods end, and its next period's start and end."""
        period = next_item_period(due.item, due.versions, due.period.end_at, self.billing_until)
        start_at, end_at = (period.start_at, period.end_at) if period else (None, None)
        return due.subscription_item, due.period.end_at, start_at, end_at


async def _lock(tx: Transaction) -> None:
    """Be alone with the statements, while no contract changes."""
    await statement_store.lock_statements(tx.driver)
    await account_store.lock_contracts(tx.driver, alone=False)


def _sliced(due: Sequence[DueItem]) -> tuple[list[Rateable], list[tuple[DueItem, PriceError]]]:
    """Return the items cut at price and plan changes, and those whose prices cannot be read."""
    rateable, broken = [], []
    for one in due:
        try:
            rateable.append(Rateable.of(one))
        except PriceError as error:
            broken.append((one, error))
    return rateable, broken


async def _rate(
    items: Sequence[Rateable], tx: Transaction, *, final: bool
) -> tuple[list[Rated], list[tuple[DueItem, PriceError]]]:
    """Return the statements of `items` from the committed totals, and the items that cannot be rated."""
    totals = await statement_store.totals_of(tx.driver, [one for item in items for one in slice_ranges(item)])
    rated: list[Rated] = []
    failed: list[tuple[DueItem, PriceError]] = []
    position = 0
    for item in items:
        end = position + len(item.slices)
        try:
            rated.append(rate_item(item, totals[position:end], final=final))
        except PriceError as error:
            failed.append((item.due, error))
        position = end
    return rated, failed


def _problems(failed: Sequence[tuple[DueItem, PriceError]]) -> list[tuple[str, str]]:
    """Return (item, sentence): the item waits for a new contract, the others go on without it."""
    for due, error in failed:
        log.error("item cannot be rated", item=due.subscription_item, account=due.account_id, reason=error.message)
    return [(due.subscription_item, f"{error.message} ({error.code})") for due, error in failed]


async def _publish(rated: Sequence[Rated], tx: Transaction) -> None:
    rows = [StatementRow(one.statement, one.source.item.product_name, one.source.item.unit) for one in rated]
    await statement_store.save_statements(tx.driver, rows)
    for one in rated:
        data, start_on = one.statement, _start_on(one)
        key = f"{data.account}/item/{data.subscription_item}/{start_on}"
        event = event_of(
            agent=tx.agent,
            event_type=USAGE_RATED,
            id=f"{data.subscription_item}/{start_on}/{'final' if data.final else _fingerprint(data)}",
            subject=data.account,
            time=data.as_of,
            data=data,
            recorded_at=data.recorded_at,
        )
        tx.emit(RATED, event, account=data.account, key=key)


def _start_on(rated: Rated) -> date:
    start_at = rated.source.period.start_at
    return local_date(start_at, zone_at(rated.source.versions, start_at))


def _fingerprint(data: UsageRated) -> str:
    return sha256(encode(data)).hexdigest()[:16]
