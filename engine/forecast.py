"""What a period comes to at the present pace: usage so far, carried on evenly to the period's end.

Place     usage so far + time gone -> [this] -> rating -> `fakturo preview`, the running statement's forecast.
Rules     what adds up (count, sum) goes on as it went: times whole over gone, seconds of elapsed time; a count is
          rounded half away from zero to whole events, a sum to 12 decimals. A peak, a mean, a last value, a level or a
          number of different values stays what it is: nobody knows whether the rest of the period changes it.
          An amount of single events (percentage, per-event prices) grows by the same share as the time.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from fakturo.engine.decimals import DECIMALS_MAX
from fakturo.engine.meters import Aggregation
from fakturo.engine.money import ONE, ZERO, exact_context, rounded
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage

_DECIMALS: Mapping[Aggregation, int] = {Aggregation.COUNT: 0, Aggregation.SUM: DECIMALS_MAX}


def gone_share(period: Period, gone_seconds: int) -> Fraction | None:
    """Return whole over gone: by what the usage so far is to be multiplied; None where no time has gone."""
    if gone_seconds <= 0:
        return None
    return Fraction(period.seconds(), min(gone_seconds, period.seconds()))


def at_pace(used: Usage, aggregation: Aggregation, share: Fraction, *, billed: Usage | None = None) -> Usage:
    """Return the usage at the end of the period; `billed` is the part of it that lies before, and does not grow."""
    decimals = _DECIMALS.get(aggregation)
    if decimals is None or share == 1:
        return used
    before = billed or Usage()
    with exact_context():
        groups = {
            group: _grown(number, before.groups.get(group, ZERO), share, decimals)
            for group, number in used.groups.items()
        }
        quantity = sum(groups.values(), ZERO) if groups else _grown(used.quantity, before.quantity, share, decimals)
    return replace(used, quantity=quantity, groups=groups, events=None)


def amount_at_pace(amount: Decimal, share: Fraction) -> Decimal:
    """Return an amount that grows with the time, exact."""
    with exact_context():
        return amount * share.numerator / (share.denominator * ONE)


def _grown(number: Decimal, before: Decimal, share: Fraction, decimals: int) -> Decimal:
    own = (number - before) * share.numerator / (share.denominator * ONE)
    return before + rounded(own, decimals)
