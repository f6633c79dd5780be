"""A company in one database: the four agents' handlers, each given what the others publish, as the topics would.

Place     tests of verify. Contracts are published by hand (`sign`), usage, requests and payments handed in, and time
          moves by `tick`, so that the books are those of the agents themselves.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import asyncpg

from fakturo.cli.verify import Verification, verify_books
from fakturo.cli.verify_events import SESSION_TABLE
from fakturo.consumers.invoicing.handler import InvoicingAgent
from fakturo.consumers.kpi.handler import KpiAgent
from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.agent import StopsOnTheWay
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Rejection, Transaction
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events import contracts, requests
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

BEGINNING = datetime(2025, 12, 1, tzinfo=UTC)
SEAT = {"model": "per_unit", "unit_amount": "31", "licensed": True, "proration": "day", "currency": "EUR"}
CALL = {"model": "per_unit", "unit_amount": "2", "currency": "EUR"}
CALLS = MeterDefinition(code="calls", event_type="api.call", aggregation="count")
TOPICS = {"billing.contracts": ("usage", "invoicing", "kpi"), "billing.usage": ("usage",)}
TOPICS |= {"billing.rated": ("invoicing",), "billing.requests": ("invoicing",), "billing.payments": ("ledger",)}
TOPICS |= {"billing.invoices": ("ledger", "kpi"), "billing.ledger": ("kpi", "invoicing"), "billing.kpis": ()}


def version(effective_at: datetime = BEGINNING, **given: Any) -> AccountVersion:
    """Return what an account is from an instant on: in UTC, in euros, with terms of 14 days."""
    fields: dict[str, Any] = {"name": "Acme", "timezone": "UTC", "terms_days": 14, "currency": "EUR", "country": "DE"}
    return AccountVersion(effective_at=effective_at, recorded_at=effective_at, **{**fields, **given})


def account(*versions: AccountVersion, name: str = "A") -> AccountChanged:
    """Return an account of `versions`."""
    return AccountChanged(
        account=name, salesforce_id=f"001{name:0>15}", versions=versions or (version(),), recorded_at=BEGINNING
    )


def price(document: dict[str, Any], effective_from: date = date(2020, 1, 1)) -> PriceVersion:
    """Return a price version."""
    digest = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return PriceVersion(effective_from=effective_from, price=document, hash=digest)


def terms(on: date, quantity: str = "1", **given: Any) -> ItemTerms:
    """Return what was agreed from a date on."""
    return ItemTerms(effective_from=on, quantity=Decimal(quantity), **given)


def item(name: str, *prices: PriceVersion, **given: Any) -> SubscriptionItem:
    """Return an item in service since 1 January 2026: a seat at 31.00 a month with 20 % tax, or as given."""
    start_on = given.get("service_start_on", date(2026, 1, 1))
    fields: dict[str, Any] = {
        "product_code": name.upper(),
        "product_name": name,
        "billing": "arrears",
        "service_start_on": start_on,
        "service_end_on": None,
        "terms": (terms(start_on),),
        "prices": prices or (price(CALL if given.get("meter") else SEAT),),
        "tax": ItemTax(category="standard", rate_percent=Decimal(20)),
        **given,
    }
    return SubscriptionItem(subscription_item=name, **fields)


def subscription(*items: SubscriptionItem, **given: Any) -> Subscription:
    """Return a subscription of account A."""
    fields: dict[str, Any] = {
        "subscription_id": "sub", "account": "A", "currency": "EUR", "started_on": date(2026, 1, 1), "ended_on": None,
        "recorded_at": BEGINNING, **given,
    }  # fmt: skip
    return Subscription(items=items, **fields)


def settings_of(**given: Any) -> Settings:
    """Return settings that nothing reads from the environment."""
    fields = {
        "grace_seconds": 0, "billing_until": None, "invoice_series": "INV", "credit_note_series": "CN",
        "seller_name": "Seller", "seller_country": "DE", "seller_timezone": "UTC", "review_seconds": 0,
        "corrections": "next_invoice", "seller_tax_rounding": "group", "seller_vat_id": "", "seller_address": "",
        "seller_tax_registrations": (),
    }  # fmt: skip
    return Settings.model_construct(**{**fields, **given})


@dataclass
class Company:
    """Gives each agent what the others publish, in transactions of their own, until nothing is left to give."""

    connection: asyncpg.Connection
    given: dict[str, Any] = field(default_factory=dict)
    offsets: Any = field(default_factory=itertools.count)
    now: datetime = BEGINNING
    rejections: list[Rejection] = field(default_factory=list)
    documents: list[Invoice] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = settings_of(**self.given)
        kinds = {"usage": UsageAgent, "invoicing": InvoicingAgent, "ledger": LedgerAgent, "kpi": KpiAgent}
        self.agents = {name: kind(settings) for name, kind in kinds.items()}

    async def sign(self, *facts: AccountChanged | Subscription) -> None:
        """Publish contracts, as the contracts agent keeps and tells them."""
        for fact in facts:
            is_account = isinstance(fact, AccountChanged)
            name = fact.account if isinstance(fact, AccountChanged) else fact.subscription_id
            kind = contracts.ACCOUNT_CHANGED if is_account else contracts.SUBSCRIPTION_CHANGED
            await self.connection.execute(
                "INSERT INTO contracts.published (role, record_id, account, content_hash, event_type, content, "
                "recorded_at) VALUES ($1, $2, $3, '', $4, $5, $6) ON CONFLICT (role, record_id) "
                "DO UPDATE SET content = excluded.content",
                "account" if is_account else "subscription",
                name,
                fact.account,
                kind,
                encode(fact).decode(),
                BEGINNING,
            )
            event = event_of(agent="contracts", event_type=kind, id=name, subject=name, time=self.now, data=fact)
            await self.give("billing.contracts", encode(event))

    async def use(self, *at: str, **data: Any) -> None:
        """Hand in one call of account A at each of these times."""
        for one in at:
            event = {
                "specversion": "1.0", "id": str(next(self.offsets)), "source": "meter/1", "type": "api.call",
                "subject": "A", "time": one, "data": data,
            }  # fmt: skip
            await self.give("billing.usage", json.dumps(event).encode())

    async def ask(self, event_type: str, data: Any) -> None:
        """Hand in a request."""
        event = event_of(
            agent="cli", event_type=event_type, id=f"r{next(self.offsets)}", subject="A", time=self.now, data=data
        )
        await self.give("billing.requests", encode(event))

    async def void(self, invoice: Invoice, *, reissue: bool = False) -> None:
        """Ask for an invoice to be taken back."""
        asked = requests.InvoiceRequest(
            request_id=f"r{next(self.offsets)}", account=invoice.account, invoice_id=invoice.invoice_id, reissue=reissue
        )
        await self.ask(requests.INVOICE_VOID_REQUESTED, asked)

    async def write_off(self, invoice: Invoice) -> None:
        """Ask for an invoice to be given up."""
        asked = requests.InvoiceRequest(
            request_id=f"r{next(self.offsets)}", account=invoice.account, invoice_id=invoice.invoice_id
        )
        await self.ask(requests.INVOICE_WRITE_OFF_REQUESTED, asked)

    async def credit(self, invoice: Invoice, *lines: tuple[str, str]) -> None:
        """Ask for a credit note over (line, amount), or over all that is left."""
        asked = requests.CreditNoteRequest(
            request_id=f"r{next(self.offsets)}",
            account=invoice.account,
            invoice_id=invoice.invoice_id,
            reason="case 1",
            lines=tuple(requests.CreditedLine(line_id=line, amount=amount) for line, amount in lines),
        )
        await self.ask(requests.CREDIT_NOTE_REQUESTED, asked)

    async def pay(self, payment_id: str, amount: str, invoice: Invoice, kind: str = "received") -> None:
        """Hand in a payment event."""
        data = {
            "payment_id": payment_id, "account": invoice.account, "currency": "EUR", "amount": amount,
            "method": "transfer", "received_at": self.now, "invoice_id": invoice.invoice_id, "fee": "0.25",
        }  # fmt: skip
        event = {
            "specversion": "1.0", "id": f"{payment_id}:{kind}", "source": "bank", "time": self.now,
            "type": f"fakturo.payment.{kind}.v1", "data": data,
        }  # fmt: skip
        await self.give("billing.payments", encode(event))

    async def tick(self, year: int, month: int, day: int = 1) -> list[Invoice]:
        """Let time reach midnight (UTC) of a day; return the documents that were issued by it."""
        after, before = self.now, len(self.documents)
        self.now = datetime(year, month, day, tzinfo=UTC)
        for name in ("usage", "invoicing", "ledger", "kpi"):
            agent, more = self.agents[name], hasattr(self.agents[name], "advance")
            while more:
                tx = self._transaction(name)
                async with self.connection.transaction():
                    stop = await agent.next_stop(after, self.now, tx) if isinstance(agent, StopsOnTheWay) else self.now
                    assert stop in (None, self.now), f"{name} stops at {stop}: no tick is left out here"
                    more = stop is None or await agent.advance(self.now, tx)
                await self._pass_on(tx)
        return self.documents[before:]

    async def flush(self) -> None:
        """Let the usage agent publish its running statements."""
        tx = self._transaction("usage")
        async with self.connection.transaction():
            await self.agents["usage"].flush(tx)
        await self._pass_on(tx)

    async def give(self, topic: str, value: bytes) -> None:
        """Give a record to all that read its topic, and on what they publish."""
        record = Record(topic, 0, next(self.offsets), None, value, (), self.now, self.now)
        for name in TOPICS[topic]:
            tx = self._transaction(name)
            async with self.connection.transaction():
                await self.agents[name].handle([record], tx)
            self.rejections += tx.rejections
            await self._pass_on(tx)

    async def verify(self) -> Verification:
        """Return what `fakturo verify` finds, as it does: in one snapshot that cannot write."""
        assert self.rejections == []
        await self.connection.execute(SESSION_TABLE)
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            return await verify_books(self.connection)

    async def tamper(self, statement: str, *arguments: object) -> None:
        """Change a figure past the guards of the books."""
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            await self.connection.execute(statement, *arguments)

    def _transaction(self, name: str) -> Transaction:
        return Transaction(name, None, self.connection, partition_count=1)  # type: ignore[arg-type]

    async def _pass_on(self, tx: Transaction) -> None:
        for row in tx.outbox:
            event = decode_event(row.value)
            if event.type.endswith(("invoice.finalized.v1", "credit_note.issued.v1")):
                self.documents.append(event.data)
            await self.give(row.topic, row.value)


def figures(found: Verification) -> Sequence[tuple[str, str | None, str | None]]:
    """Return (figure, expected, found) of each difference."""
    return [(one.figure, one.expected, one.found) for one in found.differences]
