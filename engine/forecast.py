"""What a period comes to at the present pace: usage so far, carried on evenly to the period's end.

Place     usage so far + time gone -> [this] -> rating -> `fakturo preview`, the running statement's forecast.
Rules     what adds up (count, sum) goes on as it went, by seconds of elapsed time, in stretches to come too; what is
          added to a count is rounded half away from zero to whole events, to a sum to 12 decimals. A peak, a mean, a
          last value, a level or a number of different values stays what it is: nobody knows whether the rest of the
          period changes it.
          An amount of single events (percentage, per-event prices) grows by the same share as the time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
from msgspec import structs

from fakturo.engine.decimals import DECIMALS_MAX
from fakturo.engine.meters import Aggregation
from fakturo.engine.money import ONE, ZERO, exact_context, rounded
from fakturo.engine.periods import Period
from fakturo.engine.prices import NO_USAGE, Usage

_SECOND = timedelta(seconds=1)
_DECIMALS: Mapping[Aggregation, int] = {Aggregation.COUNT: 0, Aggregation.SUM: DECIMALS_MAX}


def gone_share(period: Period, gone_seconds: int) -> Fraction | None:
    """Return whole over gone: by what the usage so far is to be multiplied; None where no time has gone."""
    if gone_seconds <= 0:
        return None
    return Fraction(period.seconds(), min(gone_seconds, period.seconds()))


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a period with a price of its own: what is used in `own`, and of it `billed`, which lies before it."""

    own: Period
    used: Usage
    billed: Usage | None = None


def carried_on(stretches: Sequence[Stretch], aggregation: Aggregation, at: datetime) -> list[Usage]:
    """Return the usage of each stretch at its end, where all go on as all together went up to `at`.

    A stretch that lies ahead (a price change to come) gets its share too. `billed` does not grow.
    """
    decimals = _DECIMALS.get(aggregation)
    gone = [_gone_seconds(one.own, at) for one in stretches]
    if decimals is None or not any(gone):
        return [one.used for one in stretches]
    all_gone = sum(gone)
    with exact_context():
        pace = _own_total(stretches)
        return [
            _grown(one.used, pace, one.own.seconds() - seconds, all_gone, decimals)
            for one, seconds in zip(stretches, gone, strict=True)
        ]


def amount_at_pace(amount: Decimal, share: Fraction) -> Decimal:
    """Return an amount that grows with the time, exact."""
    with exact_context():
        return amount * share.numerator / (share.denominator * ONE)


def _gone_seconds(own: Period, at: datetime) -> int:
    return min(max((at - own.start_at) // _SECOND, 0), own.seconds())


def _own_total(stretches: Sequence[Stretch]) -> Usage:
    """Return what was used in all stretches, by group where there are groups; what was billed before apart."""
    if len(stretches) == 1 and stretches[0].billed is None:
        return stretches[0].used
    quantity, groups = ZERO, dict[tuple[str, ...], Decimal]()
    for one in stretches:
        before = one.billed or NO_USAGE
        quantity += one.used.quantity - before.quantity
        for group, number in one.used.groups.items():
            groups[group] = groups.get(group, ZERO) + number - before.groups.get(group, ZERO)
    return Usage(quantity=quantity, groups=groups)


def _grown(used: Usage, pace: Usage, left: int, gone: int, decimals: int) -> Usage:
    """Return `used` with what comes in the `left` seconds added, where `pace` came in those that are `gone`."""
    if not left:
        return used
    if not pace.groups:
        quantity = used.quantity + _part(pace.quantity, left, gone, decimals)
        return Usage(quantity=quantity, dimensions=used.dimensions, groups=used.groups, peaks=used.peaks)
    groups = {
        group: used.groups.get(group, ZERO) + _part(number, left, gone, decimals)
        for group, number in pace.groups.items()
    }
    quantity = sum(groups.values(), ZERO)
    return structs.replace(used, quantity=quantity, groups={**used.groups, **groups}, events=None)


def _part(number: Decimal, left: int, gone: int, decimals: int) -> Decimal:
    return rounded(number * left / (gone * ONE), decimals)
