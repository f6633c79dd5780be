"""On which invoice a correction goes: the customer's next one, or one of its own at once.

Place     periods to look at again, once all that came with them is known -> [this] -> due.
Rule      it rides on the payer's next invoice of the same seller, currency and cost centre; where none is to come, or
          the setting says `at_once`, it is billed at once, on a document made for the time at which it became known.
Threshold what the running statements of a subscription hold beyond what was billed of them is billed at once when it
          reaches the subscription's `billing_threshold_minor`; below it nothing happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fakturo.consumers.invoicing import contracts_store, corrections_store, progressive_store
from fakturo.consumers.invoicing.changes import payer_of
from fakturo.consumers.invoicing.corrections_store import CorrectionRow
from fakturo.consumers.invoicing.groups import ItemRow
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.schedule import version_at
from fakturo.schemas.events.contracts import AccountChanged

CORRECTIONS_MAX = 1000
"""How many corrections one transaction assigns."""

NextDue = Mapping[tuple[str, str, str, str], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Assigns corrections; `at_once` is the setting, `grace` how long after its instant an invoice is made."""

    at_once: bool
    grace: timedelta

    async def assign(self, before: datetime, tx: Transaction) -> bool:
        """Assign some of what became known before `before`; return whether there was any."""
        rows = await corrections_store.unassigned(tx.driver, before, CORRECTIONS_MAX)
        if not rows:
            return False
        below = await _below_threshold(rows, tx)
        await corrections_store.drop(tx.driver, ((row.item, row.period.start_at) for row in below))
        await self._assign([row for row in rows if row not in below], tx)
        return True

    async def _assign(self, rows: Sequence[CorrectionRow], tx: Transaction) -> None:
        items = await contracts_store.find_items(tx.driver, (row.item for row in rows))
        accounts = await contracts_store.find_accounts(tx.driver, (item.account_id for item in items.values()))
        payers = {
            row.item: payer_of(accounts[items[row.item].account_id], row.known_at)
            for row in rows
            if row.item in items and items[row.item].account_id in accounts
        }
        due = await contracts_store.next_due(tx.driver, payers.values())
        parents = await contracts_store.find_accounts(tx.driver, payers.values())
        gone = [row for row in rows if row.item not in payers]
        await corrections_store.drop(tx.driver, ((row.item, row.period.start_at) for row in gone))
        assigned = []
        for row in rows:
            if row.item in payers:
                payer_id = payers[row.item]
                next_at = _next_at(items[row.item], payer_id, parents.get(payer_id), due)
                assigned.append(self._assigned(row, payer_id, next_at))
        await corrections_store.assign(tx.driver, assigned)

    def _assigned(self, row: CorrectionRow, payer_id: str, next_at: datetime | None) -> CorrectionRow:
        if next_at is None or row.at_once or self.at_once:
            return replace(row, payer_id=payer_id, due_at=row.known_at, ready_at=row.known_at)
        return replace(row, payer_id=payer_id, due_at=next_at, ready_at=next_at + self.grace)


def _next_at(item: ItemRow, payer_id: str, payer: AccountChanged | None, due: NextDue) -> datetime | None:
    """Return when the payer's next invoice falls due that the item's correction can be on."""
    dates = []
    for (found_id, currency, seller_code, cost_centre), due_at in due.items():
        if (found_id, currency, seller_code) != (payer_id, item.currency, item.seller_code):
            continue
        is_split = payer is not None and version_at(payer.versions, due_at).split_by_cost_centre
        if not is_split or cost_centre == (item.item.cost_centre or ""):
            dates.append(due_at)
    return min(dates, default=None)


async def _below_threshold(rows: Sequence[CorrectionRow], tx: Transaction) -> list[CorrectionRow]:
    """Return the running ones whose subscription has not reached its threshold."""
    running = [row for row in rows if row.running]
    if not running:
        return []
    reached = await progressive_store.reached(tx.driver, (row.item for row in running))
    known_at = max(row.known_at for row in running)
    rest = await progressive_store.others(tx.driver, reached) if reached else []
    if rest:  # they are assigned with the next ones: nothing is billed before all are
        others = [
            CorrectionRow(item=item, period=period, known_at=known_at, at_once=True, running=True)
            for item, period in rest
        ]
        await corrections_store.mark(tx.driver, others)
    return [row for row in running if row.item not in reached]
