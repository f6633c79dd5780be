"""An invoicing agent in a database of its own: a desk that hands it contracts, final statements and ticks."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event, event_of
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
from fakturo.schemas.events.invoices import Invoice
from fakturo.schemas.events.usage import USAGE_RATED, PeriodBounds, RatedSlice, UsageRated

BEGINNING = datetime(2012, 12, 1, tzinfo=UTC)
MOVEMENTS = MeterDefinition(code="movements", event_type="airport.departure", aggregation="count")
TERMINAL = {"model": "per_unit", "unit_amount": "15000", "licensed": True, "proration": "day", "currency": "USD"}


def account(account_id: str, *versions: AccountVersion) -> AccountChanged:
    """Return an account in New York with terms of 30 days, or of `versions`."""
    return AccountChanged(
        account=account_id,
        salesforce_id=f"001{account_id:0>15}",
        versions=versions or (version(account_id),),
        recorded_at=BEGINNING,
    )


def version(name: str, effective_at: datetime = BEGINNING, terms_days: int = 30) -> AccountVersion:
    """Return what an account was from `effective_at` on."""
    return AccountVersion(
        effective_at=effective_at,
        recorded_at=effective_at,
        name=name,
        timezone="America/New_York",
        terms_days=terms_days,
        currency="USD",
        country="US",
        vat_id="US-1",
    )


def item(name: str, *, metered: bool = False, **given: Any) -> SubscriptionItem:
    """Return an item in service since 1 January 2013: a terminal at 15,000, or one that a meter counts."""
    start_on = given.get("service_start_on", date(2013, 1, 1))
    document = given.pop("price", TERMINAL)
    fields: dict[str, Any] = {
        "product_code": name.partition("-")[0].upper(),
        "product_name": name,
        "billing": "arrears",
        "service_start_on": start_on,
        "service_end_on": None,
        "terms": (ItemTerms(effective_from=start_on, quantity=given.pop("quantity", Decimal(1))),),
        "prices": (PriceVersion(effective_from=date(2013, 1, 1), price=document, hash=f"{name:h<64}"),),
        "tax": ItemTax(category="standard", rate_percent=Decimal("8.875")),
        "meter": MOVEMENTS if metered else None,
        **given,
    }
    return SubscriptionItem(subscription_item=name, **fields)


def subscription(account_id: str, *items: SubscriptionItem, name: str = "order", currency: str = "USD") -> Subscription:
    """Return a subscription of `items`."""
    return Subscription(
        subscription_id=f"{name}-{account_id}",
        account=account_id,
        currency=currency,
        started_on=date(2013, 1, 1),
        ended_on=None,
        items=items,
        recorded_at=BEGINNING,
    )


def month(number: int) -> datetime:
    """Return the first instant of a month of 2013 (13: January 2014) in New York, worked out by hand."""
    hours = 4 if 4 <= number <= 11 else 5  # daylight saving time from 10 March to 3 November
    return datetime(2013 + (number - 1) // 12, (number - 1) % 12 + 1, 1, hours, tzinfo=UTC)


def statement(account_id: str, name: str, number: int, *amounts: tuple[int, int], final: bool = True) -> UsageRated:
    """Return a statement of a month, of (quantity, amount in cents) a slice; slices are days at the month's start."""
    start_at, end_at = month(number), month(number + 1)
    edges = [start_at.replace(day=1 + index) for index in range(len(amounts))] + [end_at]
    slices = tuple(
        RatedSlice(
            period=PeriodBounds(start=first, end=after),
            quantity=Decimal(quantity),
            amount_exact=Decimal(amount).scaleb(-2),
            amount_minor=amount,
            price_hash=f"{name:h<64}",
            explanation=f"{quantity} movements",
        )
        for (quantity, amount), first, after in zip(amounts, edges[:-1], edges[1:], strict=True)
    )
    return UsageRated(
        account=account_id,
        subscription_id=f"order-{account_id}",
        subscription_item=name,
        product_code=name.upper(),
        meter="movements",
        dimensions=(),
        period=PeriodBounds(start=start_at, end=end_at),
        quantity=Decimal(sum(quantity for quantity, _ in amounts)),
        amount_exact=Decimal(sum(amount for _, amount in amounts)).scaleb(-2),
        amount_minor=sum(amount for _, amount in amounts),
        currency="USD",
        as_of=end_at,
        slices=slices,
        final=final,
    )


Fact = AccountChanged | Subscription | UsageRated


@dataclass
class Desk:
    """Makes records, gives batches to the agent in transactions of their own, reads what it publishes."""

    connection: asyncpg.Connection
    agent: InvoicingAgent
    offsets: Any = field(default_factory=itertools.count)
    events: list[Event[Any]] = field(default_factory=list)

    @property
    def invoices(self) -> list[Invoice]:
        """Return the invoices published so far, in order."""
        return [event.data for event in self.events]

    async def take(self, *facts: Fact, watermark_at: datetime | None = None) -> Transaction:
        """Give `facts` to the agent in one transaction."""
        tx = self.transaction()
        async with self.connection.transaction():
            await self.agent.handle([self.record(fact, watermark_at) for fact in facts], tx)
        return tx

    async def tick(self, to: datetime) -> list[Invoice]:
        """Advance time to `to` as the runtime does; return what was invoiced."""
        before = len(self.events)
        for _ in range(1000):
            tx = self.transaction()
            async with self.connection.transaction():
                more = await self.agent.advance(to, tx)
            assert {row.topic for row in tx.outbox} <= {"billing.invoices"}
            self.events += [decode_event(row.value) for row in tx.outbox]
            if not more:
                return self.invoices[before:]
        raise AssertionError("time never came to an end")

    def transaction(self) -> Transaction:
        """Return what the agent gets."""
        return Transaction("invoicing", None, self.connection, partition_count=4)  # type: ignore[arg-type]

    def record(self, fact: Fact, watermark_at: datetime | None) -> Record:
        """Return the record that carries `fact`."""
        kinds = {AccountChanged: contracts.ACCOUNT_CHANGED, Subscription: contracts.SUBSCRIPTION_CHANGED}
        event_type = kinds.get(type(fact), USAGE_RATED)
        topic = "billing.rated" if event_type == USAGE_RATED else "billing.contracts"
        event = event_of(agent="test", event_type=event_type, id="1", subject=fact.account, time=BEGINNING, data=fact)
        return Record(topic, 0, next(self.offsets), None, encode(event), (), BEGINNING, watermark_at)

    async def pending(self) -> list[str]:
        """Return the items that wait, as the view shows them."""
        rows = await self.connection.fetch("SELECT subscription_item FROM invoicing.pending ORDER BY 1")
        return [row["subscription_item"] for row in rows]


def settings_of(**given: Any) -> Settings:
    """Return settings that nothing reads from the environment."""
    fields = {
        "grace_seconds": 0, "billing_until": None, "invoice_series": "NYC", "seller_name": "Airports",
        "seller_country": "US", "seller_timezone": "UTC",
        "credit_note_series": "CRN", "review_seconds": 0, "corrections": "next_invoice",
    }  # fmt: skip
    return Settings.model_construct(**{**fields, **given})


@pytest.fixture
def desk(connection: asyncpg.Connection) -> Desk:
    """Return a desk at an empty book."""
    return Desk(connection, InvoicingAgent(settings_of()))
