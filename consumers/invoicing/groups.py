"""What is billed together: the customer that pays, the seller, and the periods of items that are on one document.

Place     due -> [these] -> billing, and the books of discounts and credit.
Group     payer, seller, currency, cost centre where the payer splits by it, and the instant for which it is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import AccountVersion, Seller, Subscription, SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who pays an invoice, as it stands at `due_at`, the instant for which it is made.

    `subscriptions` are those that have an item on it, sorted by id; their items are left out (`items` is empty).
    `subscription_of` says which of them an item belongs to. `true_up_of` names the subscription where the document
    does nothing but true up its commitment.
    """

    account_id: str
    version: AccountVersion
    seller: Seller
    currency: str
    due_at: datetime
    cost_centre: str | None = None
    subscriptions: Sequence[Subscription] = ()
    subscription_of: Mapping[str, str] = field(default_factory=dict)
    true_up_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """An item as the book has it; `period` is the one that is billed next, `due_at` when, `payer_id` who pays then."""

    item: SubscriptionItem
    subscription_id: str
    account_id: str
    currency: str
    seller_code: str
    recorded_at: datetime
    billed_until_at: datetime | None
    period: Period | None
    payer_id: str | None
    due_at: datetime | None
    removed: bool = False

    @property
    def key(self) -> str:
        """Return the item's id."""
        return self.item.subscription_item


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A period of an item to bill: the one that its pointer shows, or one to look at again.

    `running` bills what the running statement holds so far, `reissues` names the void invoice that it stands for.
    """

    row: ItemRow
    period: Period
    payer_id: str
    due_at: datetime
    is_next: bool = True
    running: bool = False
    reissues: str | None = None

    @property
    def key(self) -> tuple[str, datetime]:
        """Return the item and the start of the period."""
        return self.row.key, self.period.start_at


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class GroupKey:
    """What the entries of one document have in common, but for the instant; "" is the seller of the settings."""

    payer_id: str
    currency: str
    seller_code: str
    cost_centre: str
    reissues: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueGroup:
    """The entries that are billed on one document, made for `due_at`; `draft_id` where it has been in review.

    It has none where it only trues up the commitment of the subscription `true_up_of`.
    """

    key: GroupKey
    due_at: datetime
    entries: tuple[Entry, ...]
    draft_id: str | None = None
    revision: int | None = None
    true_up_of: str | None = None

    @property
    def regular(self) -> tuple[Entry, ...]:
        """Return the entries whose turn it is, without those that only correct."""
        return tuple(entry for entry in self.entries if entry.is_next)
