"""When the next invoice of a subscription falls due, as far as it is known today.

Place     `Subscription`, `AccountChanged` of `billing.contracts` -> [this] (calls schedule) -> crm_sync -> the org.
Rules     the first period of any item that falls due after the instant asked and that something can be charged in: one
          that lies wholly in a trial or a pause is passed over. Usage may turn out to be nothing: this is when the
          document is due, not that it has an amount.
Cost      a few periods an item, however long the subscription has run.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from fakturo.engine.periods import Period, first_instant
from fakturo.engine.schedule import bill_at, cadence_of, cadence_period, is_one_time, next_item_period, zone_at
from fakturo.schemas.events.contracts import AccountVersion, SubscriptionItem

PERIODS_MAX = 240
"""How far is looked for a period without trial or pause: twenty years of months."""


def next_bill_at(
    items: Sequence[SubscriptionItem], versions: Sequence[AccountVersion], after: datetime
) -> datetime | None:
    """Return the first instant after `after` at which one of `items` is billed; None when none ever is again."""
    found = (_item_bill_at(item, versions, after) for item in items)
    return min((at for at in found if at is not None), default=None)


def _item_bill_at(item: SubscriptionItem, versions: Sequence[AccountVersion], after: datetime) -> datetime | None:
    for period in _periods(item, versions, after):
        at = bill_at(item, period)
        if at > after and _can_charge(item, period, zone_at(versions, period.start_at)):
            return at
    return None


def _periods(item: SubscriptionItem, versions: Sequence[AccountVersion], after: datetime) -> Iterator[Period]:
    """Yield the item's first period, then those from about `after` on."""
    period = next_item_period(item, versions, None, None)
    if period is None:
        return
    yield period
    done_until_at = period.end_at
    if not is_one_time(item) and after > done_until_at:
        done_until_at = max(done_until_at, cadence_period(cadence_of(item), after, zone_at(versions, after)).start_at)
    for _ in range(PERIODS_MAX):
        period = next_item_period(item, versions, done_until_at, None)
        if period is None:
            return
        yield period
        done_until_at = period.end_at


def _can_charge(item: SubscriptionItem, period: Period, zone: str) -> bool:
    """Return whether some of the period is neither trial nor pause nor after the end of service."""
    free_from_at = max(period.start_at, first_instant(item.service_start_on, zone))
    if item.trial_until_on is not None:
        free_from_at = max(free_from_at, first_instant(item.trial_until_on, zone))
    end_at = period.end_at
    if item.service_end_on is not None:
        end_at = min(end_at, first_instant(item.service_end_on, zone))
    for pause in sorted(item.pauses, key=lambda pause: pause.start_on):
        if first_instant(pause.start_on, zone) > free_from_at:
            break
        if pause.end_on is None:
            return False
        free_from_at = max(free_from_at, first_instant(pause.end_on, zone))
    return free_from_at < end_at
