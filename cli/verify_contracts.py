"""What should have been billed: the slices of every item's months, from the subscriptions as published.

Place     contracts.published -> [this] -> verify_invoices. Nothing of the engine's periods or contracts is used:
          months, midnights and slices are worked out here again, by the calendar and `zoneinfo`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from fakturo.schemas.events.contracts import AccountChanged, ItemTerms, PriceVersion, Subscription, SubscriptionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSlice:
    """One line that an invoice should have: an item, from `start_on` up to, not including, `end_on`.

    `month_on` is the first day of its billing period; `final` marks the last slice of the item in it.
    """

    account: str
    currency: str
    item: SubscriptionItem
    month_on: date
    month_end_on: date
    start_on: date
    end_on: date
    month_at: datetime
    month_end_at: datetime
    start_at: datetime
    end_at: datetime
    version: PriceVersion
    terms: ItemTerms
    final: bool

    @property
    def key(self) -> tuple[str, datetime]:
        """Return what names the line: the item and the slice's first instant."""
        return self.item.subscription_item, self.start_at


async def expected_slices(connection: asyncpg.Connection, billed_until_at: datetime | None) -> list[ExpectedSlice]:
    """Return every slice of the months that end by `billed_until_at` (the end of the last period billed)."""
    if billed_until_at is None:
        return []
    rows = await connection.fetch("SELECT role, content::text AS content FROM contracts.published ORDER BY role")
    zones: dict[str, ZoneInfo] = {}
    slices: list[ExpectedSlice] = []
    for row in rows:
        if row["role"] == "account":
            account = msgspec.json.decode(row["content"], type=AccountChanged)
            zones[account.account] = ZoneInfo(account.versions[-1].timezone)
        else:
            subscription = msgspec.json.decode(row["content"], type=Subscription)
            slices.extend(_slices(subscription, zones[subscription.account], billed_until_at))
    return slices


def _slices(subscription: Subscription, zone: ZoneInfo, billed_until_at: datetime) -> Iterator[ExpectedSlice]:
    for item in subscription.items:
        month_on = item.service_start_on.replace(day=1)
        while midnight(month_end_on := _next_month(month_on), zone) <= billed_until_at:
            bounds = _bounds(item, month_on, month_end_on)
            for start_on, end_on in pairwise(bounds):
                version = _version(item, start_on)
                if version is None:
                    continue
                yield ExpectedSlice(
                    account=subscription.account,
                    currency=subscription.currency,
                    item=item,
                    month_on=month_on,
                    month_end_on=month_end_on,
                    start_on=start_on,
                    end_on=end_on,
                    month_at=midnight(month_on, zone),
                    month_end_at=midnight(month_end_on, zone),
                    start_at=midnight(start_on, zone),
                    end_at=midnight(end_on, zone),
                    version=version,
                    terms=_terms(item, start_on),
                    final=end_on == bounds[-1],
                )
            month_on = month_end_on


def _bounds(item: SubscriptionItem, month_on: date, month_end_on: date) -> list[date]:
    first = max(month_on, item.service_start_on)
    after = min(month_end_on, item.service_end_on or month_end_on)
    changes = [version.effective_from for version in item.prices]
    changes += [terms.effective_from for terms in _terms_that_split(item)]
    return sorted({first, after, *(on for on in changes if first < on < after)}) if first < after else []


def _terms(item: SubscriptionItem, on: date) -> ItemTerms:
    return [terms for terms in item.terms if terms.effective_from <= on or terms is item.terms[0]][-1]


def _terms_that_split(item: SubscriptionItem) -> list[ItemTerms]:
    """Return the terms that change an amount: the quantity of a metered item does not."""
    found: list[ItemTerms] = []
    for terms in item.terms:
        if not found or _amounts(item, terms) != _amounts(item, found[-1]):
            found.append(terms)
    return found


def _amounts(item: SubscriptionItem, terms: ItemTerms) -> tuple[object, ...]:
    quantity = None if item.meter else terms.quantity
    return quantity, terms.own_unit_amount, terms.discount_percent


def _version(item: SubscriptionItem, on: date) -> PriceVersion | None:
    versions = [version for version in item.prices if version.effective_from <= on]
    return versions[-1] if versions else None


def midnight(on: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of `on` in `zone`, in UTC; where midnight is skipped, the instant that follows it."""
    return datetime.combine(on, time(), zone).astimezone(UTC)


def _next_month(month_on: date) -> date:
    return date(month_on.year + month_on.month // 12, month_on.month % 12 + 1, 1)
