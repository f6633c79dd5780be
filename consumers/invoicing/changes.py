"""What has come takes hold: contracts and revised statements become pointers, and periods to look at again.

Place     news -> [this], in `advance` -> contracts_store, statement_store, corrections_store.
Order     news hold from the first tick after them. Before those of a time take hold, all that fell due by then is
          billed; so a jump over many days gives what daily ticks give, and no worker's speed shows on an invoice.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

import msgspec

from fakturo.consumers.invoicing import contracts_store, corrections_store, news_store, statement_store
from fakturo.consumers.invoicing.contracts_store import Move
from fakturo.consumers.invoicing.corrections_store import CorrectionRow
from fakturo.consumers.invoicing.groups import ItemRow
from fakturo.consumers.invoicing.news_store import News
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.corrections import changed_from
from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period, first_instant
from fakturo.engine.schedule import bill_at, is_one_time, next_item_period, periods_until, version_at
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, Subscription, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated

UNREADABLE = (PriceError, OverflowError, ValueError)
"""What dates and prices that make no sense raise: their item waits, the others go on."""
_ZONES_APART = timedelta(days=1)

_account = msgspec.json.Decoder(AccountChanged)
_subscription = msgspec.json.Decoder(Subscription)
_statement = msgspec.json.Decoder(UsageRated)


class Changes:
    """Applies news; `billing_until` is the date from which no period is opened."""

    def __init__(self, billing_until: date | None) -> None:
        self._billing_until = billing_until

    async def apply(self, news: Sequence[News], tx: Transaction) -> None:
        """Let `news` take hold, in order."""
        touched: set[str] = set()
        for one in news:
            if one.kind == news_store.ACCOUNT:
                account = _account.decode(one.content)
                await contracts_store.save_account(tx.driver, account)
                touched.add(account.account)
            elif one.kind == news_store.SUBSCRIPTION:
                touched.add(await self._change(_subscription.decode(one.content), one, tx))
            elif one.kind == news_store.STATEMENT:
                await self._revise(_statement.decode(one.content), one, tx)
            else:
                await self._watch(_statement.decode(one.content), one, tx)
        if touched:
            items = await contracts_store.lock_items_of(tx.driver, touched)
            await self.move(items, {}, tx)

    async def move(self, items: Sequence[ItemRow], billed_until: Mapping[str, datetime], tx: Transaction) -> None:
        """Point each item to the period that is billed next, after `billed_until` or where it stood."""
        accounts = await contracts_store.find_accounts(tx.driver, (row.account_id for row in items))
        moves = [
            self._move(row, accounts[row.account_id], billed_until.get(row.key, row.billed_until_at))
            for row in items
            if row.account_id in accounts and not row.removed
        ]
        if moves:
            await contracts_store.move_pointers(tx.driver, moves)

    def _move(self, row: ItemRow, account: AccountChanged, until_at: datetime | None) -> Move:
        try:
            period = next_item_period(row.item, account.versions, until_at, self._billing_until)
        except UNREADABLE as error:
            return Move(item=row.key, billed_until_at=until_at, period=None, problem=f"cannot be scheduled: {error}")
        if period is None:
            return Move(item=row.key, billed_until_at=until_at, period=None)
        due_at = bill_at(row.item, period)
        payer_id = payer_of(account, due_at)
        return Move(item=row.key, billed_until_at=until_at, period=period, due_at=due_at, payer_id=payer_id)

    async def _change(self, subscription: Subscription, news: News, tx: Transaction) -> str:
        """Keep a subscription; note the billed periods of what is rated here that may now cost something else."""
        before = await contracts_store.find_items(tx.driver, (item.subscription_item for item in subscription.items))
        await contracts_store.save_subscription(tx.driver, subscription, news.known_at)
        changed: dict[str, datetime] = {}
        earlier: list[SubscriptionItem] = []
        for item in subscription.items:
            known = before.get(item.subscription_item)
            if known is None or item.meter is not None:
                continue  # what a meter counts is rated by `usage`, which revises its statement
            since_on = changed_from(known.item, item)
            if since_on is not None:
                changed[item.subscription_item] = first_instant(since_on, "UTC") - _ZONES_APART
            if item.service_start_on < known.item.service_start_on and not is_one_time(item):
                earlier.append(item)
        billed = await corrections_store.billed_periods(tx.driver, changed) if changed else {}
        rows = [
            CorrectionRow(item=item, period=period, known_at=news.known_at)
            for item, periods in billed.items()
            for period in periods
            if period.end_at > changed[item]
        ]
        rows += await self._passed_over(subscription.account, earlier, news, tx)
        if rows:
            await corrections_store.mark(tx.driver, rows)
        return subscription.account

    async def _passed_over(
        self, account_id: str, items: Sequence[SubscriptionItem], news: News, tx: Transaction
    ) -> list[CorrectionRow]:
        """Return the periods before all that was billed of items whose service began earlier than was known."""
        accounts = await contracts_store.find_accounts(tx.driver, [account_id] if items else [])
        if account_id not in accounts:
            return []
        billed = await corrections_store.first_billed(tx.driver, [item.subscription_item for item in items])
        rows = []
        for item in items:
            first = billed.get(item.subscription_item)
            if first is None:
                continue  # nothing was billed: its pointer begins with the service
            with suppress(*UNREADABLE):  # its pointer says why
                periods = list(_before(item, accounts[account_id].versions, first))
                rows += [
                    CorrectionRow(item=item.subscription_item, period=one, known_at=news.known_at) for one in periods
                ]
        return rows

    async def _revise(self, statement: UsageRated, news: News, tx: Transaction) -> None:
        """Keep a final statement that was said anew, or late; look at its period again where that was billed.

        One that was passed over is billed: the service began earlier than was known.
        """
        await statement_store.save_statements(tx.driver, [(statement, news.recorded_at)])
        name = statement.subscription_item
        period = Period(start_at=statement.period.start, end_at=statement.period.end)
        billed = await corrections_store.billed_periods(tx.driver, [name])
        found = [one for one in billed.get(name, ()) if one.start_at == period.start_at]
        if not found and await corrections_store.passed_over(tx.driver, [(name, period)]):
            found = [period]
        if found:
            rows = [CorrectionRow(item=name, period=one, known_at=news.known_at) for one in found]
            await corrections_store.mark(tx.driver, rows)

    async def _watch(self, statement: UsageRated, news: News, tx: Transaction) -> None:
        """Keep the running statement of a period that is still to be billed; see whether it reaches its threshold."""
        rows = await contracts_store.find_items(tx.driver, [statement.subscription_item])
        row = rows.get(statement.subscription_item)
        if row is None or row.period is None or row.period.start_at != statement.period.start:
            return
        await statement_store.save_running(tx.driver, statement, news.recorded_at)
        period = Period(start_at=statement.period.start, end_at=statement.period.end)
        marked = CorrectionRow(item=row.key, period=period, known_at=news.known_at, at_once=True, running=True)
        await corrections_store.mark(tx.driver, [marked])


def _before(item: SubscriptionItem, versions: Sequence[AccountVersion], first: Period) -> Iterator[Period]:
    """Yield the periods of the item before `first`, from the start of its service on.

    Not what lies before `first` in its own period: that is looked at again, and billed from its new start on.
    """
    for period in periods_until(item, versions, first.start_at):
        if period.end_at != first.end_at:
            yield Period(start_at=period.start_at, end_at=min(period.end_at, first.start_at))


def payer_of(account: AccountChanged, at: datetime) -> str:
    """Return who gets the invoices of `account` at `at`: its parent where that pays for it, else itself."""
    return version_at(account.versions, at).bill_to or account.account
