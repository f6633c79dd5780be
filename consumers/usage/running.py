"""The running statement: what an item owes so far, where that stands in its price, and where it leads. No I/O.

Place     statements (`flush`) -> [this: rating, engine/prices/standing, forecasting] -> `UsageRated` with an `Outlook`.
Now       is the newest event in it, never the clock of the machine: two runs that read the same events say the same.
"""

from collections.abc import Sequence

from msgspec import structs

from fakturo.consumers.usage.forecasting import forecast_of
from fakturo.consumers.usage.rateable import Rateable
from fakturo.consumers.usage.rating import Rated, RatedStretch, Used, rate_stretches, stated, stretch_at
from fakturo.engine.prices import standing
from fakturo.schemas.events.usage import NextUnits, Outlook, TierReached


def rate_running(item: Rateable, used: Sequence[Used]) -> Rated:
    """Return the running statement of `item` with the usage of its ranges.

    Raises:
        PriceError: a total below 0, a group that no price covers, or an amount that no book can hold.
    """
    usages = [one.usage for one in used]
    rated = rate_stretches(item, usages, final=False)
    found = stated(item, used, rated, final=False)
    as_of = found.statement.as_of
    now = stretch_at(rated, as_of)
    outlook = Outlook(
        tier=_tier(now) if now else None,
        next_units=_next_units(now) if now else None,
        forecast=forecast_of(item, usages, as_of),
    )
    return Rated(found.source, structs.replace(found.statement, outlook=outlook))


def _tier(now: RatedStretch) -> TierReached | None:
    found = standing.tier_reached(now.stretch.part.price, now.counted)
    if found is None:
        return None
    return TierReached(
        number=found.number,
        count=found.count,
        after=found.after,
        up_to=found.up_to,
        unit_amount=found.unit_amount,
    )


def _next_units(now: RatedStretch) -> NextUnits | None:
    found = standing.next_units(now.stretch.part.price, now.counted, now.result.total.amount)
    if found is None:
        return None
    return NextUnits(amount=found.amount, per_units=found.per_units, remaining=found.remaining)
