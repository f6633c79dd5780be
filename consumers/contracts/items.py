"""One order item to its subscription items with all their terms. Pure.

Place     mapping -> [this] -> `SubscriptionItem`; item_terms.py says from when each value holds.
Ids       the record id; where the product or its billing changed in mid-service the item ends there and the next one
          starts: `<id>/2`, `<id>/3`, in the order in which the changes were agreed.
Own price only where the unit price differs from the list price, and only on `flat` and licensed `per_unit` prices:
          orgs fill the field on everything, often with 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from fakturo.consumers.contracts.alerts import alerts_of
from fakturo.consumers.contracts.entries import Sale, product_of, term_end_on
from fakturo.consumers.contracts.history import RecordHistory, first_filled
from fakturo.consumers.contracts.item_terms import Segment, Stretch, segments_of
from fakturo.consumers.contracts.lifecycle import Lifecycle
from fakturo.consumers.contracts.offers import Offers, is_licensed, takes_own_price
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import ItemFields, ProductFields
from fakturo.consumers.contracts.values import (
    DAY,
    DayOf,
    Unclear,
    choice_of,
    date_of,
    day_after,
    decimal_of,
    earliest,
    text_of,
    whole_of,
)
from fakturo.engine.catalog import CALENDAR, SERVICE_START, SUBSCRIPTION_START, Product
from fakturo.engine.catalog.products import MONTHS_MAX, billing_faults
from fakturo.engine.schedule import ADVANCE, ARREARS, IMMEDIATE, NEXT_PERIOD
from fakturo.schemas.events.contracts import ItemTerms, SubscriptionItem

NUMBER_MAX = 10**9
AMOUNT_MAX = 10**12
"""More than this is a slip of the pen; on an invoice it would be more than the books can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemContext:
    """What an item takes from its order, its account and the catalog: the order's `life`, currency, cost centre."""

    day_of: DayOf
    life: Lifecycle
    offers: Offers
    currency: str
    cost_centre: str | None
    fields: ItemFields
    product_fields: ProductFields
    products: Mapping[str, RecordHistory]


def map_item(history: RecordHistory, context: ItemContext) -> tuple[list[SubscriptionItem], list[Problem]]:
    """Return the item in its shapes, and what is missing; nothing where it was removed before it started."""
    removed_on = _removed_on(history, context)
    try:
        start_on, planned_end_on = _service(history, context)
        end_on = earliest(planned_end_on, removed_on)
        segments = segments_of(
            history, context.fields, start_on=start_on, agreed_at=context.life.activated_at, day_of=context.day_of
        )
    except Unclear as unclear:
        return [], [] if removed_on else [problem_of(history, str(unclear))]
    items: list[SubscriptionItem] = []
    problems: list[Problem] = []
    for segment in segments:
        try:
            items += _segment_items(history, context, segment, (start_on, end_on))
        except Unclear as unclear:
            problems += [] if removed_on else [problem_of(history, str(unclear))]
    return items, problems


def _service(history: RecordHistory, context: ItemContext) -> tuple[date, date | None]:
    """Return the first day of service and its planned end (exclusive).

    Raises:
        Unclear: a derived field has no value, or the days make no sense.
    """
    if history.unclear:
        raise Unclear(history.unclear[0])
    fields = context.fields
    start_on = date_of(history, fields.first_day, context.day_of) or context.life.started_on
    last_on = date_of(history, fields.last_day, context.day_of)
    if start_on == date.max:
        raise Unclear(f"starts on {start_on}, which is no day to start on; correct {fields.first_day[0]}")
    end_on = day_after(last_on) if last_on else context.life.ended_on or term_end_on(history, fields, start_on)
    if end_on is not None and end_on <= start_on:
        raise Unclear(f"ends on {end_on - DAY}, before it starts on {start_on}")
    return start_on, end_on


