"""What is billed together: the customer that pays, the seller, and the subscriptions whose items are on the invoice.

Place     due -> [these] -> billing, and the books of discounts and credit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fakturo.schemas.events.contracts import AccountVersion, Seller, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who pays an invoice, as it stands at `due_at`, the instant for which it is made.

    `subscriptions` are those that have an item on it, sorted by id; their items are left out (`items` is empty).
    """

    account_id: str
    version: AccountVersion
    seller: Seller
    currency: str
    due_at: datetime
    cost_centre: str | None = None
    subscriptions: Sequence[Subscription] = ()
