"""What should have been billed: the slices of every item's periods, from the subscriptions as published.

Place     contracts.published + what fell due -> [this] -> verify_rating. Nothing of the engine's contracts is used:
          where a price, terms, a trial or a pause begins or ends is worked out here again, with verify_periods.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

import asyncpg

from fakturo.cli.verify_periods import (
    Bounds,
    allowance_of,
    day_of,
    falls_due_at,
    item_periods,
    midnight,
    prorated_by,
    whole_period,
)
from fakturo.cli.verify_published import Contracts
from fakturo.engine.prices import Price, parse_price
from fakturo.schemas.events.contracts import AccountVersion, ItemTerms, PriceVersion, Subscription, SubscriptionItem

_NOTHING = {"model": "flat", "amount": "0"}
"""What a trial costs."""

Key = tuple[str, datetime, datetime, str]
"""Item, start and end of a slice, hash of its price."""

NEVER = datetime.min.replace(tzinfo=UTC)

Dated = TypeVar("Dated", PriceVersion, ItemTerms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSlice:
    """One line that the bills of an item's period should add up to.

    The usage of `counted` is priced, less the price of that of `billed`, its beginning (an allowance); fixed parts are
    a share of `whole`. `final` marks the last slice of what a minimum is for. One that is not `shown` lies before the
    period, in the same allowance, and only counts towards the minimum. `quantity` is the contract's, None where a meter
    gives it.
    """

    account: str
    currency: str
    item: SubscriptionItem
    zone: ZoneInfo
    period: Bounds
    bounds: Bounds
    counted: Bounds
    billed: Bounds | None
    whole: Bounds
    version: PriceVersion
    price: Price
    trial: bool
    quantity: Decimal | None
    final: bool = False
    shown: bool = True

    @property
    def key(self) -> Key:
        """Return what names the line: the item, its slice and the price that it used."""
        return self.item.subscription_item, *self.bounds, self.version.hash

    def goes_on(self, later: "ExpectedSlice") -> bool:
        """Return whether `later` follows without a gap and costs the same: then the two are one."""
        return (
            self.bounds.end_at == later.bounds.start_at
            and (self.version.hash, self.price, self.trial) == (later.version.hash, later.price, later.trial)
            and (not self.price.licensed or self.quantity == later.quantity)
        )


def expected_slices(contracts: Contracts, reached: Bounds) -> list[ExpectedSlice]:
    """Return every slice of the periods that have fallen due by what was billed (`reached_by`)."""
    slices: list[ExpectedSlice] = []
    for subscription, item in contracts.items():
        versions = contracts.accounts[subscription.account].versions
        for period, zone in item_periods(item, versions):
            if period.start_at > reached.start_at or falls_due_at(item, period) > reached.end_at:
                break
            slices.extend(_slices(subscription, item, period, zone, versions))
    return slices


async def reached_by(connection: asyncpg.Connection, contracts: Contracts) -> Bounds:
    """Return the newest start of a period that was billed in its turn, and the newest instant for which one was.

    Both bound what is expected: what starts later lies behind the date at which billing ends. What was billed before
    its time, at a threshold, says nothing, and of corrections only those of that day: they complete such a bill.
    """
    items = {item.subscription_item: item for _, item in contracts.items()}
    found: list[Bounds] = []
    for row in await connection.fetch(
        "SELECT DISTINCT subscription_item, item_period_start_at, item_period_end_at, i.issue_on, "
        "l.kind IN ('charge', 'one_time') AS is_first "
        "FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id) WHERE l.kind <> 'true_up'"
    ):
        item = items.get(row["subscription_item"])
        period = Bounds(row["item_period_start_at"], row["item_period_end_at"])
        if item is not None:
            due_at = falls_due_at(item, period)
            early = (due_at.date() - row["issue_on"]).days
            if early <= 1 and (row["is_first"] or early >= -1):
                found.append(Bounds(period.start_at, due_at))
    return Bounds(
        max([one.start_at for one in found], default=NEVER), max([one.end_at for one in found], default=NEVER)
    )


def _slices(
    subscription: Subscription,
    item: SubscriptionItem,
    period: Bounds,
    zone: ZoneInfo,
    versions: Sequence[AccountVersion],
) -> list[ExpectedSlice]:
    window = allowance_of(item, period, zone)
    if window is None:
        parts = _joined(_cut(subscription, item, period, zone))
        return [replace(part, final=part is parts[-1]) for part in parts]
    stretches = [*_periods_before(item, window, period, zone), period]
    parts = _joined(part for one in stretches for part in _cut(subscription, item, one, zone))
    following = next((one for one, _ in item_periods(item, versions) if one.start_at >= period.end_at), None)
    is_last = following is None or following.start_at >= window.end_at
    return [_in_window(part, period, window, final=is_last and part is parts[-1]) for part in parts]


def _periods_before(item: SubscriptionItem, window: Bounds, period: Bounds, zone: ZoneInfo) -> Iterator[Bounds]:
    at = window.start_at
    while at < period.start_at:
        end_at = min(whole_period(item, at, zone).end_at, period.start_at)
        yield Bounds(at, end_at)
        at = end_at


def _in_window(part: ExpectedSlice, period: Bounds, window: Bounds, *, final: bool) -> ExpectedSlice:
    """Return the slice of an allowance as this period bills it: all of it so far, less what lies before the period."""
    own = part.bounds.common(Bounds(period.start_at, part.bounds.end_at))
    if own is None:
        return replace(part, period=period, whole=window, shown=False)
    before = Bounds(part.bounds.start_at, own.start_at) if part.bounds.start_at < own.start_at else None
    return replace(part, period=period, whole=window, bounds=own, counted=part.bounds, billed=before, final=final)


def _joined(parts: Iterable[ExpectedSlice]) -> list[ExpectedSlice]:
    joined: list[ExpectedSlice] = []
    for part in parts:
        if joined and joined[-1].goes_on(part):
            longer = Bounds(joined[-1].bounds.start_at, part.bounds.end_at)
            joined[-1] = replace(joined[-1], bounds=longer, counted=longer)
        else:
            joined.append(part)
    return joined


def _cut(subscription: Subscription, item: SubscriptionItem, period: Bounds, zone: ZoneInfo) -> Iterator[ExpectedSlice]:
    """Yield what of a period is in service and not paused, cut wherever something begins or ends to hold."""
    served = _served(item, period, zone)
    if served is None:
        return
    whole = prorated_by(item, period, zone)
    held_on = _held_on(item, max(served.start_at, whole.start_at), zone)
    cuts = {midnight(on, zone) for on in _dates(item, held_on)}
    edges = sorted({*served, *(cut for cut in cuts if served.start_at < cut < served.end_at)})
    for bounds in map(Bounds._make, pairwise(edges)):
        on = day_of(bounds.start_at, zone)
        version = _latest(item.prices, on if held_on is None else min(on, held_on))
        if version is None or (item.billing_months and _is_paused(item, on)):
            continue
        terms = _latest(item.terms, on) or item.terms[0]
        listed, trial = parse_price(version.price, subscription.currency), on < (item.trial_until_on or date.min)
        own = listed.overridden(unit_amount=terms.own_unit_amount, discount_percent=terms.discount_percent)
        yield ExpectedSlice(
            account=subscription.account,
            currency=subscription.currency,
            item=item,
            zone=zone,
            period=period,
            bounds=bounds,
            counted=bounds,
            billed=None,
            whole=whole,
            version=version,
            price=parse_price(_NOTHING, subscription.currency) if trial else own,
            trial=trial,
            quantity=terms.quantity if listed.licensed or item.meter is None else None,
        )


def _served(item: SubscriptionItem, period: Bounds, zone: ZoneInfo) -> Bounds | None:
    start_at = max(period.start_at, midnight(item.service_start_on, zone))
    if item.service_end_on is None:
        return period.common(Bounds(start_at, period.end_at))
    end_at = midnight(item.service_end_on, zone)
    if item.billing_months == 0 and start_at < end_at:
        end_at = period.end_at  # charged whole, however short the service was
    return period.common(Bounds(start_at, end_at))


def _held_on(item: SubscriptionItem, start_at: datetime, zone: ZoneInfo) -> date | None:
    """Return the date whose price holds for the whole period, None where each holds from its own date on."""
    if item.price_change != "next_period" or not item.prices:
        return None
    return max(day_of(start_at, zone), item.prices[0].effective_from)


def _dates(item: SubscriptionItem, held_on: date | None) -> Iterator[date]:
    yield from (terms.effective_from for terms in item.terms)
    yield from (version.effective_from for version in item.prices) if held_on is None else (held_on,)
    for pause in item.pauses:
        yield from (on for on in (pause.start_on, pause.end_on) if on is not None)
    if item.trial_until_on is not None:
        yield item.trial_until_on


def _is_paused(item: SubscriptionItem, on: date) -> bool:
    return any(pause.start_on <= on < (pause.end_on or date.max) for pause in item.pauses)


def _latest(versions: Sequence[Dated], on: date) -> Dated | None:
    """Return what holds on a date, None before the first."""
    held = [version for version in versions if version.effective_from <= on]
    return held[-1] if held else None
