"""From usage to one statement: stretches of the period, a quantity each, rated by the engine. No I/O.

Place     statements -> [this] -> `UsageRated`.
Rules     stretches are rated oldest first, each by itself; the exact amounts of those before count towards a minimum.
          A stretch that was billed in part (an allowance) costs the price of all less the price of that part.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from fakturo.consumers.usage.folding import dimensions_text, dimensions_values
from fakturo.consumers.usage.rateable import DueItem, Rateable, Stretch
from fakturo.consumers.usage.totals import Group, SliceTotal
from fakturo.engine.contracts import explained
from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import UNITS, explain
from fakturo.engine.meters import Aggregation
from fakturo.engine.money import ZERO, exact_amount, exact_context
from fakturo.engine.prices import NO_USAGE, Step, Usage, grouped_usage, usage_of
from fakturo.engine.rating import RateRequest, RateResult, rate, span_of
from fakturo.engine.schedule import version_at
from fakturo.schemas.events.usage import NextTier, PeriodBounds, RatedSlice, UsageRated

AMOUNT_MINOR_MAX = 10**15
"""The largest amount of one statement, as the ledger has it for one event: a number that nobody meant stops its item,
not the books of everybody else."""


_DIFFERENCES = frozenset({Aggregation.COUNT, Aggregation.SUM, Aggregation.UNIQUE, Aggregation.WEIGHTED_SUM})
"""Aggregations by which what was used in a part of a window is the total less what was before."""


class Used(msgspec.Struct, frozen=True):
    """What was used in a stretch of time; `newest_at` is the newest event of it (None: no event)."""

    usage: Usage
    newest_at: datetime | None
    recorded_at: datetime | None


class Rated(msgspec.Struct, frozen=True):
    """A statement, and the item that it is of."""

    source: DueItem
    statement: UsageRated


def used_of(due: DueItem, total: SliceTotal, usage: Usage | None = None) -> Used:
    """Return what the totals of a stretch of time come to, or `usage` where it was had from the events."""
    groups = total.groups
    if usage is None:
        usage = _usage(due, total)
    if len(groups) == 1:
        return Used(usage, groups[0].last_at, groups[0].recorded_at)
    return Used(
        usage,
        max((group.last_at for group in groups), default=None),
        max((group.recorded_at for group in groups), default=None),
    )


class RatedStretch(msgspec.Struct, frozen=True):
    """A stretch with what was used in it (`billed` is its beginning, where that was billed before) and its amount."""

    stretch: Stretch
    counted: Usage
    billed: Usage | None
    result: RateResult


def rate_item(item: Rateable, used: Sequence[Used], *, final: bool) -> Rated:
    """Return the statement of `item` with the usage of its ranges; each stretch is rated by itself.

    A running statement is as of the newest event in it, and charges a minimum only when it is `final`.

    Raises:
        PriceError: a total below 0, a group that no price covers, or an amount that no book can hold.
    """
    return stated(item, used, rate_stretches(item, [one.usage for one in used], final=final), final=final)


def stated(item: Rateable, used: Sequence[Used], rated: Sequence[RatedStretch], *, final: bool) -> Rated:
    """Return the statement of `item` whose stretches have been rated.

    Raises:
        PriceError: an amount that no book can hold.
    """
    shown = [one for one in rated if one.stretch.shown]
    slices = [_slice(item.due, one.stretch, one.counted, one.billed, one.result) for one in shown]
    as_of = item.due.period.end_at if final else newest_of(used, item.due.period.start_at)
    now = None if final else stretch_at(rated, as_of)
    return Rated(
        item.due, _statement(item.due, used, slices, now.result.next_tier if now else None, as_of, final=final)
    )


def stretch_at(rated: Sequence[RatedStretch], at: datetime) -> RatedStretch | None:
    """Return the stretch of the period whose price holds at the instant: the last one that began; else the first."""
    shown = [one for one in rated if one.stretch.shown]
    begun = [one for one in shown if one.stretch.part.period.start_at <= at]
    return begun[-1] if begun else next(iter(shown), None)


def rate_stretches(item: Rateable, used: Sequence[Usage], *, final: bool) -> list[RatedStretch]:
    """Return every stretch of `item` rated with the usage of its ranges, oldest first.

    Raises:
        PriceError: a total below 0, or a group that no price covers.
    """
    left = iter(used)
    rated: list[RatedStretch] = []
    earlier = ZERO
    for stretch in item.stretches:
        if rated:
            earlier = _with_last(earlier, rated[-1], item.zone)
        counted = _contracted(stretch, next(left))
        billed = _contracted(stretch, next(left)) if stretch.billed else None
        result = rate(_request(item, stretch, counted, billed, final=final, earlier=earlier))
        rated.append(RatedStretch(stretch, counted, billed, result))
    return rated


def _with_last(earlier: Decimal, last: RatedStretch, zone: str) -> Decimal:
    """Return what the stretches up to `last` came to.

    Where a minimum is prorated each of them has a share of it, and only what is beyond its own counts.
    """
    stretch = last.stretch
    with exact_context():
        own_minimum = stretch.part.price.minimum_share(span_of(stretch.whole, stretch.counted, zone))
        return earlier + exact_amount(last.result.total.amount) - own_minimum


def _request(
    item: Rateable, stretch: Stretch, counted: Usage, billed: Usage | None, *, final: bool, earlier: Decimal
) -> RateRequest:
    """Return what to rate: what counts so far, less what its beginning came to."""
    return RateRequest(
        price=stretch.part.price,
        usage=counted,
        billed=billed,
        period=stretch.whole,
        active=stretch.counted,
        billed_active=stretch.billed,
        zone=item.zone,
        final=final and stretch.part.final,
        earlier=earlier,
        unit=item.due.item.unit or UNITS,
    )


def _contracted(stretch: Stretch, usage: Usage) -> Usage:
    """Return the contract's quantity where the price is licensed, else `usage`."""
    quantity = stretch.part.licensed_quantity
    return usage if quantity is None else usage_of(quantity)


