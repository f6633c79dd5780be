"""What each slice should cost: its usage priced with `engine/prices`, less what its beginning came to.

Place     expected slices + their usage -> [this] -> verify_invoices. Shares of a period, minimums and rounding are
          worked out here a second time; of the engine only what a price makes of a usage.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from fakturo.cli.verify_contracts import ExpectedSlice, Key
from fakturo.cli.verify_periods import Bounds
from fakturo.cli.verify_result import minor_digits
from fakturo.cli.verify_usage import PRECISE, Asked
from fakturo.engine.prices import Span, Usage, usage_of

WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
"""24 digits before the point and 24 after it."""

_DIFFERENCES = ("count", "sum", "unique", "weighted_sum")
"""Aggregations of which what was used in a part is the total less what was before; of the others it is the total."""


@dataclass(frozen=True, slots=True)
class RatedLine:
    """What a line should be, or what the lines of a slice add up to."""

    quantity: Decimal
    exact: Decimal
    amount_minor: int


def rated_lines(
    slices: Iterable[ExpectedSlice], usage: Mapping[Asked, Usage]
) -> dict[Key, tuple[ExpectedSlice, RatedLine]]:
    """Return each slice with what it should be, by its key."""
    lines: dict[Key, tuple[ExpectedSlice, RatedLine]] = {}
    earlier: dict[tuple[str, Bounds], Decimal] = defaultdict(Decimal)
    for part in slices:
        name = part.item.subscription_item
        total, before = _used(part, usage, part.counted), _used(part, usage, part.billed)
        span = _span(part, part.counted)
        charge = part.price.charge(total, span=span, final=part.final, earlier=earlier[name, part.period])
        exact = minor = Decimal(0)
        if part.billed is not None:
            billed = part.price.charge(
                before, span=_span(part, part.billed), final=False, earlier=earlier[name, part.period]
            )
            exact, minor = billed.amount, _rounded(billed.amount, part.currency)
        difference = PRECISE.subtract(charge.amount, exact)
        # One minimum for all slices: each has its own share of it where it is prorated.
        own_part = PRECISE.subtract(_kept(charge.amount), part.price.minimum_share(span))
        earlier[name, part.period] = PRECISE.add(earlier[name, part.period], own_part)
        if part.shown:
            amount = _rounded(charge.amount, part.currency) - minor
            line = RatedLine(_own(part, total, before), _kept(difference), _minor(amount, part.currency))
            lines[part.key] = (part, line)
    return lines


def _used(part: ExpectedSlice, usage: Mapping[Asked, Usage], bounds: Bounds | None) -> Usage:
    if bounds is None:
        return usage_of(0)
    if part.quantity is not None:
        return usage_of(part.quantity)
    return usage[part.item.subscription_item, bounds]


def _own(part: ExpectedSlice, total: Usage, before: Usage) -> Decimal:
    if part.billed is None or part.item.meter is None or part.item.meter.aggregation not in _DIFFERENCES:
        return total.quantity
    return PRECISE.subtract(total.quantity, before.quantity)


def _span(part: ExpectedSlice, bounds: Bounds) -> Span:
    """Return how much of the whole period a slice holds, in local days and in seconds."""
    held = bounds.common(part.whole)
    return Span(
        active_days=held.days(part.zone) if held else 0,
        period_days=part.whole.days(part.zone),
        active_seconds=held.seconds if held else 0,
        period_seconds=part.whole.seconds,
    )


def _kept(amount: Decimal) -> Decimal:
    """Return an exact amount as the books keep it: 24 decimals."""
    return PRECISE.quantize(amount, Decimal(1).scaleb(-24))


def _rounded(amount: Decimal, currency: str) -> Decimal:
    return PRECISE.quantize(_kept(amount), Decimal(1).scaleb(-minor_digits(currency)))


def _minor(amount: Decimal, currency: str) -> int:
    return int(amount.scaleb(minor_digits(currency), context=PRECISE))
