"""A mapping profile: which Salesforce field says what, as data.

Place     profiles/<name>.yaml or a customer's file -> profile_files -> [this] -> reading (which values must be numbers,
          dates, references), histories (derived fields), mapping; the bridge asks which objects to read.
Fields    alternatives for one value: the first that is filled counts. Each is a field of the record, a field of another
          record (`ContractId->Contract.EndDate`) or a formula (`=Seats__c * 12`).
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

import msgspec

from fakturo.consumers.contracts.field_paths import FORMULA, Derived, FieldPath, ValueMap, derived_of
from fakturo.schemas.codec import encode

Fields = tuple[str, ...]
"""Alternatives for one value: the first that is filled counts."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one object of Salesforce is to us. The class variables say which slots hold more than text.

    `REFERENCES` are slots that hold record ids, each with the role of what they lead to; `SETTINGS` hold no fields.
    """

    NUMBERS: ClassVar[Fields] = ()
    DATES: ClassVar[Fields] = ()
    REFERENCES: ClassVar[Mapping[str, str]] = {}
    SETTINGS: ClassVar[Fields] = ()

    entity: str

    def slots(self) -> Iterator[tuple[str, str]]:
        """Yield (slot, field) for every field that any slot names."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, tuple) and name not in self.SETTINGS:
                yield from ((name, field) for field in value)


class AccountFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an account's values stand. Without any `id` the record id is the account's id."""

    NUMBERS: ClassVar[Fields] = ("terms_days",)
    REFERENCES: ClassVar[Mapping[str, str]] = {"parent": "parent"}

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


class SubscriptionFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a subscription's values stand; `last_day` and `paused_until` are inclusive.

    An empty text in `active_statuses` means that a record without a status is active.
    """

    NUMBERS: ClassVar[Fields] = (
        *("commitment_amount", "spend_cap", "billing_threshold"),
        *("commitment_months", "term_months"),
    )
    DATES: ClassVar[Fields] = ("first_day", "last_day", "paused_from", "paused_until", "cancel_on")
    REFERENCES: ClassVar[Mapping[str, str]] = {"account": "account", "opportunity": "opportunity"}
    SETTINGS: ClassVar[Fields] = ("active_statuses",)

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
    contact_name: Fields = ()
    contact_email: Fields = ()
    opportunity: Fields = ()

    @property
    def numbers(self) -> Fields:
        """Return the fields that hold numbers."""
        return tuple(field for slot, field in self.slots() if slot in self.NUMBERS)


class ItemFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an item's values stand; `last_day` and `trial_last_day` are inclusive.

    `is_own_subscription` says that an item without a subscription is one by itself. The `entry_...` slots are the org's
    own price list, for products that the catalog does not know: price, currency, whether it is active, how it is sold.
    An item that `revises` another one changes its quantity by its own.
    """

    NUMBERS: ClassVar[Fields] = (
        *("quantity", "unit_price", "list_price", "discount_percent"),
        *("billing_months", "entry_price", "entry_term"),
    )
    DATES: ClassVar[Fields] = ("first_day", "last_day", "trial_last_day", "effective_on")
    REFERENCES: ClassVar[Mapping[str, str]] = {
        "subscription": "subscription",
        "product": "product",
        "revises": "revises",
        "entry": "entry",
    }

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
    alert_quantities: Fields = ()
    alert_amounts: Fields = ()
    effective_on: Fields = ()
    entry: Fields = ()
    entry_price: Fields = ()
    entry_currency: Fields = ()
    entry_active: Fields = ()
    entry_model: Fields = ()
    entry_term: Fields = ()
    entry_term_unit: Fields = ()
    revises: Fields = ()
    is_own_subscription: bool = False

    @property
    def terms(self) -> Fields:
        """Return the fields whose change gives new terms."""
        return (*self.quantity, *self.unit_price, *self.list_price, *self.discount_percent)

    @property
    def shape(self) -> Fields:
        """Return the fields whose change ends the item and starts another one."""
        return (*self.product, *self.billing_months, *self.billing, *self.anchor)


class ProductFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a product's code in the catalog stands, and what is needed of one that the catalog does not know."""

    code: Fields
    name: Fields = ()
    unit: Fields = ()
    tax_category: Fields = ()


class UsageFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Usage that is kept in Salesforce: one record is one usage event. `data` names further values of the event.

    Without any `id` the record id is the event's; `default_type` is the type of an event that names none.
    """

    NUMBERS: ClassVar[Fields] = ("quantity",)
    REFERENCES: ClassVar[Mapping[str, str]] = {"account": "account_of_usage"}

    account: Fields
    time: Fields
    quantity: Fields
    id: Fields = ()
    type: Fields = ()
    unit: Fields = ()
    default_type: str = ""
    data: dict[str, Fields] = {}

    def slots(self) -> Iterator[tuple[str, str]]:
        """Yield (slot, field) for every field that any slot names, those of `data` too."""
        yield from super().slots()
        yield from (("data", field) for fields in self.data.values() for field in fields)


class OpportunityFields(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an opportunity's values stand. The stages say what is closed and won where the flags are older."""

    NUMBERS: ClassVar[Fields] = ("amount",)
    DATES: ClassVar[Fields] = ("closes_on",)
    REFERENCES: ClassVar[Mapping[str, str]] = {"account": "account_of_opportunity"}
    SETTINGS: ClassVar[Fields] = ("closed_stages", "won_stages")

    account: Fields
    opened_at: Fields
    stage: Fields
    closed: Fields = ()
    won: Fields = ()
    closes_on: Fields = ()
    amount: Fields = ()
    currency: Fields = ()
    closed_stages: Fields = ()
    won_stages: Fields = ()


