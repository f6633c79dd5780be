"""Monthly recurring revenue: what a subscription's fixed charges come to a month, from which day on.

Place     kpi agent -> [this]: a subscription becomes steps, which add up over time to its recurring revenue.
Counts    every item that is billed again and again without a meter: its price at the contract's quantity, with own
          price and discount, divided by the months of its billing period. Not usage, not one-time charges, nothing in a
          trial or a pause, no coupons. The days are the contract's own, whatever the zone.
Rounding  the month's amount of an item is rounded once to minor units, half away from zero.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from fakturo.engine.contracts import item_slices
from fakturo.engine.money import EXACT, round_amount, to_minor
from fakturo.engine.periods import add_months, anchored_index, first_instant
from fakturo.engine.prices import usage_of
from fakturo.engine.schedule import NEXT_PERIOD, cadence_of, cadence_period, is_one_time, period_end_on
from fakturo.schemas.events.contracts import Subscription, SubscriptionItem

UTC = "UTC"


def recurring_steps(subscription: Subscription) -> dict[date, int]:
    """Return by how much recurring revenue changes on which day, in minor units a month."""
    steps: defaultdict[date, int] = defaultdict(int)
    for item in subscription.items:
        if item.meter is not None or is_one_time(item):
            continue
        before_minor = 0
        for on in sorted(set(_days_of_change(item))):
            month_minor = monthly_minor(item, on, subscription.currency)
            steps[on] += month_minor - before_minor
            before_minor = month_minor
    return {on: step_minor for on, step_minor in sorted(steps.items()) if step_minor}


def monthly_minor(item: SubscriptionItem, on: date, currency: str) -> int:
    """Return what `item`, as it stands on the day `on`, costs a month, in minor units."""
    if on < item.service_start_on or (item.service_end_on is not None and on >= item.service_end_on):
        return 0
    instant = first_instant(on, UTC)
    period = cadence_period(cadence_of(item), instant, UTC)
    part = next((one for one in item_slices(item, period, UTC, currency) if one.period.contains(instant)), None)
    if part is None:
        return 0
    charge = part.price.charge(usage_of(part.licensed_quantity or Decimal(0)))
    return to_minor(round_amount(EXACT.divide(charge.amount, Decimal(item.billing_months)), currency), currency)


def next_renewal_on(started_on: date, ended_on: date | None, term_months: int | None, after: date) -> date | None:
    """Return the first day after `after` on which a subscription begins a new term or ends, None where nothing says so.

    Where it renews itself, terms of `term_months` follow each other from the start on; else the contract's end counts.
    """
    if ended_on is not None and ended_on <= after:
        return None
    if not term_months:
        return ended_on
    index = max(anchored_index(started_on, after, term_months) + 1, 1)
    renews_on = add_months(started_on, index * term_months)
    return renews_on if ended_on is None else min(renews_on, ended_on)


def _days_of_change(item: SubscriptionItem) -> Iterator[date]:
    """Yield every day from the start of service to its end on which the month's amount may change."""
    yield item.service_start_on
    for on in _dates_of(item):
        if on is None or on <= item.service_start_on:
            continue
        if item.service_end_on is None or on <= item.service_end_on:
            yield on


def _dates_of(item: SubscriptionItem) -> Iterator[date | None]:
    yield from (item.service_end_on, item.trial_until_on)
    yield from (terms.effective_from for terms in item.terms)
    for pause in item.pauses:
        yield from (pause.start_on, pause.end_on)
    for version in item.prices:
        yield version.effective_from
        if item.price_change == NEXT_PERIOD:  # until then the period keeps its price
            yield period_end_on(item, version.effective_from)
