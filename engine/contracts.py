"""Subscription items over time: what of an item lies in a period, in slices that one price and one set of terms hold.

Place     `Subscription` of `billing.contracts` + period -> [this] -> slices -> rating (one RateRequest a slice).
Holds     slices never overlap, and together are the item's active part of the period less its pauses.
Rules     a new price version or new terms from a local date split the period there; the date belongs to the new.
          With `price_change: next_period` the price version of the period's start holds to its end. Terms that change
          nothing of the amount (the quantity of a metered item) split nothing. Up to the end of a trial an item costs
          nothing; in a pause it is not there at all. Fixed parts are prorated by the regular period (schedule.py).
Source    PRICING.md, Periods; CONTRACTS.md, own price and own discount.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

import msgspec

from fakturo.engine.catalog import price_at
from fakturo.engine.explanations import Phrase, settled
from fakturo.engine.money import ZERO, exponent_of
from fakturo.engine.periods import Period, Zone, first_instant, local_date
from fakturo.engine.prices import Price, Usage, parse_price, usage_of
from fakturo.engine.rating import RateRequest, RateResult
from fakturo.engine.schedule import NEXT_PERIOD, is_one_time, regular_period
from fakturo.schemas.codec import encode
from fakturo.schemas.events.contracts import ItemTerms, PriceVersion, SubscriptionItem

PRICES_MAX = 2000
"""How many parsed prices are kept."""
_FREE = {"model": "flat", "amount": "0"}
"""What anything costs in a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSlice:
    """A stretch of a period with one price and one set of terms.

    `price` has the item's own unit price and discount applied, in a `trial` it is nothing; `version` is the price
    list's (its hash goes on the invoice line). `licensed_quantity` is the contract's quantity, None where a meter gives
    it. `final` marks the last slice of the item in the period. `regular` is the whole period that fixed parts are
    prorated by.
    """

    period: Period
    price: Price
    version: PriceVersion
    terms: ItemTerms
    licensed_quantity: Decimal | None
    final: bool
    regular: Period
    trial: bool = False


def active_period(item: SubscriptionItem, period: Period, zone: Zone) -> Period | None:
    """Return the part of `period` in which the item is in service, or None; of a one-time charge its day."""
    start_at = max(period.start_at, first_instant(item.service_start_on, zone))
    end_at = period.end_at
    if item.service_end_on is not None:
        last_at = first_instant(item.service_end_on, zone)
        if last_at <= start_at:
            return None
        end_at = end_at if is_one_time(item) else min(end_at, last_at)
    return Period(start_at=start_at, end_at=end_at) if start_at < end_at else None


def item_slices(item: SubscriptionItem, period: Period, zone: Zone, currency: str) -> tuple[ItemSlice, ...]:
    """Return the item's slices of `period`, oldest first; none where it is not in service or paused all the time.

    A stretch before the first price version is left out: nothing says what it costs.

    Raises:
        PriceError: a price of the item is not of the price language (the catalog was not checked).
    """
    active = active_period(item, period, zone)
    if active is None:
        return ()
    regular = regular_period(item, period, zone)
    held_on = _deferred_on(item, max(active.start_at, regular.start_at), zone)
    merged: list[ItemSlice] = []
    for stretch in _stretches(item, active, held_on, zone):
        part = _slice(item, stretch, held_on, zone, currency)
        if part is None:
            continue
        part = replace(part, regular=regular)
        if merged and continues(merged[-1], part):
            joined = Period(start_at=merged[-1].period.start_at, end_at=stretch.end_at)
            merged[-1] = replace(merged[-1], period=joined)
        else:
            merged.append(part)
    return tuple(replace(part, final=index == len(merged) - 1) for index, part in enumerate(merged))


