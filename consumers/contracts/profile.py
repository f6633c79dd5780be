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


class SubscriptionFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a subscription's values stand; `last_day` is inclusive."""

    entity: str
    account: Fields
    status: Fields
    active_statuses: Fields
    first_day: Fields
    last_day: Fields
    currency: Fields


class ItemFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an item's values stand; `last_day` is inclusive."""

    entity: str
    subscription: Fields
    product: Fields
    first_day: Fields
    last_day: Fields
    quantity: Fields
    unit_price: Fields
    list_price: Fields
    discount_percent: Fields

    @property
    def terms(self) -> Fields:
        """Return the fields whose change gives new terms."""
        return (*self.quantity, *self.unit_price, *self.list_price, *self.discount_percent)


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
            self.item.entity: self.item.terms,
        }
        return numbers.get(entity, ())

    def date_fields(self, entity: str) -> Fields:
        """Return the fields of `entity` that hold dates."""
        dates = {
            self.subscription.entity: (*self.subscription.first_day, *self.subscription.last_day),
            self.item.entity: (*self.item.first_day, *self.item.last_day),
        }
        return dates.get(entity, ())

    def reference_fields(self, entity: str) -> dict[str, str]:
        """Return the fields of `entity` that hold record ids, and the role of what they point to."""
        references = {
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
