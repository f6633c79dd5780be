"""An item at the prices of another list, and its billing periods in a range. Pure.

Place     history.books -> [this] -> history.periods -> result.
Rules     a new price holds from its `effective_from` on; before its first version, its first version holds, for the
          question is what the list would have brought in the past. A customer's own price and discount stay. A product
          that the new list does not have, or not in the customer's currency, keeps its prices, and is named.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec

from fakturo.cli.history.books import SoldItem
from fakturo.engine.catalog import Catalog
from fakturo.engine.periods import Period, local_date
from fakturo.engine.schedule import next_item_period, zone_at
from fakturo.schemas.events.contracts import PriceVersion, SubscriptionItem


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


def repriced(sold: SoldItem, catalog: Catalog) -> SubscriptionItem | None:
    """Return the item at the prices of `catalog`, or None where that has no price of its product in its currency."""
    product = catalog.products.get(sold.item.product_code)
    if product is None:
        return None
    versions = product.prices if sold.currency == catalog.currency else product.other_prices.get(sold.currency, ())
    if not versions:
        return None
    return msgspec.structs.replace(
        sold.item, prices=_in_force(versions, sold.item), meter=product.meter, unit=product.unit
    )


def _in_force(versions: Sequence[PriceVersion], item: SubscriptionItem) -> tuple[PriceVersion, ...]:
    first, *later = versions
    began_on = min(first.effective_from, item.service_start_on)
    return (msgspec.structs.replace(first, effective_from=began_on), *later)