ROLES = ("account", "subscription", "item", "product", "usage", "opportunity")
"""What a record can be to us: the sections of a profile."""

LOOKUP = "lookup"
"""The role of a record that only lends values to others; `lookup:item` is the role of an item's reference to it."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One way to keep contracts in Salesforce. `values` maps texts of Salesforce to ours, by object and field.

    `also_read` are further objects for the bridge to read: they are kept raw.
    """

    name: str
    account: AccountFields
    subscription: SubscriptionFields
    item: ItemFields
    product: ProductFields
    usage: UsageFields | None = None
    opportunity: OpportunityFields | None = None
    values: dict[str, dict[str, dict[str, str]]] = {}
    also_read: Fields = ()

    @cached_property
    def sections(self) -> Mapping[str, Section]:
        """Return the sections by role."""
        found = {role: getattr(self, role) for role in ROLES}
        return {role: section for role, section in found.items() if section is not None}

    @cached_property
    def _objects(self) -> dict[str, "_Object"]:
        objects: dict[str, _Object] = {}
        for role, section in self.sections.items():
            objects.setdefault(section.entity, _Object()).roles.append(role)
            for slot, name in section.slots():
                _note(objects, section, role, slot, name)
        for entity in self.also_read:
            objects.setdefault(entity, _Object())
        return objects

    @property
    def billed_roots(self) -> tuple[tuple[str, str], ...]:
        """Return (role, object) of what is billed: accounts and subscriptions."""
        return (("account", self.account.entity), ("subscription", self.subscription.entity))

    @property
    def roots(self) -> tuple[tuple[str, str], ...]:
        """Return (role, object) of all that is published."""
        roles = ("account", "subscription", "usage", "opportunity")
        return tuple((role, self.sections[role].entity) for role in roles if role in self.sections)

    @cached_property
    def fingerprint(self) -> bytes:
        """Return a hash that changes with anything that the profile says."""
        return hashlib.sha256(encode(self)).digest()

    def entities(self) -> Fields:
        """Return the objects that are read, each once."""
        return tuple(self._objects)

    def fields_of(self, entity: str) -> frozenset[str]:
        """Return the fields of `entity` that are read, in the names of change events."""
        found = self._objects.get(entity)
        return frozenset(found.fields) if found else frozenset()

    def number_fields(self, entity: str) -> Fields:
        """Return the fields of `entity` that hold numbers."""
        return self._typed(entity, "numbers")

    def date_fields(self, entity: str) -> Fields:
        """Return the fields of `entity` that hold dates or instants."""
        return self._typed(entity, "dates")

    def reference_fields(self, entity: str) -> dict[str, tuple[str, ...]]:
        """Return the fields of `entity` that hold record ids, and the roles of what they point to."""
        found = self._objects.get(entity)
        return {name: tuple(sorted(roles)) for name, roles in found.references.items()} if found else {}

    def roles(self, entity: str) -> Fields:
        """Return what records of `entity` are to us: account, subscription, item, ... , lookup; or nothing."""
        found = self._objects.get(entity)
        return tuple(found.roles) if found else ()

    def value_maps(self, entity: str) -> Mapping[str, ValueMap]:
        """Return the values of `entity` that mean something else to us, by field."""
        return self.values.get(entity, {})

    def derived(self, entity: str) -> tuple[Derived, ...]:
        """Return the fields of `entity` that no record has: formulas, and fields of other records."""
        found = self._objects.get(entity)
        return tuple(found.derived.values()) if found else ()

    @cached_property
    def mapped_fields(self) -> frozenset[str]:
        """Return every field that any object is read from."""
        return frozenset(name for found in self._objects.values() for name in found.fields)

    def _typed(self, entity: str, kind: str) -> Fields:
        found = self._objects.get(entity)
        if found is None:
            return ()
        mapped = self.values.get(entity, {})
        return tuple(name for name in sorted(getattr(found, kind)) if name not in mapped)


class _Object:
    """What is read of one object of Salesforce."""

    def __init__(self) -> None:
        self.roles: list[str] = []
        self.fields: set[str] = set()
        self.numbers: set[str] = set()
        self.dates: set[str] = set()
        self.references: dict[str, set[str]] = {}
        self.derived: dict[str, Derived] = {}


def _note(objects: dict[str, _Object], section: Section, role: str, slot: str, name: str) -> None:
    """Note what is read for one alternative of a slot."""
    found = objects[section.entity]
    derived = derived_of(name)
    if derived is not None:
        found.derived[name] = derived
    paths = derived.paths.values() if derived else (FieldPath((), name),)
    for path in paths:
        typed_as = "" if name.startswith(FORMULA) else slot
        last = _follow(objects, section, role, path)
        last.fields.add(path.field)
        if typed_as in section.NUMBERS:
            last.numbers.add(path.field)
        if typed_as in section.DATES:
            last.dates.add(path.field)
        if typed_as in section.REFERENCES and not path.hops:
            last.references.setdefault(path.field, set()).add(section.REFERENCES[typed_as])


def _follow(objects: dict[str, _Object], section: Section, role: str, path: FieldPath) -> _Object:
    """Return the object that the hops of `path` lead to; note the references on the way."""
    at, via = objects[section.entity], role
    for hop in path.hops:
        at.fields.add(hop.field)
        at.references.setdefault(hop.field, set()).add(f"{LOOKUP}:{via}")
        at, via = objects.setdefault(hop.entity, _Object()), LOOKUP
        if LOOKUP not in at.roles:
            at.roles.append(LOOKUP)
    return at
