"""From totals to one statement: slices of the period, a quantity each, rated by the engine. No I/O.

Place     statements -> [this] -> `UsageRated`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from fakturo.consumers.usage.folding import dimensions_text, dimensions_values
from fakturo.consumers.usage.statement_store import DueItem, Group, SliceRange, SliceTotal
from fakturo.engine.contracts import ItemSlice, item_slices, request_of
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import Aggregation
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.prices import Usage, grouped_usage, usage_of
from fakturo.engine.rating import RateResult, rate_slices
from fakturo.engine.schedule import zone_at
from fakturo.schemas.events.usage import NextTier, PeriodBounds, RatedSlice, UsageRated

AMOUNT_MINOR_MAX = 10**15
"""The largest amount of one statement, as the ledger has it for one event: a number that nobody meant stops its item,
not the books of everybody else."""


@dataclass(frozen=True, slots=True)
class Rateable:
    """An item and period cut into slices that one price holds."""

    due: DueItem
    slices: tuple[ItemSlice, ...]

    @classmethod
    def of(cls, due: DueItem) -> "Rateable":
        """Return `due` in slices.

        Raises:
            PriceError: a price of the item cannot be read.
        """
        return cls(due, item_slices(due.item, due.period, zone_at(due.versions, due.period.start_at), due.currency))


@dataclass(frozen=True, slots=True)
class Rated:
    """A statement, and the item that it is of."""

    source: DueItem
    statement: UsageRated


def slice_ranges(item: Rateable) -> list[SliceRange]:
    """Return the stretches whose totals the slices need, in their order."""
    due = item.due
    return [SliceRange(due.account_id, due.meter_id, one.period.start_at, one.period.end_at) for one in item.slices]


def rate_item(item: Rateable, totals: Sequence[SliceTotal], *, final: bool) -> Rated:
    """Return the statement of `item` with the totals of its slices; each slice is rated by itself.

    A running statement is as of the newest event in it, and charges a minimum only when it is `final`.

    Raises:
        PriceError: a total below 0, a group that no price covers, or an amount that no book can hold.
    """
    due = item.due
    zone = zone_at(due.versions, due.period.start_at)
    usages = [_usage(due, one, total) for one, total in zip(item.slices, totals, strict=True)]
    requests = [
        replace(request_of(one, due.period, zone, usage, due.item.unit or ""), final=final and one.final)
        for one, usage in zip(item.slices, usages, strict=True)
    ]
    results = rate_slices(requests)
    slices = [_slice(one, usage, result) for one, usage, result in zip(item.slices, usages, results, strict=True)]
    return Rated(due, _statement(due, totals, slices, results, final=final))


def _statement(
    due: DueItem,
    totals: Sequence[SliceTotal],
    slices: Sequence[RatedSlice],
    results: Sequence[RateResult],
    *,
    final: bool,
) -> UsageRated:
    meter = due.meter
    next_tier = results[-1].next_tier if results and not final else None
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
        as_of=due.period.end_at if final else _newest(totals, due.period.start_at),
        slices=tuple(slices),
        final=final,
        next_tier=NextTier(remaining=next_tier.remaining, unit_amount=next_tier.unit_amount) if next_tier else None,
        recorded_at=max([due.recorded_at, *(group.recorded_at for total in totals for group in total.groups)]),
    )


def _newest(totals: Sequence[SliceTotal], start_at: datetime) -> datetime:
    return max([start_at, *(group.last_at for total in totals for group in total.groups)])


def _usage(due: DueItem, one: ItemSlice, total: SliceTotal) -> Usage:
    """Return the quantity of a slice, by group where the meter groups; a licensed price takes the contract's."""
    if one.licensed_quantity is not None:
        return usage_of(one.licensed_quantity)
    aggregation = due.meter.aggregation
    names = due.meter.group_by
    if not names:
        return usage_of(_quantity(total.groups[0], aggregation) if total.groups else ZERO)
    groups = {dimensions_values(names, group.dimensions): _quantity(group, aggregation) for group in total.groups}
    return grouped_usage(names, groups)


def _quantity(group: Group, aggregation: Aggregation) -> Decimal:
    return group.rollup.quantity(aggregation)


def _slice(one: ItemSlice, usage: Usage, result: RateResult) -> RatedSlice:
    return RatedSlice(
        period=PeriodBounds(start=one.period.start_at, end=one.period.end_at),
        quantity=result.quantity,
        amount_exact=result.exact,
        amount_minor=result.amount_minor,
        price_hash=one.version.hash,
        explanation=result.explanation,
        quantities=_by_group(usage),
    )


def _by_group(usage: Usage) -> dict[str, Decimal]:
    return {dimensions_text(usage.dimensions, values): number for values, number in sorted(usage.groups.items())}
