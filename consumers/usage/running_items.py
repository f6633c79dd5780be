"""Items as running statements need them: read and cut at price changes once, kept until their contract changes.

Place     statements (`flush`) -> [this] -> statement_store, rateable -> Rateable.
Asked     each time, and locked: where an item's period stands, and the version of its account, which counts up with
          every change of its contracts. What was read under another one is read again. The caller holds the contracts
          (account_store.py), so nothing changes under its hands.
Shared    items whose contracts say the same, ids and names apart, are cut once: most of them were sold from one list.
          What is kept of an item itself is a few hundred bytes.
Bounded   in items, and in bytes of the contracts that differ; beyond that all is forgotten and read anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
from msgspec import structs

from fakturo.consumers.usage import statement_store
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.running_store import Pair
from fakturo.engine.errors import PriceError
from fakturo.schemas.codec import encode

ITEMS_MAX = 32_768
CONTRACT_BYTES_MAX = 4 * 1_048_576
"""Of contracts that differ, as JSON; what is made of them takes some times as much."""

Failed = tuple[DueItem, PriceError]
"""An item whose prices cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An item as it was read at `stands`: the version of its account, its period, and what its row says of itself."""

    stands: tuple[int, bool, datetime, datetime, datetime]
    item: Rateable


class RunningItems:
    """The items of one worker's running statements."""

    def __init__(self, items_max: int = ITEMS_MAX, contract_bytes_max: int = CONTRACT_BYTES_MAX) -> None:
        self._items_max = items_max
        self._contract_bytes_max = contract_bytes_max
        self._known: dict[str, _Known] = {}
        self._by_contract: dict[bytes, Rateable] = {}
        self._contract_bytes = 0

    def __len__(self) -> int:
        """Return how many items are kept."""
        return len(self._known)

    async def of(self, driver: asyncpg.Connection, pairs: Sequence[Pair]) -> tuple[list[Rateable], list[Failed]]:
        """Lock and return the items of (account, meter) pairs that nobody makes a final statement of, sorted by id."""
        rows = await statement_store.lock_items(driver, pairs)
        found: dict[str, Rateable] = {}
        unknown: dict[str, tuple[int, bool, datetime, datetime, datetime]] = {}
        for name, *rest in rows:
            stands = (rest[0], rest[1], rest[2], rest[3], rest[4])
            known = self._known.get(name)
            if known is not None and known.stands == stands:
                found[name] = known.item
            else:
                unknown[name] = stands
        failed: list[Failed] = []
        if unknown:
            self._make_room(len(unknown))
            for due in await statement_store.items_named(driver, list(unknown)):
                try:
                    item = self._cut(due)
                except PriceError as error:
                    failed.append((due, error))
                    continue
                found[due.subscription_item] = item
                self._known[due.subscription_item] = _Known(unknown[due.subscription_item], item)
        return [found[name] for name in sorted(found)], failed

    def _make_room(self, count: int) -> None:
        if len(self._known) + count > self._items_max or self._contract_bytes > self._contract_bytes_max:
            self._known.clear()
            self._by_contract.clear()
            self._contract_bytes = 0

    def _cut(self, due: DueItem) -> Rateable:
        """Return the item in stretches: those of the first item whose contract says the same of the same period.

        Raises:
            PriceError: a price of the item cannot be read.
        """
        said = structs.replace(due.item, subscription_item="")
        contract = encode((said, due.versions, due.currency, due.period.start_at, due.period.end_at, due.removed))
        first = self._by_contract.get(contract)
        if first is None:
            first = Rateable.of(replace(due, item=said))
            self._by_contract[contract] = first
            self._contract_bytes += len(contract)
        shared = replace(due, item=first.due.item, versions=first.due.versions, meter=first.due.meter)
        return replace(first, due=replace(shared, period=first.due.period))
