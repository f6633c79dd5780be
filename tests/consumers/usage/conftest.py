"""A usage agent in a database of its own: a desk that hands it contracts, usage and ticks, and looks into its books."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import totals_book
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.segments import StoredEvent, unpack
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events import contracts
from fakturo.schemas.events.contracts import (
    AccountChanged,
    AccountVersion,
    ItemTax,
    ItemTerms,
    MeterDefinition,
    PriceVersion,
    Subscription,
    SubscriptionItem,
)
from fakturo.schemas.events.usage import ThresholdCrossed, UsageRated

RECORDED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
SALESFORCE_ID = "001NY0000000002YAA"

CALLS = MeterDefinition(code="calls", event_type="api.call", aggregation="count")
BY_REGION = MeterDefinition(code="regions", event_type="api.call", aggregation="count", group_by=("region",))
TOKENS = MeterDefinition(code="tokens", event_type="api.call", aggregation="sum", value="data.tokens")
PEAK = MeterDefinition(code="peak", event_type="api.call", aggregation="max", value="data.tokens")

TWO_EACH = {"model": "per_unit", "unit_amount": "2", "currency": "EUR"}
THREE_EACH = {"model": "per_unit", "unit_amount": "3", "currency": "EUR"}


@pytest.fixture
def copied_however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the small batches of tests go the way of large ones, whose new totals are copied and not merged."""
    monkeypatch.setattr(totals_book, "COPY_TOTALS_MIN", 1)


def account(account_id: str = "UA", timezone: str = "UTC", **given: Any) -> AccountChanged:
    """Return an account of one version."""
    version = AccountVersion(
        effective_at=BEGINNING, recorded_at=BEGINNING, name=account_id, timezone=timezone, terms_days=30, currency="EUR"
    )
    fields = {"salesforce_id": SALESFORCE_ID, "recorded_at": BEGINNING, "versions": (version,), **given}
    return AccountChanged(account=account_id, **fields)


def price(document: dict[str, Any], effective_from: date = date(2020, 1, 1)) -> PriceVersion:
    """Return a price version."""
    digest = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return PriceVersion(effective_from=effective_from, price=document, hash=digest)


def item(name: str, meter: MeterDefinition = CALLS, *prices: PriceVersion, **given: Any) -> SubscriptionItem:
    """Return a metered item in service since 1 February 2026."""
    start_on = given.get("service_start_on", date(2026, 2, 1))
    fields: dict[str, Any] = {
        "product_code": name.upper(),
        "product_name": name,
        "billing": "arrears",
        "service_start_on": start_on,
        "service_end_on": None,
        "terms": (ItemTerms(effective_from=start_on, quantity=Decimal(1)),),
        "prices": prices or (price(TWO_EACH),),
        "tax": ItemTax(category="standard", rate_percent=Decimal(20)),
        "meter": meter,
        **given,
    }
    return SubscriptionItem(subscription_item=name, **fields)


def subscription(*items: SubscriptionItem, account_id: str = "UA", name: str = "sub") -> Subscription:
    """Return a subscription of `items`."""
    return Subscription(
        subscription_id=f"{name}-{account_id}",
        account=account_id,
        currency="EUR",
        started_on=date(2026, 2, 1),
        ended_on=None,
        items=items,
        recorded_at=BEGINNING,
    )


async def all_events(connection: asyncpg.Connection) -> list[StoredEvent]:
    """Return every event of the book, by identity."""
    rows = await connection.fetch("SELECT content FROM usage.segment")
    events = [event for row in rows for event in unpack(row["content"])]
    return sorted(events, key=lambda event: (event.source, event.id))


