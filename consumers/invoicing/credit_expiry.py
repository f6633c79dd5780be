"""Credit and points whose last day has passed expire when time advances, a bounded part at a time.

Place     handler.advance, once no invoice is due -> [this] -> outbox (billing.invoices).
When      on the first instant of `expires_on` in the account's zone (UTC for an account that is not known). Invoices go
          first: one that is issued before that day still uses what is left.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from fakturo.consumers.invoicing import contracts_store, credit_alerts, credit_store, point_store
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.loyalty import Lot, released_by_expiry
from fakturo.engine.periods import first_instant
from fakturo.engine.schedule import zone_at
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import AccountChanged
from fakturo.schemas.events.credit import CREDIT_EXPIRED, POINTS_EXPIRED, CreditMovement, PointsExpired
from fakturo.schemas.topics import INVOICES

ROWS_MAX = 500
"""How many grants and lots one transaction lets expire."""

EASTERNMOST_HOURS = 14
"""The zone that a date begins in first: UTC+14."""


async def expire(to: datetime, tx: Transaction) -> bool:
    """Let expire what holds no more at `to`; return whether there may be more."""
    grants = await _expire_grants(to, tx)
    lots = await _expire_lots(to, tx)
    return grants or lots


async def _expire_grants(to: datetime, tx: Transaction) -> bool:
    passed: list[str] = []
    done = 0
    while done < ROWS_MAX:
        rows = await credit_store.lock_expired(tx.driver, _latest_date(to), ROWS_MAX, passed)
        if not rows:
            return False
        accounts = await contracts_store.find_accounts(tx.driver, (row.account_id for row in rows))
        for row in rows:
            at = _instant(row.expires_on, row.account_id, accounts)
            if at > to:
                passed.append(row.grant_id)  # its day has not begun in its zone
                continue
            await _expire_grant(row, at, tx)
            done += 1
    return True


async def _expire_grant(row: credit_store.GrantRow, at: datetime, tx: Transaction) -> None:
    left = row.grant.left_minor
    await credit_store.expire(tx.driver, row.grant_id, left)
    balance = await credit_store.balance_minor(tx.driver, row.account_id, row.currency, row.kind)
    movement = CreditMovement(
        grant_id=row.grant_id,
        account=row.account_id,
        currency=row.currency,
        kind=row.kind,
        amount_minor=left,
        balance_minor=balance,
        effective_on=row.expires_on or at.date(),
        expires_on=row.expires_on,
        description=row.description,
        recorded_at=at,
    )
    # What was given back by a void invoice after its day expires once more: the running total tells the two apart.
    event = event_of(
        agent=tx.agent,
        event_type=CREDIT_EXPIRED,
        id=f"{row.grant_id}/expired/{row.expired_minor + left}",
        subject=row.account_id,
        time=at,
        data=movement,
        recorded_at=at,
    )
    tx.emit(INVOICES, event, account=row.account_id)
    if row.kind == "prepaid":
        await credit_alerts.tell(tx, row.account_id, row.currency, effective_on=movement.effective_on, at=at)


async def _expire_lots(to: datetime, tx: Transaction) -> bool:
    passed: list[str] = []
    done = 0
    while done < ROWS_MAX:
        rows = await point_store.lock_expired(tx.driver, _latest_date(to), ROWS_MAX, passed)
        if not rows:
            return False
        accounts = await contracts_store.find_accounts(tx.driver, (account_id for account_id, _ in rows))
        for account_id, lot in rows:
            at = _instant(lot.expires_on, account_id, accounts)
            if at > to:
                passed.append(lot.lot_id)
                continue
            await _expire_lot(account_id, lot, at, tx)
            done += 1
    return True


async def _expire_lot(account_id: str, lot: Lot, at: datetime, tx: Transaction) -> None:
    released = released_by_expiry(lot)
    await point_store.expire(tx.driver, account_id, lot, released)
    gone = PointsExpired(
        account=account_id,
        currency=lot.currency,
        programme=lot.programme,
        invoice_id=lot.lot_id,
        points=lot.free,
        released_minor=released,
        effective_on=lot.expires_on or at.date(),
        recorded_at=at,
    )
    event = event_of(
        agent=tx.agent,
        event_type=POINTS_EXPIRED,
        id=f"points/{lot.lot_id}/expired/{lot.expired + lot.free}",
        subject=account_id,
        time=at,
        data=gone,
        recorded_at=at,
    )
    tx.emit(INVOICES, event, account=account_id)


def _latest_date(to: datetime) -> date:
    """Return the date that the calendar shows where it is latest at `to`."""
    return (to.astimezone(UTC) + timedelta(hours=EASTERNMOST_HOURS)).date()


def _instant(expires_on: date | None, account_id: str, accounts: Mapping[str, AccountChanged]) -> datetime:
    day = expires_on or date.max
    account = accounts.get(account_id)
    guess = first_instant(day, "UTC")
    return guess if account is None else first_instant(day, zone_at(account.versions, guess))