def _segment_items(
    history: RecordHistory, context: ItemContext, segment: Segment, service: tuple[date, date | None]
) -> list[SubscriptionItem]:
    """Return the item of one shape, or nothing where it never comes into service.

    Raises:
        Unclear: what is missing or wrong of it.
    """
    start_on, end_on = service
    offer = _billed(_offer(history, segment, start_on, context), segment.values, context)
    item = SubscriptionItem(
        subscription_item=history.record_id if segment.number == 1 else f"{history.record_id}/{segment.number}",
        product_code=offer.code,
        product_name=offer.name,
        billing=offer.billing,
        service_start_on=segment.start_on,
        service_end_on=earliest(segment.end_on, end_on),
        terms=_terms(segment, context, offer, lowest=-NUMBER_MAX if revises(history, context.fields) else 0),
        prices=offer.prices,
        tax=offer.tax,
        meter=offer.meter,
        unit=offer.unit,
        billing_months=offer.billing_months,
        anchor_on=_anchor_on(offer, start_on, context),
        trial_until_on=_trial_until_on(history, context, offer, start_on),
        pauses=context.life.pauses if offer.billing_months else (),
        price_change=_price_change(history, context.fields) or offer.price_change,
        allowance_months=offer.allowance_months,
        cost_centre=text_of(history.value(context.fields.cost_centre)) or context.cost_centre,
        alerts=alerts_of(history, context.fields, offer, context.currency),
    )
    ends_on = context.life.end_of(item)
    if ends_on is not None and ends_on <= segment.start_on:
        # Without days: the first shape leaves no trace, a later one may have been billed and stays to be reversed.
        return [msgspec.structs.replace(item, service_end_on=segment.start_on)] if segment.number > 1 else []
    return [msgspec.structs.replace(item, service_end_on=ends_on)]


def revises(history: RecordHistory, fields: ItemFields) -> bool:
    """Return whether the item changes the quantity of another one."""
    return bool(history.value(fields.revises))


def problem_of(history: RecordHistory, what: str) -> Problem:
    """Return the sentence "OrderItem 802... <what>."."""
    return Problem(history.entity, history.record_id, f"{history.entity} {history.record_id} {what}.")


def _offer(history: RecordHistory, segment: Segment, start_on: date, context: ItemContext) -> Product:
    """Return what the catalog offers as the product of a shape, else what the org's own price list does.

    Raises:
        Unclear: what is missing.
    """
    product_id = first_filled(segment.values, context.fields.product)
    if product_id is None:
        raise Unclear(f"names no product in {context.fields.product[0]}")
    product = context.products.get(product_id)
    if product is None:
        raise Unclear(f"waits for its product {product_id}, which has not arrived")
    code = text_of(product.value(context.product_fields.code))
    if code is None and not context.fields.entry_price:
        raise Unclear(f"has the product {product_id}, whose {context.product_fields.code[0]} is empty")
    offer = context.offers.find(code, context.currency) if code else None
    if offer is None:
        sale = Sale(
            item=history,
            product=product,
            code=code or str(product_id),
            currency=context.currency,
            start_on=start_on,
            day_of=context.day_of,
        )
        return product_of(sale, context.fields, context.product_fields, context.offers)
    if not offer.prices:
        raise Unclear(f"has the product {code}, which has no price in {context.currency}; add one to the catalog")
    return offer


def _billed(offer: Product, values: dict[str, Any], context: ItemContext) -> Product:
    """Return `offer` billed as the item's own fields say.

    Raises:
        Unclear: a field that cannot be followed, or that does not go with the others.
    """
    fields = context.fields
    months = whole_of(values, fields.billing_months, 0, MONTHS_MAX)
    billing = choice_of(values, fields.billing, (ARREARS, ADVANCE))
    anchor = text_of(first_filled(values, fields.anchor))
    if months is None and billing is None and anchor is None:
        return offer
    changed = replace(
        offer,
        billing_months=offer.billing_months if months is None else months,
        billing=billing or offer.billing,
        anchor=offer.anchor if anchor is None else _anchor(anchor, fields),
        trial_days=0 if months == 0 else offer.trial_days,
    )
    faults = billing_faults(changed, metered=offer.meter is not None)
    if faults:
        texts = "; ".join(f"{field} {message}" for _, field, message in faults)
        raise Unclear(f"is billed in a way that {offer.code} cannot be: {texts}")
    return changed


def _anchor(value: str, fields: ItemFields) -> str | date:
    word = value.strip().lower().replace(" ", "_")
    if word in (CALENDAR, SERVICE_START, SUBSCRIPTION_START):
        return word
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        known = ", ".join((CALENDAR, SERVICE_START, SUBSCRIPTION_START))
        raise Unclear(f"has {value!r} in {fields.anchor[0]}; it must be {known} or a date (YYYY-MM-DD)") from None


