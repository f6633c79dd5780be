"""Which period of an item is billed next, and what an account was at an instant.

Place     `AccountChanged` and `SubscriptionItem` of `billing.contracts` -> [this] -> the pointers by which the agents
          `usage` and `invoicing` find what is due.
Holds     periods of one item touch and never overlap, also where the account changes its zone: the next one begins
          where the last one ended.
Source    PRICING.md, Periods.
"""

from collections.abc import Sequence
from datetime import date, datetime

from fakturo.engine.periods import Period, first_instant, local_date, period_containing
from fakturo.schemas.events.contracts import AccountVersion, SubscriptionItem


def version_at(versions: Sequence[AccountVersion], instant: datetime) -> AccountVersion:
    """Return what the account was at `instant`; its first version holds for all time before the second."""
    found = versions[0]
    for version in versions[1:]:
        if version.effective_at > instant:
            break
        found = version
    return found


def zone_at(versions: Sequence[AccountVersion], instant: datetime) -> str:
    """Return the IANA name of the account's zone at `instant`."""
    return version_at(versions, instant).timezone


def next_item_period(
    item: SubscriptionItem,
    versions: Sequence[AccountVersion],
    done_until_at: datetime | None,
    billing_until: date | None,
) -> Period | None:
    """Return the next period of `item` after `done_until_at` (None: the one that holds its service start).

    None when the service has ended before it, or when it would open on or after the local date `billing_until`.
    """
    zone = zone_at(versions, done_until_at) if done_until_at else versions[0].timezone
    from_at = first_instant(item.service_start_on, zone)
    if done_until_at is None:
        zone = zone_at(versions, from_at)
        from_at = first_instant(item.service_start_on, zone)
    else:
        from_at = max(from_at, done_until_at)
    if item.service_end_on is not None and first_instant(item.service_end_on, zone) <= from_at:
        return None
    month = period_containing(from_at, zone)
    if billing_until is not None and local_date(month.start_at, zone) >= billing_until:
        return None
    start_at = max(month.start_at, done_until_at) if done_until_at else month.start_at
    return Period(start_at=start_at, end_at=month.end_at)
