"""Discounts of an invoice, taken from the books that bound them in the transaction of the invoice.

Place     billing, once the lines are known and before tax -> [this] -> `build_invoice`; given back when it is void.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fakturo.consumers.invoicing.groups import Payer
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead
from fakturo.schemas.events.invoices import Invoice, LoyaltyMovement


@dataclass(frozen=True, slots=True, kw_only=True)
class Discounts:
    """What comes off an invoice, what lines it gets besides (a true-up), and what it does to the customer's points.

    The shares of `applied` are those of `sorted_items((*items, *extra_items))`.
    """

    applied: tuple[AppliedDiscount, ...] = ()
    extra_items: tuple[BilledItem, ...] = ()
    loyalty: LoyaltyMovement | None = None


async def reserve(tx: Transaction, payer: Payer, head: InvoiceHead, items: Sequence[BilledItem]) -> Discounts:
    """Return the discounts of the invoice with `items`, and hold them in the books; there are none yet."""
    return Discounts()


async def release(tx: Transaction, invoice: Invoice) -> None:
    """Give back what a void invoice had used."""