def _anchor_on(offer: Product, start_on: date, context: ItemContext) -> date | None:
    """Return what periods are counted from; a change of product keeps the anchor of the first one."""
    match offer.anchor:
        case date():
            return offer.anchor
        case "service_start":
            return start_on
        case "subscription_start":
            return context.life.started_on
        case _:
            return None


def _price_change(history: RecordHistory, fields: ItemFields) -> str | None:
    values = {name: history.value((name,)) for name in fields.price_change}
    return choice_of(values, fields.price_change, (IMMEDIATE, NEXT_PERIOD))


def _trial_until_on(history: RecordHistory, context: ItemContext, offer: Product, start_on: date) -> date | None:
    """Return the first day that costs: the one after the item's own last free day, else by the product's trial days."""
    last_on = date_of(history, context.fields.trial_last_day, context.day_of)
    if last_on:
        return day_after(last_on)
    return start_on + timedelta(days=offer.trial_days) if offer.trial_days else None


def _removed_on(history: RecordHistory, context: ItemContext) -> date | None:
    deleted_at = history.deleted_at()
    return earliest(context.day_of(deleted_at) if deleted_at else None, context.life.closed_on)


def _terms(segment: Segment, context: ItemContext, offer: Product, lowest: int) -> tuple[ItemTerms, ...]:
    """Return the terms of a shape, ascending, the first from its start on; no quantity is below `lowest`.

    Raises:
        Unclear: what is wrong with the newest ones; older ones that are wrong are passed over.
    """
    terms: list[ItemTerms] = []
    problem: Unclear | None = None
    for stretch in segment.stretches or [_whole(segment)]:
        try:
            built = _terms_of(stretch, context, offer, lowest)
        except Unclear as unclear:
            problem = unclear
            continue
        problem = None
        if not terms:
            built = msgspec.structs.replace(built, effective_from=segment.start_on)
        if not terms or not _same(terms[-1], built):
            terms.append(built)
    if problem is not None:
        raise problem
    return tuple(terms)


def _whole(segment: Segment) -> Stretch:
    return Stretch(start_on=segment.start_on, values=segment.values, recorded_at=segment.recorded_at)


def _same(one: ItemTerms, other: ItemTerms) -> bool:
    return (one.quantity, one.own_unit_amount, one.discount_percent) == (
        other.quantity,
        other.own_unit_amount,
        other.discount_percent,
    )


def _terms_of(stretch: Stretch, context: ItemContext, offer: Product, lowest: int) -> ItemTerms:
    """Return the terms that the values of `stretch` give.

    Raises:
        Unclear: what is wrong with them.
    """
    fields = context.fields
    quantity = decimal_of(first_filled(stretch.values, fields.quantity))
    discount = decimal_of(first_filled(stretch.values, fields.discount_percent))
    own = _own_price(stretch.values, fields) if takes_own_price(offer) else None
    if quantity is None and is_licensed(offer):
        raise Unclear(f"has no quantity: fill {fields.quantity[0]}")
    if quantity is not None and not lowest <= quantity <= NUMBER_MAX:
        raise Unclear(f"has the quantity {quantity}; it must not be negative, nor above {NUMBER_MAX}")
    if discount is not None and not 0 <= discount <= 100:
        raise Unclear(f"has a discount of {discount} %; correct {fields.discount_percent[0]} to 0 to 100")
    if own is not None and not 0 <= own * (abs(quantity) if quantity else 1) <= AMOUNT_MAX:
        raise Unclear(f"has the unit price {own}; it must not be negative, nor the amount above {AMOUNT_MAX}")
    return ItemTerms(
        effective_from=stretch.start_on,
        quantity=Decimal(1) if quantity is None else quantity,
        own_unit_amount=own,
        discount_percent=discount or None,
        recorded_at=stretch.recorded_at,
    )


def _own_price(values: dict[str, Any], fields: ItemFields) -> Decimal | None:
    unit_price = decimal_of(first_filled(values, fields.unit_price))
    list_price = decimal_of(first_filled(values, fields.list_price))
    if list_price is None:  # nothing to differ from: a 0 is then the form's filler, not a gift
        return unit_price or None
    return unit_price if unit_price != list_price else None
