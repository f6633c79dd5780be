"""One item under two price lists: its billing periods, slices and amounts, at its own prices and at the new ones. Pure.

Place     history -> [this] -> result. Uses the engine as the agents do: periods, slices, one rounding a slice.
Rules     a new price holds from its `effective_from` on; before its first version, its first version holds, for the
          question is what the list would have brought in the past. A customer's own price and discount stay. A product
          that the new list does not have keeps its prices, and is named.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec

from fakturo.cli.simulate.history import SoldItem, Stretch
from fakturo.cli.simulate.usage import usage_in
from fakturo.engine.catalog import Catalog, Product
from fakturo.engine.contracts import ItemSlice, item_slices, request_of
from fakturo.engine.meters import Meter, meter_of
from fakturo.engine.periods import Period, local_date
from fakturo.engine.prices import Usage
from fakturo.engine.rating import rate_slices
from fakturo.engine.schedule import next_item_period, zone_at
from fakturo.schemas.events.contracts import MeterDefinition, PriceVersion, SubscriptionItem


@dataclass(frozen=True, slots=True)
class Rateable:
    """A billing period of an item under one list, with a stretch to be totalled for each metered slice."""

    sold: SoldItem
    item: SubscriptionItem
    period: Period
    zone: str
    slices: tuple[ItemSlice, ...]
    stretches: tuple[Stretch, ...] = field(default=())

    def amount_minor(self) -> int:
        """Return what the period costs, net, in minor units.

        Raises:
            PriceError: a group that no cell covers, or a total below 0.
        """
        meter = meter_of(self.item.meter) if self.item.meter else None
        requests = [
            request_of(part, self.period, self.zone, self._usage(index, part, meter), self.item.unit or "")
            for index, part in enumerate(self.slices)
        ]
        return sum(result.amount_minor for result in rate_slices(requests))

    def _usage(self, index: int, part: ItemSlice, meter: Meter | None) -> Usage | None:
        if meter is None or part.licensed_quantity is not None:
            return None
        return usage_in(meter, self.stretches[index])


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


def rateable(sold: SoldItem, item: SubscriptionItem, period: Period) -> Rateable:
    """Return `period` cut into slices at the prices of `item`, each metered slice with a stretch to be totalled."""
    zone = zone_at(sold.versions, period.start_at)
    slices = item_slices(item, period, zone, sold.currency)
    stretches = tuple(Stretch(sold.account, part.period) for part in slices) if item.meter else ()
    return Rateable(sold, item, period, zone, slices, stretches)


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


def wanted_totals(found: Iterable[Rateable]) -> list[Wanted]:
    """Return what has to be read, by meter definition and whether single events are needed."""
    wanted: dict[tuple[str, bool], Wanted] = {}
    for one in found:
        if one.item.meter is None:
            continue
        meter_needs = meter_of(one.item.meter).needs_events
        for part, stretch in zip(one.slices, one.stretches, strict=True):
            singly = meter_needs or part.price.needs_events
            key = repr(one.item.meter), singly
            wanted.setdefault(key, Wanted(one.item.meter, singly, [])).stretches.append(stretch)
    return list(wanted.values())


def _in_force(product: Product, item: SubscriptionItem) -> tuple[PriceVersion, ...]:
    first, *later = product.prices
    began_on = min(first.effective_from, item.service_start_on)
    return (msgspec.structs.replace(first, effective_from=began_on), *later)
