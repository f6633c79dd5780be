"""CRM records to subscriptions: pure, and a function of the records' histories alone.

Place     publication -> [this] (the order's life in lifecycle.py, what it agrees on in agreements.py, its items in
          items.py; accounts in accounts.py) -> `Subscription`.
Problem   what cannot be mapped yet becomes a sentence for an administrator; the rest goes on without it.
Days      Salesforce's last days are inclusive, ours exclusive; a commit's day is taken in the account's zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from fakturo.consumers.contracts.accounts import local_day
from fakturo.consumers.contracts.agreements import agreements_of, seller_of
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.items import ItemContext, map_item
from fakturo.consumers.contracts.lifecycle import NOW, Lifecycle, lifecycle_of
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.values import Unclear, earliest, text_of
from fakturo.schemas.events.contracts import AccountChanged, Seller, Subscription, SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRecords:
    """The records that one subscription is made of; `order` is None where only items of it have arrived."""

    order_id: str
    order: RecordHistory | None
    items: Sequence[RecordHistory]
    products: Mapping[str, RecordHistory]


def map_subscription(
    records: SubscriptionRecords, account: AccountChanged | None, offers: Offers, profile: Profile
) -> tuple[Subscription | None, list[Problem]]:
    """Return the subscription with every item that is complete, or None; and a sentence for all that is not.

    A subscription exists from its order's first activation on; deactivation and deletion end it, on the local day of
    that commit, but never before it began. An order that never was activated is no subscription.
    """
    order, fields = records.order, profile.subscription
    if order is None:
        count = len(records.items)
        text = f"Order {records.order_id} has not arrived; {count} of its items wait for it."
        return None, [Problem("Order", records.order_id, text)]
    try:
        known, seller, currency = _checked(order, account, offers, profile)
    except Unclear as unclear:
        return None, [_problem(order, str(unclear))]
    life = lifecycle_of(order, fields, lambda at: local_day(known, at))
    if life is None:
        return None, [_problem(order, "is not activated")]
    agreed = agreements_of(order, fields, offers, currency, life)
    context = ItemContext(
        day_of=lambda at: local_day(known, at),
        life=life,
        offers=offers,
        currency=currency,
        cost_centre=text_of(order.value(fields.cost_centre)),
        fields=profile.item,
        product_code=profile.product.code,
        products=records.products,
    )
    items, problems = _map_items(records.items, context)
    if not items and life.closed_on is None:
        problems.append(_problem(order, "has no item that can be billed"))
        return None, problems
    problems += [_problem(order, text) for text in (*life.unclear, *agreed.unclear)]
    if order.gap:
        text = f"Order {order.record_id}: Salesforce reported {order.gap} without its content; read the record again."
        problems.append(Problem("Order", order.record_id, text))
    used = [order, *records.items, *records.products.values()]
    mapped = Subscription(
        subscription_id=order.record_id,
        account=known.account,
        currency=currency,
        started_on=life.started_on,
        ended_on=_ended_on(life, items),
        items=tuple(items),
        recorded_at=max(history.recorded_at for history in used),
        seller=seller,
        coupons=agreed.coupons,
        commitment=agreed.commitment,
        loyalty=agreed.loyalty,
        spend_cap_minor=agreed.spend_cap_minor,
        billing_threshold_minor=agreed.billing_threshold_minor,
        auto_renew=life.auto_renew,
        term_months=life.term_months,
        approval_required=agreed.approval_required,
    )
    return mapped, problems


def _problem(order: RecordHistory, what: str) -> Problem:
    return Problem("Order", order.record_id, f"Order {order.record_id} {what}.")


def _ended_on(life: Lifecycle, items: Sequence[SubscriptionItem]) -> date | None:
    """Return the end of the order: its own, or where it was cancelled that of its last item."""
    ends = earliest(life.ended_on, life.closed_on)
    if life.cancelled_on is None:
        return ends
    last = [item.service_end_on for item in items]
    if life.cancel_at == NOW or not last:
        return earliest(ends, life.cancelled_on)
    known = [day for day in last if day is not None]
    return earliest(ends, max(known) if len(known) == len(last) else None)


def _map_items(
    histories: Sequence[RecordHistory], context: ItemContext
) -> tuple[list[SubscriptionItem], list[Problem]]:
    items: list[SubscriptionItem] = []
    problems: list[Problem] = []
    for history in sorted(histories, key=lambda found: found.record_id):
        mapped, missing = map_item(history, context)
        items += mapped
        problems += missing
    return items, problems


def _checked(
    order: RecordHistory, account: AccountChanged | None, offers: Offers, profile: Profile
) -> tuple[AccountChanged, Seller | None, str]:
    """Return the order's account, seller and currency.

    Raises:
        Unclear: why the order as a whole cannot be billed yet.
    """
    fields = profile.subscription
    wanted = order.value(fields.account)
    if wanted is None:
        raise Unclear(f"names no account in {fields.account[0]}")
    if account is None:
        raise Unclear(f"waits for its account {wanted}, which is not known or not complete")
    if order.value(fields.first_day) is None:
        raise Unclear(f"has no start: fill {fields.first_day[0]}")
    if offers.currency is None:
        raise Unclear("cannot be priced: no catalog is set (FAKTURO_CATALOG)")
    seller = seller_of(order, fields, offers)
    currency = str(order.value(fields.currency) or (seller.currency if seller else None) or offers.currency)
    if currency not in offers.currencies:
        known = ", ".join(sorted(offers.currencies))
        raise Unclear(f"is in {currency}, the catalog's prices are in {known}")
    return account, seller, currency