def request_of(part: ItemSlice, period: Period, zone: Zone, usage: Usage | None = None, unit: str = "") -> RateRequest:
    """Return what to rate for a slice of `period`: `usage` of a meter, or the contract's quantity where it is None.

    Fixed parts are prorated by the slice's regular period, which is nearly always `period` itself.
    """
    quantity = ZERO if part.licensed_quantity is None else part.licensed_quantity
    return RateRequest(
        price=part.price,
        usage=usage_of(quantity) if usage is None else usage,
        period=part.regular,
        active=part.period,
        zone=zone,
        final=part.final,
        unit=unit or "units",
    )


def explained(part: ItemSlice, result: RateResult, quantity: Decimal) -> tuple[Phrase, ...]:
    """Return what explains the slice: how its amount came about; in a trial, that it is one, and the quantity."""
    if not part.trial:
        return result.phrases
    return (settled(("usage", quantity, result.unit, ("trial",)), exponent_of(result.currency)),)


def terms_at(terms: Sequence[ItemTerms], on: date) -> ItemTerms:
    """Return the terms that hold on the local date `on`; the first hold before their own date too."""
    return next((one for one in reversed(terms) if one.effective_from <= on), terms[0])


def _deferred_on(item: SubscriptionItem, start_at: datetime, zone: Zone) -> date | None:
    """Return the date whose price version holds for the whole period, None where each holds from its own date on.

    In a period that begins before the first version, that one holds from its date on.
    """
    if item.price_change != NEXT_PERIOD or not item.prices:
        return None
    return max(local_date(start_at, zone), item.prices[0].effective_from)


def _stretches(item: SubscriptionItem, active: Period, held_on: date | None, zone: Zone) -> Iterator[Period]:
    """Yield `active` cut at every date on which something begins or ends to hold, without the pauses."""
    dates = {one.effective_from for one in item.terms}
    dates |= {held_on} if held_on else {version.effective_from for version in item.prices}
    dates |= {day for pause in item.pauses for day in (pause.start_on, pause.end_on) if day is not None}
    dates |= {item.trial_until_on} if item.trial_until_on else set()
    cuts = {first_instant(on, zone) for on in dates}
    edges = [active.start_at, *sorted(cut for cut in cuts if active.start_at < cut < active.end_at), active.end_at]
    for start_at, end_at in pairwise(edges):
        if is_one_time(item) or not _paused(item, start_at, zone):
            yield Period(start_at=start_at, end_at=end_at)


def _paused(item: SubscriptionItem, instant: datetime, zone: Zone) -> bool:
    on = local_date(instant, zone)
    return any(pause.start_on <= on and (pause.end_on is None or on < pause.end_on) for pause in item.pauses)


def _slice(
    item: SubscriptionItem, stretch: Period, held_on: date | None, zone: Zone, currency: str
) -> ItemSlice | None:
    on = local_date(stretch.start_at, zone)
    version, terms = price_at(item.prices, on if held_on is None else min(on, held_on)), terms_at(item.terms, on)
    if version is None:
        return None
    listed = _parsed(encode(version.price), currency)
    trial = item.trial_until_on is not None and on < item.trial_until_on
    price = listed.overridden(unit_amount=terms.own_unit_amount, discount_percent=terms.discount_percent)
    return ItemSlice(
        period=stretch,
        price=parse_price(_FREE, currency) if trial else price,
        version=version,
        terms=terms,
        licensed_quantity=terms.quantity if listed.licensed or item.meter is None else None,
        final=False,
        regular=stretch,
        trial=trial,
    )


@lru_cache(maxsize=PRICES_MAX)
def _parsed(document: bytes, currency: str) -> Price:
    """Return the price of a document, parsed once: many items have the same one."""
    return parse_price(msgspec.json.decode(document), currency)


def continues(one: ItemSlice, other: ItemSlice) -> bool:
    """Return whether `other` begins where `one` ends and costs the same, so that nothing splits them."""
    return (
        one.period.end_at == other.period.start_at
        and one.version.hash == other.version.hash
        and one.price == other.price
        and one.trial == other.trial
        and (not one.price.licensed or one.licensed_quantity == other.licensed_quantity)
    )
