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
    """What an account was from `effective_at` on; the first version holds for all time before the second.

    `bill_to` is the account that gets the invoices (a parent that pays for its children), None for the account itself.
    """

    effective_at: Instant
    recorded_at: Instant
    name: str
    timezone: str
    terms_days: int
    currency: str
    country: str | None = None
    vat_id: str | None = None
    locale: str | None = None
    address: str | None = None
    tax_exempt: bool = False
    bill_to: str | None = None
    split_by_cost_centre: bool = False


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


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A country's rate of a tax category from a date on; `rate_percent` "19" means 19 %."""

    country: str
    category: str
    effective_from: date
    rate_percent: Decimal


class ItemTax(msgspec.Struct, frozen=True, kw_only=True):
    """The tax that an item's lines carry. `rate_percent` "8.875" means 8.875 %.

    With `by_country`, seller, customer and date decide (engine/tax), `rate_percent` is 0 and says nothing, and `rates`
    are the price list's own rates, which go before the table that is built in.
    """

    category: str
    rate_percent: Decimal
    prices_include_tax: bool = False
    by_country: bool = False
    rates: tuple[TaxRate, ...] = ()


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Local dates on which an item is not billed: from `start_on` up to, not including, `end_on` (None: until told)."""

    start_on: date
    end_on: date | None = None


class ItemTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed of an item from `effective_from` (a local date) on; the first version holds from the start.

    `quantity` counts for licensed prices; `own_unit_amount` overrides only `flat` and licensed `per_unit`.
    """

    effective_from: date
    quantity: Decimal
    own_unit_amount: Decimal | None = None
    discount_percent: Decimal | None = None
    recorded_at: Instant | None = None


class AlertThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """What is watched for in a period: `quantity`, or `amount_minor` of `currency`, net, is reached; one of the two."""

    quantity: Decimal | None = None
    amount_minor: int | None = None
    currency: str | None = None


class SubscriptionItem(msgspec.Struct, frozen=True, kw_only=True):
    """One product on a subscription, from `service_start_on` up to, not including, `service_end_on` (local dates).

    `billing` is `arrears` (after the period) or `advance` (at its start). A billing period is `billing_months` long, 0
    for a one-time charge, which falls due on the day that service starts. Periods are counted from `anchor_on`; None
    means calendar months, quarters or years. Nothing is charged before `trial_until_on` and in `pauses`.
    `price_change` is `immediate` (a new price version splits the period) or `next_period`. With `allowance_months`,
    tiers, free units, caps and minimums count over that many months and each bill is the difference to what was billed.
    `alerts` are said once a period when usage reaches them; they change nothing of the amount.
    """

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
    billing_months: int = 1
    anchor_on: date | None = None
    trial_until_on: date | None = None
    pauses: tuple[Pause, ...] = ()
    price_change: str = "immediate"
    allowance_months: int | None = None
    cost_centre: str | None = None
    alerts: tuple[AlertThreshold, ...] = ()


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """Who issues the invoices. Numbers are gapless by seller and series.

    `tax_registrations` are the countries beyond its own in which it charges the local tax to customers without a VAT
    id.
    """

    code: str
    name: str
    country: str
    timezone: str = "UTC"
    currency: str | None = None
    vat_id: str | None = None
    address: str | None = None
    invoice_series: str = "INV"
    credit_note_series: str = "CN"
    tax_registrations: tuple[str, ...] = ()
    tax_rounding: str = "group"


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """A discount on invoices: `percent` of the lines it covers, or `amount_minor` of `currency`; one of the two.

    `duration` is `once`, `periods` (so many invoices: `periods`) or `forever`. Coupons apply by ascending `priority`,
    then code, each on what the one before left; one that is not `stackable` is used alone. `budget_minor` bounds what
    all customers together may save by it. `products` are the product codes it covers; empty: all.
    """

    code: str
    description: str
    percent: Decimal | None = None
    amount_minor: int | None = None
    currency: str | None = None
    duration: str = "once"
    periods: int | None = None
    priority: int = 100
    stackable: bool = True
    budget_minor: int | None = None
    products: tuple[str, ...] = ()
    expires_on: date | None = None


class Commitment(msgspec.Struct, frozen=True, kw_only=True):
    """A minimum of `amount_minor`, net, for the term from `start_on` up to `end_on`; what is short is trued up."""

    amount_minor: int
    start_on: date
    end_on: date


class LoyaltyProgramme(msgspec.Struct, frozen=True, kw_only=True):
    """Points earned on net spend and redeemed as a discount.

    `points_per_unit` points for each whole major unit of currency spent, each worth `point_amount` major units when
    redeemed; `redemption_percent` of them are expected to be (IFRS 15); unused ones expire after `expires_months`.
    """

    code: str
    points_per_unit: Decimal
    point_amount: Decimal
    redemption_percent: Decimal = Decimal(100)
    expires_months: int | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription with all its items, those that ended too. `ended_on` is exclusive, None while it runs on.

    With `auto_renew` it goes on for another `term_months` at the end of each term. `spend_cap_minor` bounds the net
    amount of one billing period; unbilled usage of `billing_threshold_minor` is billed at once. Without a `seller` it
    is the one of the settings. `contact_name` and `contact_email` say who gets the invoices.
    """

    subscription_id: str
    account: str
    currency: str
    started_on: date
    ended_on: date | None
    items: tuple[SubscriptionItem, ...]
    recorded_at: Instant
    seller: Seller | None = None
    coupons: tuple[Coupon, ...] = ()
    commitment: Commitment | None = None
    loyalty: LoyaltyProgramme | None = None
    spend_cap_minor: int | None = None
    billing_threshold_minor: int | None = None
    auto_renew: bool = False
    term_months: int | None = None
    approval_required: bool = False
    contact_name: str | None = None
    contact_email: str | None = None


TYPES: dict[str, type[msgspec.Struct]] = {
    ACCOUNT_CHANGED: AccountChanged,
    SUBSCRIPTION_STARTED: Subscription,
    SUBSCRIPTION_CHANGED: Subscription,
    SUBSCRIPTION_ENDED: Subscription,
}