def _statement(
    due: DueItem,
    used: Sequence[Used],
    slices: Sequence[RatedSlice],
    next_tier: Step | None,
    as_of: datetime,
    *,
    final: bool,
) -> UsageRated:
    meter = due.meter
    with exact_context():
        quantity = sum((one.quantity for one in slices), ZERO)
        amount_exact = sum((one.amount_exact for one in slices), ZERO)
    amount_minor = sum(one.amount_minor for one in slices)
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        raise PriceError(
            "amount_too_large", f"{quantity:f} of meter {meter.code} would cost {amount_exact:f}", "amount"
        )
    return UsageRated(
        account=due.account_id,
        subscription_id=due.subscription_id,
        subscription_item=due.subscription_item,
        product_code=due.item.product_code,
        meter=meter.code,
        dimensions=meter.group_by,
        period=PeriodBounds(start=due.period.start_at, end=due.period.end_at),
        quantity=quantity,
        amount_exact=amount_exact,
        amount_minor=amount_minor,
        currency=due.currency,
        as_of=as_of,
        slices=tuple(slices),
        final=final,
        next_tier=NextTier(remaining=next_tier.remaining, unit_amount=next_tier.unit_amount) if next_tier else None,
        recorded_at=max([due.recorded_at, *(one.recorded_at for one in used if one.recorded_at is not None)]),
    )


def newest_of(used: Sequence[Used], start_at: datetime) -> datetime:
    """Return the time of the newest event, `start_at` where there is none after it."""
    return max([start_at, *(one.newest_at for one in used if one.newest_at is not None)])


def _usage(due: DueItem, total: SliceTotal) -> Usage:
    """Return the quantity of a stretch, by group where the meter groups."""
    if due.meter.needs_events:
        return NO_USAGE
    aggregation, names = due.meter.aggregation, due.meter.group_by
    if not names:
        return usage_of(_quantity(total.groups[0], aggregation) if total.groups else ZERO)
    groups = {dimensions_values(names, group.dimensions): _quantity(group, aggregation) for group in total.groups}
    return grouped_usage(names, groups)


def _quantity(group: Group, aggregation: Aggregation) -> Decimal:
    return group.rollup.quantity(aggregation)


def _slice(due: DueItem, stretch: Stretch, counted: Usage, billed: Usage | None, result: RateResult) -> RatedSlice:
    """Return the slice with what was used in it alone, and with the amount that it adds to what was billed."""
    part = stretch.part
    own = own_usage(due, counted, billed)
    phrases = explained(part, result, own.quantity)
    locale = version_at(due.versions, due.period.end_at).locale
    return RatedSlice(
        period=PeriodBounds(start=part.period.start_at, end=part.period.end_at),
        quantity=own.quantity,
        amount_exact=result.exact,
        amount_minor=result.amount_minor,
        price_hash=part.version.hash,
        explanation=explain(phrases, locale),
        quantities=_by_group(own),
        phrases=phrases,
        unit_amount=result.unit_amount if billed is None else None,
    )


def own_usage(due: DueItem, counted: Usage, billed: Usage | None) -> Usage:
    """Return what was used after `billed`; of a peak or a mean, which is no sum, all that counts."""
    if billed is None or due.meter.aggregation not in _DIFFERENCES:
        return counted
    with exact_context():
        groups = {group: number - billed.groups.get(group, ZERO) for group, number in counted.groups.items()}
        return Usage(quantity=counted.quantity - billed.quantity, dimensions=counted.dimensions, groups=groups)


def _by_group(usage: Usage) -> dict[str, Decimal]:
    return {dimensions_text(usage.dimensions, values): number for values, number in sorted(usage.groups.items())}
