"""The whole flow in one process: the real agents on one database, each handed what the others published.

Place     journey.py -> [this] -> contracts, usage, invoicing, ledger, kpi, crm_sync -> journey.py's checks.
Like      the runtime: a call is a transaction; records of an owned topic are numbered; `watermark_at` is the last tick
          that the topic has seen; a tick reaches an agent when all its inputs but feedback have it, and goes on to its
          outputs after `advance` has no more to do and `flush` was called (replay: `interim_seconds` is 0).
Without   a broker and partitions: each topic has one. `batch_max` says where batches end.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.kpi.handler import KpiAgent
from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.agent import StopsOnTheWay
from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Rejection, Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.codec import decode_event
from fakturo.schemas.envelope import Event
from fakturo.schemas.topics import SEQUENCE_HEADER, TOPICS, feedback_of, read_by, written_by

FLOW = ("contracts", "usage", "invoicing", "ledger", "kpi", "crm_sync")
"""The agents in the order in which a tick goes through them."""


@dataclass
class Pipeline:
    """The agents, what waits for each of them, and all that was published. `now` is the broker's clock."""

    connection: asyncpg.Connection
    settings: Settings
    offers: Offers
    now: datetime
    batch_max: int = 1000
    published: list[tuple[str, Event[Any]]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._agents: dict[str, Any] = {
            "contracts": ContractsAgent(self.settings, self.offers),
            "usage": UsageAgent(self.settings),
            "invoicing": InvoicingAgent(self.settings),
            "ledger": LedgerAgent(self.settings),
            "kpi": KpiAgent(self.settings),
            "crm_sync": CrmSyncAgent(self.settings),
        }
        self._waiting: dict[str, deque[Record]] = defaultdict(deque)
        self._offsets: dict[str, int] = defaultdict(int)
        self._ticked_at: dict[str, datetime] = {}
        self._reached_at: dict[str, datetime] = {}

    def feed(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Append a record to `topic`; its readers get it with the next `deliver` or `tick`."""
        self._append(topic, key, value, ())

    async def deliver(self) -> None:
        """Give every agent what waits for it, and what comes of that, until nothing waits."""
        while any(self._waiting.values()):
            for name in FLOW:
                await self._give(name)

    async def tick(self, to: datetime) -> None:
        """Let time reach `to` everywhere: for each agent when what comes before it in the flow has been handled."""
        self.now = to
        await self.deliver()
        for topic in TOPICS.values():
            if topic.owner is None:
                self._ticked_at[topic.name] = to
        for name in FLOW:
            await self._give(name)
            held_by = [topic.name for topic in read_by(name) if topic not in feedback_of(name)]
            assert all(self._ticked_at.get(topic) == to for topic in held_by), f"{name} is not due at {to}"
            await self._advance(name, to)
        await self.deliver()

    async def _advance(self, name: str, to: datetime) -> None:
        agent, after, more = self._agents[name], self._reached_at.get(name), True
        while more:
            tx = self._transaction(name)
            async with self.connection.transaction():
                stop = await agent.next_stop(after, to, tx) if isinstance(agent, StopsOnTheWay) else to
                assert stop in (None, to), f"{name} stops at {stop}: no tick is left out here"
                more = stop is None or await agent.advance(to, tx)
                if not more:
                    await agent.flush(tx)
            self._take(tx)
        self._reached_at[name] = to
        for topic in written_by(name):
            self._ticked_at[topic.name] = to

    async def _give(self, name: str) -> None:
        waiting = self._waiting[name]
        while waiting:
            batch = [waiting.popleft() for _ in range(min(self.batch_max, len(waiting)))]
            tx = self._transaction(name)
            async with self.connection.transaction():
                await handle_isolated(self._agents[name], batch, tx)
            self._take(tx)

    def _transaction(self, name: str) -> Transaction:
        return Transaction(name, None, self.connection, partition_count=1)  # type: ignore[arg-type]

    def _take(self, tx: Transaction) -> None:
        self.rejections += tx.rejections
        for row in tx.outbox:
            if row.topic in TOPICS:
                self._publish(row)

    def _publish(self, row: OutboxRow) -> None:
        sequence = str(self._offsets[row.topic] + 1).encode()
        self._append(row.topic, row.key, row.value, (*row.headers, (SEQUENCE_HEADER, sequence)))
        self.published.append((row.topic, decode_event(row.value, row.headers)))

    def _append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> None:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        record = Record(topic, 0, offset, key, value, headers, self.now, self._ticked_at.get(topic))
        for reader in TOPICS[topic].readers:
            if reader in self._agents:
                self._waiting[reader].append(record)

    def told(self, *types: str) -> list[Event[Any]]:
        """Return the published events of these types, in order."""
        return [event for _, event in self.published if event.type in types]
