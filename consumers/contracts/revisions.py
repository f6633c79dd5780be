"""Items that revise another one: their quantities add up, as an amendment of Salesforce CPQ writes them. Pure.

Place     mapping, once each item is mapped by itself -> [this] -> the subscription's items.
Adds up   an amended line is a record of its own: what it adds (5) or takes away (-3) from its first day on. Where it
          costs the same it becomes terms of the item that it revises, so that tiers see the whole quantity; a metered
          item takes its quantity from the meter, so there only one of the two may count. Where it costs something else,
          or outlives what it revises, it is billed as an item of its own; then it cannot take anything away.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.profile import Fields
from fakturo.consumers.contracts.values import Unclear, text_of
from fakturo.engine.catalog import price_at
from fakturo.schemas.events.contracts import ItemTerms, SubscriptionItem

CHAIN_MAX = 100
"""An amendment of an amendment of ...: longer than this is a circle."""


def root_of(history: RecordHistory, by_id: Mapping[str, RecordHistory], fields: Fields) -> RecordHistory | None:
    """Return the item that `history` revises in the end, None where it revises none that is there."""
    at = history
    for _ in range(CHAIN_MAX):
        revised = by_id.get(text_of(at.value(fields)) or "")
        if revised is None:
            return at if at is not history else None
        at = revised
    return None


def added_up(items: Sequence[SubscriptionItem], revision: SubscriptionItem) -> list[SubscriptionItem]:
    """Return the shapes of an item with what a revision of it changes.

    Raises:
        Unclear: it takes away what is not there, or at another price.
    """
    for index, item in enumerate(items):
        if _is_same(item, revision):
            return [*items[:index], _with(item, revision), *items[index + 1 :]]
    if any(terms.quantity < 0 for terms in revision.terms):
        raise Unclear("takes away from an item that costs something else, or that is not there then; correct its price")
    return [*items, revision]


def _is_same(item: SubscriptionItem, revision: SubscriptionItem) -> bool:
    """Return whether the revision is only a matter of quantity."""
    same = ("product_code", "billing", "billing_months", "meter", "tax")
    starts_within = _in_force(item, revision.service_start_on)
    if (
        not item.billing_months
        or not starts_within
        or any(getattr(item, one) != getattr(revision, one) for one in same)
    ):
        return False
    if item.meter is not None:
        return True
    takes_away = all(terms.quantity <= 0 for terms in revision.terms)
    if not takes_away and _is_later(revision.service_end_on, item.service_end_on):
        return False
    return all(_cost(item, on) == _cost(revision, on) for on in _days(item, revision) if _in_force(revision, on))


def _cost(item: SubscriptionItem, on: date) -> tuple[object, ...]:
    """Return what one unit costs on a day: the version of the price, the own price and the discount."""
    terms, version = _at(item, on), price_at(item.prices, on)
    return terms.own_unit_amount, terms.discount_percent, version.hash if version else None


def _is_later(one: date | None, other: date | None) -> bool:
    return other is not None and (one is None or one > other)


def _in_force(item: SubscriptionItem, on: date) -> bool:
    return item.service_start_on <= on and (item.service_end_on is None or on < item.service_end_on)


def _at(item: SubscriptionItem, on: date) -> ItemTerms:
    return next((terms for terms in reversed(item.terms) if terms.effective_from <= on), item.terms[0])


def _days(item: SubscriptionItem, revision: SubscriptionItem) -> list[date]:
    """Return every day on which the sum may change, ascending."""
    ends = [revision.service_start_on, *([revision.service_end_on] if revision.service_end_on else [])]
    days = {terms.effective_from for terms in (*item.terms, *revision.terms)} | set(ends)
    return sorted(day for day in days if _in_force(item, day))


def _with(item: SubscriptionItem, revision: SubscriptionItem) -> SubscriptionItem:
    terms: list[ItemTerms] = []
    for on in _days(item, revision):
        found = msgspec.structs.replace(_at(item, on), effective_from=on)
        if _in_force(revision, on):
            its = _at(revision, on)
            told = [at for at in (found.recorded_at, its.recorded_at) if at is not None]
            quantity = found.quantity + its.quantity
            found = msgspec.structs.replace(found, quantity=quantity, recorded_at=max(told, default=None))
        if found.quantity < 0:
            raise Unclear(f"takes away more than there is: {found.quantity:f} would be left on {on}")
        if not terms or _says(terms[-1]) != _says(found):
            terms.append(found)
    return msgspec.structs.replace(item, terms=tuple(terms))


def _says(terms: ItemTerms) -> tuple[object, ...]:
    return terms.quantity, terms.own_unit_amount, terms.discount_percent
