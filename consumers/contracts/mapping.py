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
from fakturo.consumers.contracts.items import ItemContext, map_item, problem_of, revises
from fakturo.consumers.contracts.lifecycle import NOW, Lifecycle, lifecycle_of
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.revisions import added_up, root_of
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
        return None, _not_arrived(records, fields.entity)
    if profile.item.is_own_subscription and not records.items:
        return None, []  # an item of another subscription
    try:
        known, seller, currency = _checked(order, account, offers, profile)
        life = lifecycle_of(order, fields, lambda at: local_day(known, at))
    except Unclear as unclear:
        return None, [problem_of(order, str(unclear))]
    if life is None:
        return None, [problem_of(order, "is not activated")]
    agreed = agreements_of(order, fields, offers, currency, life)
    context = ItemContext(
        day_of=lambda at: local_day(known, at),
        life=life,
        offers=offers,
        currency=currency,
        cost_centre=text_of(order.value(fields.cost_centre)),
        fields=profile.item,
        product_fields=profile.product,
        products=records.products,
    )
    items, problems = _map_items(records.items, context)
    if not items and life.closed_on is None:
        problems.append(problem_of(order, "has no item that can be billed"))
        return None, problems
    problems += [problem_of(order, text) for text in (*life.unclear, *agreed.unclear)] + _gap_of(order)
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
        contact_name=text_of(order.value(fields.contact_name)),
        contact_email=text_of(order.value(fields.contact_email)),
    )
    return mapped, problems


def _not_arrived(records: SubscriptionRecords, entity: str) -> list[Problem]:
    if not records.items:
        return []
    text = f"{entity} {records.order_id} has not arrived; {len(records.items)} of its items wait for it."
    return [Problem(entity, records.order_id, text)]


def _gap_of(order: RecordHistory) -> list[Problem]:
    if not order.gap:
        return []
    text = f"{order.entity} {order.record_id}: Salesforce reported {order.gap} without its content"
    return [Problem(order.entity, order.record_id, f"{text}; read the record again.")]


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
    problems: list[Problem] = []
    shapes: dict[str, list[SubscriptionItem]] = {}
    revisions: list[tuple[RecordHistory, SubscriptionItem]] = []
    by_id = {history.record_id: history for history in histories}
    for record_id, history in sorted(by_id.items()):
        mapped, missing = map_item(history, context)
        problems += missing
        if revises(history, context.fields):
            revisions += [(history, item) for item in mapped]
        else:
            shapes[record_id] = mapped
    for history, item in sorted(revisions, key=_by_start):
        root = root_of(history, by_id, context.fields.revises)
        root_id = root.record_id if root else history.record_id
        try:
            shapes[root_id] = added_up(shapes.get(root_id, []), item)
        except Unclear as unclear:
            problems.append(problem_of(history, str(unclear)))
    return [item for _, items in sorted(shapes.items()) for item in items], problems


def _by_start(revision: tuple[RecordHistory, SubscriptionItem]) -> tuple[date, bool, str]:
    """Order revisions by their first day; of one day, what adds comes before what takes away."""
    history, item = revision
    return item.service_start_on, any(terms.quantity < 0 for terms in item.terms), history.record_id


def _checked(
    order: RecordHistory, account: AccountChanged | None, offers: Offers, profile: Profile
) -> tuple[AccountChanged, Seller | None, str]:
    """Return the order's account, seller and currency.

    Raises:
        Unclear: why the order as a whole cannot be billed yet.
    """
    fields = profile.subscription
    if order.unclear:
        raise Unclear(order.unclear[0])
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
        text = f"is in {currency}, the catalog's prices are in {known}"
        raise Unclear(f"{text}; add prices in {currency} to the catalog, or correct the currency in Salesforce")
    return account, seller, currency
