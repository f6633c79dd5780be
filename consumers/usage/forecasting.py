"""What an item's period comes to at the pace of its usage so far. No I/O.

Place     running statement, `fakturo preview` -> [this: engine/forecast] -> the price at the end of the period.
Pace      that of the usage in the period up to `at`, by the events' own times: the newest event of a running statement,
          never the clock of the machine. Stretches to come (a new price from the 15th) get their share at their price.
Final     the forecast is rated as the final statement will be: with minimum, cap and discounts.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

import msgspec

from fakturo.consumers.usage.rateable import Rateable, Stretch
from fakturo.consumers.usage.rating import AMOUNT_MINOR_MAX, own_usage, rate_stretches
from fakturo.engine import forecast
from fakturo.engine.errors import PriceError
from fakturo.engine.money import ZERO, exact_amount, exact_context, to_minor
from fakturo.engine.prices import Usage
from fakturo.schemas.events.usage import Forecast

FORECAST_AFTER = timedelta(hours=1)
"""How much of the period has to have gone: a pace of some seconds says nothing of a month."""


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch with its usage so far, and at its `end`.

    Where a price looks at single events nobody knows those to come: the amount so far grows by `amount_share` instead.
    """

    stretch: Stretch
    counted: Usage
    billed: Usage | None
    end: Usage
    amount_share: Fraction | None

    def ranges(self) -> list[Usage]:
        """Return the usage that the stretch is rated with, as its ranges stand in the item."""
        counted = self.end if self.amount_share is None else self.counted
        return [counted] if self.billed is None else [counted, self.billed]


def paced(item: Rateable, used: Sequence[Usage], at: datetime) -> list[Paced]:
    """Return the stretches of `item`, whose usage so far is `used` (one a range), as they end."""
    left = iter(used)
    found = [(one, next(left), next(left) if one.billed is not None else None) for one in item.stretches]
    shown = [forecast.Stretch(own=one.part.period, used=now, billed=billed) for one, now, billed in found if one.shown]
    ends = iter(forecast.carried_on(shown, item.due.meter.aggregation, at))
    return [
        Paced(
            stretch=one,
            counted=now,
            billed=billed,
            end=next(ends) if one.shown else now,
            amount_share=_amount_share(one, at),
        )
        for one, now, billed in found
    ]


def _amount_share(stretch: Stretch, at: datetime) -> Fraction | None:
    if not stretch.shown or not stretch.part.price.needs_events:
        return None
    own = stretch.part.period
    return forecast.gone_share(own, (at - own.start_at) // timedelta(seconds=1)) or Fraction(1)


def forecast_of(item: Rateable, used: Sequence[Usage], at: datetime) -> Forecast | None:
    """Return what the period comes to at its end; None where nothing can be said: too early, no price for so much."""
    found = paced(item, used, at)
    starts = [one.stretch.part.period.start_at for one in found if one.stretch.shown]
    if not starts or at - min(starts) < FORECAST_AFTER:
        return None
    try:
        rated = rate_stretches(item, [usage for one in found for usage in one.ranges()], final=True)
    except PriceError:
        return None  # no tier, no cell: that is no error of what was used
    quantity, amount, amount_minor = ZERO, ZERO, 0
    for one, result in zip(found, (one.result for one in rated), strict=True):
        if not one.stretch.shown:
            continue
        exact, minor = result.exact, result.amount_minor
        if one.amount_share is not None:
            exact = exact_amount(forecast.amount_at_pace(exact, one.amount_share))
            minor = to_minor(exact, item.due.currency)
        with exact_context():
            quantity += own_usage(item.due, one.end, one.billed).quantity
            amount += exact
        amount_minor += minor
    if abs(amount_minor) > AMOUNT_MINOR_MAX:
        return None
    return Forecast(at=item.due.period.end_at, quantity=quantity, amount_exact=amount, amount_minor=amount_minor)
