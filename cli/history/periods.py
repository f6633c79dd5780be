"""A billing period of an item at given prices: what of its usage has to be read, and what it comes to.

Place     books -> [this] -> simulate, preview. Metered items are rated by the usage agent's own pure code, licensed
          ones by the engine as invoicing does: the same periods, slices, allowances and one rounding a slice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from fakturo.cli.history import books
from fakturo.cli.history.books import BEGINNING, SoldItem, Stretch
from fakturo.cli.history.usage import usage_in
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.rating import Used, rate_item
from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.meters import Aggregation, meter_of
from fakturo.engine.periods import Period
from fakturo.engine.prices import Usage
from fakturo.engine.rating import rate_slices
from fakturo.engine.schedule import zone_at
from fakturo.schemas.events.contracts import MeterDefinition, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated


@dataclass(frozen=True, slots=True)
class PricedPeriod:
    """A billing period of an item; a metered one with the stretches to be totalled, in the order of its ranges."""

    sold: SoldItem
    item: SubscriptionItem
    period: Period
    metered: Rateable | None
    stretches: tuple[Stretch, ...]

    def amount_minor(self) -> int:
        """Return what the period costs, net, in minor units.

        Raises:
            PriceError: a group that no cell covers, or a total below 0.
        """
        if self.metered is not None:
            return self.statement(self.used()).amount_minor
        zone = zone_at(self.sold.versions, self.period.start_at)
        slices = item_slices(self.item, self.period, zone, self.sold.currency)
        requests = [request_of(part, self.period, zone, None, self.item.unit or "") for part in slices]
        return sum(result.amount_minor for result in rate_slices(requests))

    def statement(self, used: Sequence[Usage]) -> UsageRated:
        """Return the final statement of a metered period with the usage of each range. Raises as `amount_minor`."""
        if self.metered is None:
            raise ValueError(f"{self.item.subscription_item} is not metered")
        return rate_item(self.metered, [Used(usage, None, None) for usage in used], final=True).statement

    def used(self) -> list[Usage]:
        """Return the usage of each range, as it was read."""
        if self.metered is None:
            return []
        wholes = [
            (stretch.whole, stretch.part.price.needs_events)
            for stretch in self.metered.stretches
            for _ in range(1 if stretch.billed is None else 2)
        ]
        return [
            usage_in(self.metered.due.meter, found, whole, singly=singly)
            for found, (whole, singly) in zip(self.stretches, wholes, strict=True)
        ]


def priced_period(sold: SoldItem, item: SubscriptionItem, period: Period) -> PricedPeriod:
    """Return `period` at the prices of `item`; of a metered one with what has to be totalled.

    Raises:
        PriceError: a price that cannot be read.
    """
    if item.meter is None:
        return PricedPeriod(sold, item, period, None, ())
    due = DueItem(
        subscription_item=item.subscription_item,
        subscription_id="",
        account_id=sold.account,
        currency=sold.currency,
        meter_id=0,
        meter=meter_of(item.meter),
        item=item,
        versions=sold.versions,
        period=period,
        recorded_at=BEGINNING,
    )
    metered = Rateable.of(due)
    return PricedPeriod(sold, item, period, metered, tuple(Stretch(sold.account, one) for one in metered.ranges()))


async def read_usage(connection: asyncpg.Connection, periods: Iterable[PricedPeriod]) -> None:
    """Fill in the stretches of `periods` from the rollups, or from single events where they are needed."""
    for wanted in wanted_totals(periods):
        meter, stretches = wanted.meter, wanted.stretches
        if wanted.singly or not await books.total_rollups(connection, meter, stretches):
            weighted = meter.aggregation == Aggregation.WEIGHTED_SUM
            await books.read_events(connection, meter, stretches, since_ever=weighted)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The stretches in which a meter is to be totalled; `singly` where a price looks at single events."""

    meter: MeterDefinition
    singly: bool
    stretches: list[Stretch]


def wanted_totals(found: Iterable[PricedPeriod]) -> list[Wanted]:
    """Return what has to be read, by meter definition and whether single events are needed."""
    wanted: dict[tuple[str, bool], Wanted] = {}
    for one in found:
        if one.item.meter is not None and one.metered is not None:
            singly = one.metered.rates_events
            key = repr(one.item.meter), singly
            wanted.setdefault(key, Wanted(one.item.meter, singly, [])).stretches.extend(one.stretches)
    return list(wanted.values())
