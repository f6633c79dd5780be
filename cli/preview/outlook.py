"""The next invoices of a payer, made as invoicing would make them, from usage so far and from usage at its pace.

Place     invoicing's rows, usage's totals -> [this: engine/forecast] -> invoicing's billing and finalizing -> invoices.
Now       is what time has reached for the usage agent. Licensed items stand with what the contract says of the whole
          period; a stretch whose price looks at single events grows by its amount, others by their quantity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

import asyncpg
from msgspec import structs

from fakturo.cli.history.books import SoldItem
from fakturo.cli.history.periods import PricedPeriod, priced_period, read_usage
from fakturo.consumers.invoicing import due, finalizing
from fakturo.consumers.invoicing.billing import bill_of
from fakturo.consumers.invoicing.due import Book
from fakturo.consumers.invoicing.groups import DueGroup
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage.forecasting import paced
from fakturo.engine.forecast import amount_at_pace
from fakturo.engine.money import exact_amount, to_minor
from fakturo.engine.prices import Usage
from fakturo.schemas.events.contracts import Seller
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.usage import RatedSlice, UsageRated


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One coming invoice: as it stands at `as_of`, and as it would be at the present pace."""

    due_at: datetime
    as_of: datetime
    now: Invoice
    forecast: Invoice


async def outlooks(tx: Transaction, payer_id: str, seller: Seller) -> list[Outlook]:
    """Return the coming invoices of a payer, one for each seller, currency and cost centre.

    Raises:
        PriceError: something on it cannot be rated.
    """
    as_of = await tx.driver.fetchval("SELECT at FROM runtime.watermark WHERE agent = 'usage'")
    groups = await due.coming_groups(payer_id, tx)
    if as_of is None or not groups:
        return []
    book = await due.read_book(groups, tx)
    periods = {key: period for group in groups for key, period in _metered(group, book).items()}
    await read_usage(tx.driver, periods.values())
    found = []
    for group in groups:
        now = await _made(tx, group, _with(book, periods, None), seller)
        forecast = await _made(tx, group, _with(book, periods, as_of), seller)
        if now is not None and forecast is not None:
            found.append(Outlook(due_at=group.due_at, as_of=as_of, now=now, forecast=forecast))
    return found


Key = tuple[str, datetime]


def _metered(group: DueGroup, book: Book) -> dict[Key, PricedPeriod]:
    """Return the metered periods of the group whose final statement has not come."""
    return {
        entry.key: priced_period(
            SoldItem(
                account=entry.row.account_id,
                currency=entry.row.currency,
                versions=book.accounts[entry.row.account_id].versions,
                item=entry.row.item,
            ),
            entry.row.item,
            entry.period,
        )
        for entry in group.regular
        if entry.row.item.meter is not None and entry.key not in book.statements
    }


def _with(book: Book, periods: dict[Key, PricedPeriod], pace_at: datetime | None) -> Book:
    """Return the book with statements of what is under way: as it stands, or at its pace at `pace_at`."""
    statements = dict(book.statements)
    for key, period in periods.items():
        used = period.used()
        statement = period.statement(used) if pace_at is None else forecast_of(period, used, pace_at)
        statements[key] = statement, pace_at or period.period.start_at
    return replace(book, statements=statements)


def forecast_of(period: PricedPeriod, used: Sequence[Usage], at: datetime) -> UsageRated:
    """Return the final statement of a period whose usage goes on as it went up to `at`."""
    metered = period.metered
    if metered is None:
        raise ValueError(f"{period.item.subscription_item} is not metered")
    found = paced(metered, used, at)
    by_amount = {one.stretch.part.period.start_at: one.amount_share for one in found}
    statement = period.statement([usage for one in found for usage in one.ranges()])
    slices = tuple(_grown(part, by_amount.get(part.period.start), statement.currency) for part in statement.slices)
    return structs.replace(statement, slices=slices)


def _grown(part: RatedSlice, share: Fraction | None, currency: str) -> RatedSlice:
    if share is None:
        return part
    exact = exact_amount(amount_at_pace(part.amount_exact, share))
    return structs.replace(part, amount_exact=exact, amount_minor=to_minor(exact, currency))


async def _made(tx: Transaction, group: DueGroup, book: Book, seller: Seller) -> Invoice | None:
    bill = bill_of(group, book, seller)
    if bill is None:
        return None
    made = await finalizing.make(await finalizing.with_revisions([bill], tx), group.due_at, tx, hold=False)
    return structs.replace(made[0].invoice, status="draft")


async def known(driver: asyncpg.Connection, account: str) -> bool:
    """Return whether invoicing knows the account."""
    return bool(await driver.fetchval("SELECT EXISTS (SELECT FROM invoicing.account WHERE account_id = $1)", account))
