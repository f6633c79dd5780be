"""One order item to one subscription item with all its terms. Pure.

Place     mapping -> [this] -> `SubscriptionItem`.
Terms     the first terms hold from the start of service: what was edited up to the order's activation, or up to the
          start, replaces them. A later change holds from the local day of its commit.
Own price only where the unit price differs from the list price, and only on `flat` and licensed `per_unit` prices:
          orgs fill the field on everything, often with 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from fakturo.consumers.contracts.history import Moment, RecordHistory, first_filled
from fakturo.consumers.contracts.offers import Offers, is_licensed, takes_own_price
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import ItemFields
from fakturo.engine.catalog import Product
from fakturo.schemas.events.contracts import ItemTerms, SubscriptionItem

DAY = timedelta(days=1)
NUMBER_MAX = 10**9
AMOUNT_MAX = 10**12
"""More than this is a slip of the pen; on an invoice it would be more than the books can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemContext:
    """What an item takes from its order, its account and the catalog.

    `ended_on` is the order's planned end (exclusive), which an item's own end replaces; `closed_on` the day on which
    the order was deactivated or deleted, which ends every item. `agreed_at` is the order's activation.
    """

    account: str
    day_of: Callable[[datetime], date]
    started_on: date
    ended_on: date | None
    closed_on: date | None
    agreed_at: datetime
    offers: Offers
    fields: ItemFields
    product_code: tuple[str, ...]
    products: Mapping[str, RecordHistory]


def map_item(history: RecordHistory, context: ItemContext) -> SubscriptionItem | Problem | None:
    """Return the item, or what is missing, or None where it was removed before it started."""
    offer = _offer(history, context)
    if isinstance(offer, str):
        removed = history.deleted_at() is not None or context.closed_on is not None
        return None if removed else _problem(history, offer)
    start_on, planned_end_on = _planned_days(history, context)
    if start_on == date.max:
        return _problem(
            history, f"starts on {start_on}, which is no day to start on; correct {context.fields.first_day[0]}"
        )
    if planned_end_on is not None and planned_end_on <= start_on:
        return _problem(history, f"ends on {planned_end_on - DAY}, before it starts on {start_on}")
    end_on = _earliest(planned_end_on, _removed_on(history, context))
    if end_on is not None and end_on <= start_on:
        return None
    terms = _terms(history, context, offer, start_on)
    if isinstance(terms, str):
        return _problem(history, terms)
    return SubscriptionItem(
        subscription_item=history.record_id,
        product_code=offer.code,
        product_name=offer.name,
        billing=offer.billing,
        service_start_on=start_on,
        service_end_on=end_on,
        terms=terms,
        prices=offer.prices,
        tax=offer.tax,
        meter=offer.meter,
        unit=offer.unit,
    )


def _problem(history: RecordHistory, what: str) -> Problem:
    return Problem(history.entity, history.record_id, f"{history.entity} {history.record_id} {what}.")


def _offer(history: RecordHistory, context: ItemContext) -> Product | str:
    """Return what the catalog offers as the item's product, or what is missing."""
    fields = context.fields
    product_id = history.value(fields.product)
    if product_id is None:
        return f"names no product in {fields.product[0]}"
    product = context.products.get(product_id)
    if product is None:
        return f"waits for its product {product_id}, which has not arrived"
    code = product.value(context.product_code)
    if code is None:
        return f"has the product {product_id}, whose {context.product_code[0]} is empty"
    offer = context.offers.by_code.get(str(code))
    return offer if offer is not None else f"has the product {code}, which the catalog does not know"


def _planned_days(history: RecordHistory, context: ItemContext) -> tuple[date, date | None]:
    first, last = history.value(context.fields.first_day), history.value(context.fields.last_day)
    start_on = date.fromisoformat(first) if first else context.started_on
    return start_on, day_after(last) if last else context.ended_on


def day_after(last_day: str) -> date | None:
    """Return the exclusive end for an inclusive last day; None for 9999-12-31, by which people mean no end."""
    last_on = date.fromisoformat(last_day)
    return None if last_on == date.max else last_on + DAY


def _removed_on(history: RecordHistory, context: ItemContext) -> date | None:
    deleted_at = history.deleted_at()
    return _earliest(context.day_of(deleted_at) if deleted_at else None, context.closed_on)


def _earliest(*days: date | None) -> date | None:
    return min((day for day in days if day is not None), default=None)


def _terms(history: RecordHistory, context: ItemContext, offer: Product, start_on: date) -> tuple[ItemTerms, ...] | str:
    """Return the terms, ascending, the first from `start_on` on; or what is wrong with the newest ones."""
    terms: list[ItemTerms] = []
    problem: str | None = "has no quantity yet"
    for moment in history.timeline(context.fields.terms) or [_empty_moment(history)]:
        built = _terms_at(moment, context, offer, start_on)
        if isinstance(built, str):
            problem = built
            continue
        problem = None
        if not terms or moment.effective_at <= context.agreed_at or built.effective_from <= start_on:
            built = msgspec.structs.replace(built, effective_from=start_on)
        _add(terms, built)
    return problem if problem is not None else tuple(terms)


def _add(terms: list[ItemTerms], new: ItemTerms) -> None:
    """Add `new`; it replaces terms of the same day, and terms equal to what holds already change nothing."""
    while terms and terms[-1].effective_from >= new.effective_from and not _same(terms[-1], new):
        terms.pop()
    if not terms or not _same(terms[-1], new):
        terms.append(new)


def _same(one: ItemTerms, other: ItemTerms) -> bool:
    return (one.quantity, one.own_unit_amount, one.discount_percent) == (
        other.quantity,
        other.own_unit_amount,
        other.discount_percent,
    )


def _empty_moment(history: RecordHistory) -> Moment:
    return Moment(effective_at=history.effective_at, recorded_at=history.recorded_at, values={})


def _terms_at(moment: Moment, context: ItemContext, offer: Product, start_on: date) -> ItemTerms | str:
    """Return the terms that the item's values at `moment` give, or what is wrong with them."""
    fields = context.fields
    quantity = _decimal(first_filled(moment.values, fields.quantity))
    discount = _decimal(first_filled(moment.values, fields.discount_percent))
    own = _own_price(moment.values, fields) if takes_own_price(offer) else None
    if quantity is None and is_licensed(offer):
        return f"has no quantity: fill {fields.quantity[0]}"
    if quantity is not None and not 0 <= quantity <= NUMBER_MAX:
        return f"has the quantity {quantity}; it must not be negative, nor above {NUMBER_MAX}"
    if discount is not None and not 0 <= discount <= 100:
        return f"has a discount of {discount} %; correct {fields.discount_percent[0]} to 0 to 100"
    if own is not None and not 0 <= own * (quantity or 1) <= AMOUNT_MAX:
        return f"has the unit price {own}; it must not be negative, nor the amount above {AMOUNT_MAX}"
    return ItemTerms(
        effective_from=max(start_on, context.day_of(moment.effective_at)),
        quantity=Decimal(1) if quantity is None else quantity,
        own_unit_amount=own,
        discount_percent=discount or None,
        recorded_at=moment.recorded_at,
    )


def _own_price(values: dict[str, Any], fields: ItemFields) -> Decimal | None:
    unit_price = _decimal(first_filled(values, fields.unit_price))
    list_price = _decimal(first_filled(values, fields.list_price))
    if list_price is None:  # nothing to differ from: a 0 is then the form's filler, not a gift
        return unit_price or None
    return unit_price if unit_price != list_price else None


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
