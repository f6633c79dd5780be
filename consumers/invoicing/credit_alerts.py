"""The alert of a low balance: said once when prepaid credit falls below what its account asked for, until it is back.

Place     wallets, credit_expiry, credit_requests: whoever changes a balance -> [this] -> outbox (billing.invoices).
"""

from datetime import date, datetime

from fakturo.consumers.invoicing import credit_store
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.credit import CREDIT_LOW, CreditLow
from fakturo.schemas.topics import INVOICES


async def tell(tx: Transaction, account_id: str, currency: str, *, effective_on: date, at: datetime) -> None:
    """Publish `fakturo.credit.low_balance.v1` if the balance has fallen below the threshold since the last call."""
    alert = await credit_store.lock_alert(tx.driver, account_id, currency)
    if alert is None:
        return
    balance = await credit_store.balance_minor(tx.driver, account_id, currency, "prepaid")
    is_low = balance < alert.threshold_minor
    if is_low == alert.is_low:
        return
    fall_count = alert.fall_count + is_low
    await credit_store.set_low(tx.driver, account_id, currency, is_low=is_low, fall_count=fall_count)
    if not is_low:
        return
    event = event_of(
        agent=tx.agent,
        event_type=CREDIT_LOW,
        id=f"credit/{account_id}/{currency}/low/{fall_count}",
        subject=account_id,
        time=at,
        data=CreditLow(
            account=account_id,
            currency=currency,
            balance_minor=balance,
            threshold_minor=alert.threshold_minor,
            effective_on=effective_on,
            recorded_at=at,
        ),
        recorded_at=at,
    )
    tx.emit(INVOICES, event, account=account_id)
