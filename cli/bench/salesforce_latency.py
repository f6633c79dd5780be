"""How long it takes from a change in the org until its subscription has changed on `billing.contracts`.

Place     salesforce.py -> [this]: REST -> sandbox -> bridge -> contracts -> relay -> a reader of committed records.
Load      some orders of a few items; a PATCH of one item's quantity after the other, evenly spaced. Quantities rise, so
          what is read says which change it holds.
Clock     of one process: from just before the call that commits (so the call is in it) to when the reader has the
          record. Beside it the same for the change record on `sf.cdc.OrderItem`: the bridge's part.
"""

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests
from aiokafka import ConsumerRecord

from fakturo.cli.bench.sandbox_org import BenchOrg
from fakturo.cli.bench.topic_reading import TopicReader, reading
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.codec import decode_event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.events.contracts import Subscription
from fakturo.schemas.topics import CONTRACTS, SF_ORDER_ITEM

CATALOG = """\
currency: USD
products:
  SEAT:
    name: Seat
    prices:
      - {effective_from: 2020-01-01, model: per_unit, unit_amount: "10.00", licensed: true}
"""
ENTITIES = ("Account", "Product2", "Order", "OrderItem")
ORDERS = 50
ITEMS_PER_ORDER = 4
ITEMS = ORDERS * ITEMS_PER_ORDER
CALLERS = 4
READY_SECONDS_MAX = 120.0
DRAIN_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Waiting:
    """Changes on their way: by item its quantity and when it was sent, oldest first; `seconds` of those that came."""

    sent: dict[str, list[tuple[Decimal, float]]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    _left: int = 0

    def expect(self, item: str, quantity: Decimal, at: float) -> None:
        """Say that a change was sent."""
        self.drained.clear()
        self._left += 1
        self.sent.setdefault(item, []).append((quantity, at))

    def came(self, item: str, quantity: Decimal, at: float) -> None:
        """Say that the item was seen with this quantity: the changes up to it have come."""
        left = self.sent.get(item, [])
        while left and left[0][0] <= quantity:
            self.seconds.append(at - left.pop(0)[1])
            self._left -= 1
        if not self._left:
            self.drained.set()


def agree(org: BenchOrg) -> list[str]:
    """Make an account, a product, orders and their items in the org; return the items' ids."""
    [account] = org.create("Account", [{"Name": "Bench", "AccountNumber": "B-1", "BillingCountryCode": "US"}])
    [product] = org.create("Product2", [{"Name": "Seat", "ProductCode": "SEAT", "IsActive": True}])
    order = {"AccountId": account, "EffectiveDate": "2026-01-01", "Status": "Activated", "CurrencyIsoCode": "USD"}
    orders = org.create("Order", [order] * ORDERS)
    item = {"Product2Id": product, "Quantity": 1, "UnitPrice": 10, "ServiceDate": "2026-01-01"}
    return org.create("OrderItem", [{**item, "OrderId": one} for one in orders for _ in range(ITEMS_PER_ORDER)])


async def measure_latency(
    settings: Settings, org: BenchOrg, items: list[str], *, changes: int, per_second: float
) -> dict[str, list[float]]:
    """Change the items, `changes` times in all; return the seconds of each change, for the bridge and in all."""
    async with reading(settings, CONTRACTS.name) as contracts, reading(settings, SF_ORDER_ITEM.name) as cdc:
        await _agreed(contracts, items)
        waiting, bridged = Waiting(), Waiting()
        await cdc.follow(await cdc.ends())
        followers = [
            asyncio.create_task(_follow(contracts, waiting, quantities_of)),
            asyncio.create_task(_follow(cdc, bridged, change_of)),
        ]
        try:
            await _change(org, items, changes, per_second, (waiting, bridged))
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await asyncio.gather(waiting.drained.wait(), bridged.drained.wait())
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
    return {"all": waiting.seconds, "bridge": bridged.seconds}


async def _agreed(contracts: TopicReader, items: list[str]) -> None:
    """Read `billing.contracts` from its beginning until every item is on it."""
    await contracts.follow(dict.fromkeys(await contracts.ends(), 0))
    missing = set(items)
    async with asyncio.timeout(READY_SECONDS_MAX):
        while missing:
            for record in await contracts.next():
                missing -= quantities_of(record).keys()


async def _follow(topic: TopicReader, waiting: Waiting, read: Any) -> None:
    while True:
        records = await topic.next()
        at = time.perf_counter()
        for record in records:
            for item, quantity in read(record).items():
                waiting.came(item, quantity, at)


def quantities_of(record: ConsumerRecord) -> dict[str, Decimal]:
    """Return the newest quantity of each item of a subscription's event; nothing of other records."""
    try:
        data = decode_event(record.value, record.headers).data
    except SchemaError:
        return {}
    items = data.items if isinstance(data, Subscription) else ()
    return {item.subscription_item: item.terms[-1].quantity for item in items}


def change_of(record: ConsumerRecord) -> dict[str, Decimal]:
    """Return the quantity that a change record of an item tells."""
    change = decode_change(record.value)
    quantity = change.values.get("Quantity")
    return {} if quantity is None else {change.recordId: Decimal(str(quantity))}


async def _change(
    org: BenchOrg, items: list[str], changes: int, per_second: float, waiting: tuple[Waiting, ...]
) -> None:
    """PATCH one item after the other, evenly spaced."""
    sessions = [org.session() for _ in range(CALLERS)]
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = []
        for number in range(changes):
            await asyncio.sleep(max(started + number / per_second - time.perf_counter(), 0))
            item, quantity = items[number % len(items)], 2 + number
            for one in waiting:
                one.expect(item, Decimal(quantity), time.perf_counter())
            url = org.record_url("OrderItem", item)
            calls.append(loop.run_in_executor(pool, _patch, sessions[number % CALLERS], url, quantity))
        await asyncio.gather(*calls)
    for session in sessions:
        session.close()


def _patch(session: requests.Session, url: str, quantity: int) -> None:
    session.patch(url, json={"Quantity": quantity}, timeout=30).raise_for_status()


def percentile_ms(seconds: list[float], share: float) -> float:
    """Return the least measurement that `share` of them do not exceed, in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[max(math.ceil(len(ordered) * share) - 1, 0)] * 1000, 1)
