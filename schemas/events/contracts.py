"""Accounts and subscriptions as the `contracts` agent publishes them on `billing.contracts`.

Each event carries the whole of its subject with all effective-dated versions, prices included: compaction keeps
only the last record, and a new reader must be able to bill the past without any other source.
"""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from fakturo.schemas.envelope import Instant

ACCOUNT_CHANGED = "fakturo.account.changed.v1"
SUBSCRIPTION_STARTED = "fakturo.subscription.started.v1"
SUBSCRIPTION_CHANGED = "fakturo.subscription.changed.v1"
SUBSCRIPTION_ENDED = "fakturo.subscription.ended.v1"


class AccountVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What an account was from `effective_at` on; the first version holds for all time before the second."""

    effective_at: Instant
    recorded_at: Instant
    name: str
    timezone: str
    terms_days: int
    currency: str
    country: str | None = None
    vat_id: str | None = None
    locale: str | None = None


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An account: `account` is the canonical id, `salesforce_id` the 18-character record id; versions ascending."""

    account: str
    salesforce_id: str
    versions: tuple[AccountVersion, ...]
    recorded_at: Instant


class MeterDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """How usage events become a quantity (PRICING.md, A meter). `value` is a dotted path such as `data.distance`."""

    code: str
    event_type: str
    aggregation: str
    value: str | None = None
    group_by: tuple[str, ...] = ()
    filter: dict[str, tuple[str, ...]] = {}


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A price from `effective_from` (a local date of the account) on; `price` is the price language's JSON object.

    `hash` is the SHA-256 of the canonical JSON of `price`, in hexadecimal: each invoice line names it.
    """

    effective_from: date
    price: dict[str, Any]
    hash: str


class ItemTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax that an item's lines carry. `rate_percent` "8.875" means 8.875 %."""

    category: str
    rate_percent: Decimal
    prices_include_tax: bool = False


class ItemTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed of an item from `effective_from` (a local date) on; the first version holds from the start.

    `quantity` counts for licensed prices; `own_unit_amount` overrides only `flat` and licensed `per_unit`.
    """

    effective_from: date
    quantity: Decimal
    own_unit_amount: Decimal | None = None
    discount_percent: Decimal | None = None
    recorded_at: Instant | None = None


class SubscriptionItem(msgspec.Struct, frozen=True, kw_only=True):
    """One product on a subscription, from `service_start_on` up to, not including, `service_end_on` (local dates)."""

    subscription_item: str
    product_code: str
    product_name: str
    billing: str
    service_start_on: date
    service_end_on: date | None
    terms: tuple[ItemTerms, ...]
    prices: tuple[PriceVersion, ...]
    tax: ItemTax
    meter: MeterDefinition | None = None
    unit: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription with all its items, those that ended too. `ended_on` is exclusive, None while it runs on."""

    subscription_id: str
    account: str
    currency: str
    started_on: date
    ended_on: date | None
    items: tuple[SubscriptionItem, ...]
    recorded_at: Instant


TYPES: dict[str, type[msgspec.Struct]] = {
    ACCOUNT_CHANGED: AccountChanged,
    SUBSCRIPTION_STARTED: Subscription,
    SUBSCRIPTION_CHANGED: Subscription,
    SUBSCRIPTION_ENDED: Subscription,
}
