"""Prepaid credit that pays invoices, taken from its book in the transaction of the invoice.

Place     billing, once the total is known -> [this] -> the invoice with `credits`; given back when it is void.
Race      grants are locked before they are read, sorted by id; the book's CHECK refuses to use more than is left.
Drafts    with `hold=False` the same is worked out and nothing is booked.
"""

from datetime import datetime

import msgspec

from fakturo.consumers.invoicing import credit_alerts, credit_store
from fakturo.consumers.invoicing.discounts import EVER
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine import wallets as rules
from fakturo.schemas.events.invoices import CreditApplied, Invoice


async def pay(tx: Transaction, invoice: Invoice, *, at: datetime = EVER, hold: bool = True) -> Invoice:
    """Return the invoice with the prepaid credit that pays its total, or as much of it as there is.

    Credit that came to the books at or after the tick `at` is not used.
    """
    if invoice.total_minor <= 0:
        return invoice
    grants = await credit_store.lock_grants(tx.driver, invoice.account, invoice.currency, "prepaid", at)
    draws = rules.burn_down(grants, invoice.total_minor, invoice.issue_date)
    if not draws:
        return invoice
    if hold:
        await credit_store.save_draws(tx.driver, invoice.invoice_id, draws)
        await credit_alerts.tell(
            tx, invoice.account, invoice.currency, effective_on=invoice.issue_date, at=invoice.period.end
        )
    paid = sum(draw.amount_minor for draw in draws)
    return msgspec.structs.replace(
        invoice,
        credits=tuple(CreditApplied(grant_id=draw.grant.grant_id, amount_minor=draw.amount_minor) for draw in draws),
        credits_applied_minor=paid,
        amount_due_minor=invoice.total_minor - paid,
    )


async def release(tx: Transaction, invoice: Invoice) -> None:
    """Give back the prepaid credit that a void invoice had used; what has expired meanwhile expires again."""
    await credit_store.release_draws(tx.driver, invoice.invoice_id, "prepaid")
    await credit_alerts.tell(
        tx, invoice.account, invoice.currency, effective_on=invoice.issue_date, at=invoice.period.end
    )
