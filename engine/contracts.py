"""Subscription items over time: what of an item lies in a period, in slices that one price and one set of terms hold.

Place     `Subscription` of `billing.contracts` + period -> [this] -> slices -> rating (one RateRequest a slice).
Holds     slices touch, never overlap, and together are the item's active part of the period.
Rules     a new price version or new terms from a local date split the period there; the date belongs to the new.
          Terms that change nothing of the amount (the quantity of a metered item) split nothing.
Source    PRICING.md, Periods; CONTRACTS.md, own price and own discount.
"""

from dataclasses import dataclass
from decimal import Decimal

from fakturo.engine.periods import Period, Zone
from fakturo.engine.prices import Price
from fakturo.schemas.events.contracts import ItemTerms, PriceVersion, SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSlice:
    """A stretch of a period with one price and one set of terms.

    `price` has the item's own unit price and discount applied; `version` is the price list's (its hash goes on the
    invoice line). `licensed_quantity` is the contract's quantity, None where a meter gives it. `final` marks the last
    slice of the item in the period.
    """

    period: Period
    price: Price
    version: PriceVersion
    terms: ItemTerms
    licensed_quantity: Decimal | None
    final: bool


def active_period(item: SubscriptionItem, period: Period, zone: Zone) -> Period | None:
    """Return the part of `period` in which the item is in service, or None."""
    raise NotImplementedError


def item_slices(item: SubscriptionItem, period: Period, zone: Zone, currency: str) -> tuple[ItemSlice, ...]:
    """Return the item's slices of `period`, oldest first; none where it is not in service or has no price yet.

    Raises:
        PriceError: a price of the item is not of the price language (the catalog was not checked).
    """
    raise NotImplementedError