@dataclass
class Desk:
    """Makes records, gives batches to the agent in transactions of their own, reads the books."""

    connection: asyncpg.Connection
    agent: UsageAgent
    offsets: Any = field(default_factory=itertools.count)
    published: list[UsageRated] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    alerts: list[tuple[str, ThresholdCrossed]] = field(default_factory=list)
    stands_at: datetime | None = None
    stops: list[datetime] = field(default_factory=list)

    def transaction(self, connection: asyncpg.Connection | None = None) -> Transaction:
        """Return what the agent gets, on the desk's own or another connection."""
        return Transaction("usage", None, connection or self.connection, partition_count=4)  # type: ignore[arg-type]

    async def hand_in(self, *records: Record, connection: asyncpg.Connection | None = None) -> Transaction:
        """Give `records` to the agent in one transaction; return it with outcomes, rejections and outbox."""
        tx = self.transaction(connection)
        async with tx.driver.transaction():
            await self.agent.handle(records, tx)
        return tx

    async def sign(self, *facts: AccountChanged | Subscription, watermark_at: datetime | None = None) -> Transaction:
        """Give contracts to the agent."""
        return await self.hand_in(*(self.contract(fact, watermark_at) for fact in facts))

    async def tick(self, to: datetime) -> int:
        """Advance time to `to` as the runtime does; return the number of calls."""
        for calls in itertools.count(1):
            tx = self.transaction()
            async with self.connection.transaction():
                stop = await self.agent.next_stop(self.stands_at, to, tx)
                more = stop is None or await self.agent.advance(stop, tx)
            self._collect(tx)
            if stop is None or more:
                continue
            self.stands_at = stop
            self.stops.append(stop)
            if stop == to:
                return calls
        raise AssertionError

    async def flush(self) -> list[UsageRated]:
        """Publish running statements once; return them."""
        tx, before = self.transaction(), len(self.published)
        async with self.connection.transaction():
            await self.agent.flush(tx)
        self._collect(tx)
        return self.published[before:]

    def _collect(self, tx: Transaction) -> None:
        for row in tx.outbox:
            event = decode_event(row.value)
            if row.topic == "billing.alerts":
                self.alerts.append((event.id, event.data))
                continue
            assert row.topic == "billing.rated"
            self.published.append(event.data)
            self.keys.append((row.key or b"").decode())
            self.event_ids.append(event.id)

    def contract(self, fact: AccountChanged | Subscription, watermark_at: datetime | None = None) -> Record:
        """Return the record of an account or subscription."""
        is_account = isinstance(fact, AccountChanged)
        event_type = contracts.ACCOUNT_CHANGED if is_account else contracts.SUBSCRIPTION_STARTED
        event = event_of(
            agent="contracts", event_type=event_type, id="c", subject=fact.account, time=BEGINNING, data=fact
        )
        return self.record("billing.contracts", encode(event), watermark_at)

    def usage(self, event_id: str = "1", at: str = "2026-02-10T10:00:00Z", **given: Any) -> Record:
        """Return a usage event of account UA; `data` are its data, further names replace attributes (None: absent)."""
        watermark_at = given.pop("watermark_at", None)
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "meter/1",
            "type": "api.call",
            "subject": "UA",
            "time": at,
            "data": {"tokens": "5", "region": "eu"},
            **given,
        }
        body = json.dumps({name: value for name, value in event.items() if value is not None}).encode()
        return self.record("billing.usage", body, watermark_at)

    def record(self, topic: str, value: bytes | None, watermark_at: datetime | None = None) -> Record:
        """Return a record of partition 0 with the next offset."""
        return Record(topic, 0, next(self.offsets), None, value, (), RECORDED_AT, watermark_at)

    async def stored(self) -> list[str]:
        """Return the ids of the stored events, sorted."""
        return sorted(event.id for event in await all_events(self.connection))

    async def parked(self) -> list[str]:
        """Return the references that something waits for."""
        return [row["reference"] for row in await self.connection.fetch("SELECT reference FROM runtime.parked")]

    def finals(self) -> list[tuple[str, str, Decimal, int]]:
        """Return (item, local start of the period, quantity, amount in cents) of the final statements, in order."""
        return [
            (one.subscription_item, key.rpartition("/")[2], one.quantity, one.amount_minor)
            for one, key in zip(self.published, self.keys, strict=True)
            if one.final
        ]


def reasons(tx: Transaction) -> Sequence[str]:
    """Return the reasons of the dead letters, in order."""
    return [rejection.reason.value for rejection in tx.rejections]


def settings_of(**given: Any) -> Settings:
    """Return settings that no part of the handler reads from the environment."""
    return Settings.model_construct(**{"grace_seconds": 0, "billing_until": None, "interim_seconds": 0, **given})


@pytest.fixture
def desk(connection: asyncpg.Connection) -> Desk:
    """Return a desk at an empty book."""
    return Desk(connection, UsageAgent(settings_of()))
