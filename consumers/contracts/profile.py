"""A mapping profile: which Salesforce field says what, as data.

Place     profiles/<name>.yaml -> [this] -> reducer (which values must be numbers, dates, references) and mapping.
"""

from importlib import resources

import msgspec
import yaml

Fields = tuple[str, ...]
"""Alternatives for one value: the first that is filled counts."""


class AccountFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an account's values stand. Without any `id` the record id is the account's id."""

    entity: str
    id: Fields
    name: Fields
    country: Fields
    timezone: Fields
    terms_days: Fields
    currency: Fields
    vat_id: Fields
    locale: Fields
    default_terms_days: int
    parent: Fields = ()
    consolidated: Fields = ()
    split_by_cost_centre: Fields = ()
    tax_exempt: Fields = ()
    street: Fields = ()
    postal_code: Fields = ()
    city: Fields = ()

    @property
    def versions(self) -> Fields:
        """Return the fields whose change gives a new version of the account."""
        known = (self.name, self.country, self.timezone, self.terms_days, self.currency, self.vat_id, self.locale)
        payer = (self.parent, self.consolidated, self.split_by_cost_centre, self.tax_exempt)
        return tuple(name for names in (*known, *payer, self.street, self.postal_code, self.city) for name in names)


class SubscriptionFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a subscription's values stand; `last_day` and `paused_until` are inclusive."""

    entity: str
    account: Fields
    status: Fields
    active_statuses: Fields
    first_day: Fields
    last_day: Fields
    currency: Fields
    seller: Fields = ()
    coupons: Fields = ()
    loyalty: Fields = ()
    commitment_amount: Fields = ()
    commitment_months: Fields = ()
    spend_cap: Fields = ()
    billing_threshold: Fields = ()
    auto_renew: Fields = ()
    term_months: Fields = ()
    paused_from: Fields = ()
    paused_until: Fields = ()
    cancel_on: Fields = ()
    cancel_at: Fields = ()
    cost_centre: Fields = ()
    approval_required: Fields = ()

    @property
    def dates(self) -> Fields:
        """Return the fields that hold dates."""
        return (*self.first_day, *self.last_day, *self.paused_from, *self.paused_until, *self.cancel_on)

    @property
    def numbers(self) -> Fields:
        """Return the fields that hold numbers."""
        amounts = (*self.commitment_amount, *self.spend_cap, *self.billing_threshold)
        return (*amounts, *self.commitment_months, *self.term_months)


class ItemFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an item's values stand; `last_day` and `trial_last_day` are inclusive."""

    entity: str
    subscription: Fields
    product: Fields
    first_day: Fields
    last_day: Fields
    quantity: Fields
    unit_price: Fields
    list_price: Fields
    discount_percent: Fields
    billing_months: Fields = ()
    billing: Fields = ()
    anchor: Fields = ()
    trial_last_day: Fields = ()
    price_change: Fields = ()
    cost_centre: Fields = ()
    effective_on: Fields = ()

    @property
    def terms(self) -> Fields:
        """Return the fields whose change gives new terms."""
        return (*self.quantity, *self.unit_price, *self.list_price, *self.discount_percent)

    @property
    def shape(self) -> Fields:
        """Return the fields whose change ends the item and starts another one."""
        return (*self.product, *self.billing_months, *self.billing, *self.anchor)

    @property
    def dates(self) -> Fields:
        """Return the fields that hold dates."""
        return (*self.first_day, *self.last_day, *self.trial_last_day, *self.effective_on)


class ProductFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a product's code in the catalog stands."""

    entity: str
    code: Fields


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to keep contracts in Salesforce."""

    name: str
    account: AccountFields
    subscription: SubscriptionFields
    item: ItemFields
    product: ProductFields

    def number_fields(self, entity: str) -> Fields:
        """Return the fields of `entity` that hold numbers."""
        numbers = {
            self.account.entity: self.account.terms_days,
            self.subscription.entity: self.subscription.numbers,
            self.item.entity: (*self.item.terms, *self.item.billing_months),
        }
        return numbers.get(entity, ())

    def date_fields(self, entity: str) -> Fields:
        """Return the fields of `entity` that hold dates."""
        dates = {
            self.subscription.entity: self.subscription.dates,
            self.item.entity: self.item.dates,
        }
        return dates.get(entity, ())

    def reference_fields(self, entity: str) -> dict[str, str]:
        """Return the fields of `entity` that hold record ids, and the role of what they point to."""
        references = {
            self.account.entity: dict.fromkeys(self.account.parent, "parent"),
            self.subscription.entity: dict.fromkeys(self.subscription.account, "account"),
            self.item.entity: {
                **dict.fromkeys(self.item.subscription, "subscription"),
                **dict.fromkeys(self.item.product, "product"),
            },
        }
        return references.get(entity, {})

    def role(self, entity: str) -> str | None:
        """Return what records of `entity` are to us: account, subscription, item, product, or None."""
        roles = {
            self.account.entity: "account",
            self.subscription.entity: "subscription",
            self.item.entity: "item",
            self.product.entity: "product",
        }
        return roles.get(entity)

    def mapped_fields(self) -> frozenset[str]:
        """Return every field that any of the four entities is read from."""
        parts = (self.account, self.subscription, self.item, self.product)
        return frozenset(
            field
            for part in parts
            for name in part.__struct_fields__
            if name != "active_statuses" and isinstance(getattr(part, name), tuple)
            for field in getattr(part, name)
        )


def load_profile(name: str = "core") -> Profile:
    """Return the profile that is shipped as `profiles/<name>.yaml`."""
    text = resources.files(__package__ or "fakturo.consumers.contracts").joinpath(f"profiles/{name}.yaml").read_text()
    return msgspec.convert(yaml.safe_load(text), Profile)
