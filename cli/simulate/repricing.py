"""One item under two price lists: its billing periods, slices and amounts, at its own prices and at the new ones. Pure.

Place     history -> [this] -> result. Metered items are rated by the usage agent's own pure code, licensed ones by the
          engine as invoicing does: the same periods, slices, allowances and one rounding a slice.
Rules     a new price holds from its `effective_from` on; before its first version, its first version holds, for the
          question is what the list would have brought in the past. A customer's own price and discount stay. A product
          that the new list does not have keeps its prices, and is named.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from fakturo.cli.simulate.history import BEGINNING, SoldItem, Stretch
from fakturo.cli.simulate.usage import usage_in
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.rating import Used, rate_item
from fakturo.engine.catalog import Catalog, Product
from fakturo.engine.contracts import item_slices, request_of
from fakturo.engine.meters import meter_of
from fakturo.engine.periods import Period, local_date
from fakturo.engine.rating import rate_slices
from fakturo.engine.schedule import next_item_period, zone_at
from fakturo.schemas.events.contracts import MeterDefinition, PriceVersion, SubscriptionItem


@dataclass(frozen=True, slots=True)
class PricedPeriod:
    """A billing period of an item under one list; a metered one with the stretches of time to be totalled."""

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
            return rate_item(self.metered, self._used(self.metered), final=True).statement.amount_minor
        zone = zone_at(self.sold.versions, self.period.start_at)
        slices = item_slices(self.item, self.period, zone, self.sold.currency)
        requests = [request_of(part, self.period, zone, None, self.item.unit or "") for part in slices]
        return sum(result.amount_minor for result in rate_slices(requests))

    def _used(self, metered: Rateable) -> list[Used]:
        wholes = [
            (stretch.whole, stretch.part.price.needs_events)
            for stretch in metered.stretches
            for _ in range(1 if stretch.billed is None else 2)
        ]
        return [
            Used(usage_in(metered.due.meter, found, whole, singly=singly), None, None)
            for found, (whole, singly) in zip(self.stretches, wholes, strict=True)
        ]


def periods_of(sold: SoldItem, start_on: date, end_on: date) -> Iterator[Period]:
    """Yield the item's billing periods that begin on or after `start_on` and before `end_on` (local dates)."""
    done_until_at: datetime | None = None
    while True:
        period = next_item_period(sold.item, sold.versions, done_until_at, end_on)
        if period is None:
            return
        if local_date(period.start_at, zone_at(sold.versions, period.start_at)) >= start_on:
            yield period
        done_until_at = period.end_at


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


def repriced(sold: SoldItem, catalog: Catalog) -> SubscriptionItem | None:
    """Return the item at the prices of `catalog`, or None where that does not have its product."""
    product = catalog.products.get(sold.item.product_code)
    if product is None:
        return None
    return msgspec.structs.replace(
        sold.item, prices=_in_force(product, sold.item), meter=product.meter, unit=product.unit
    )


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


def _in_force(product: Product, item: SubscriptionItem) -> tuple[PriceVersion, ...]:
    first, *later = product.prices
    began_on = min(first.effective_from, item.service_start_on)
    return (msgspec.structs.replace(first, effective_from=began_on), *later)
