"""Prepaid credit that pays invoices, taken from its book in the transaction of the invoice.

Place     billing, once the total is known -> [this] -> the invoice with `credits`; given back when it is void.
"""

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.events.invoices import Invoice


async def pay(tx: Transaction, invoice: Invoice) -> Invoice:
    """Return the invoice with the credit that pays a part of it; there is none yet."""
    return invoice


async def release(tx: Transaction, invoice: Invoice) -> None:
    """Give back what a void invoice had used."""
