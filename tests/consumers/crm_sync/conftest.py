"""A crm_sync agent in a database of its own: a desk that makes events, hands them in and reads the rows."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events import invoices
from fakturo.schemas.events.contracts import (
    ACCOUNT_CHANGED,
    SUBSCRIPTION_CHANGED,
    AccountChanged,
    AccountVersion,
    ItemTax,
    Subscription,
    SubscriptionItem,
)
from fakturo.schemas.events.invoices import Invoice, InvoiceLine, LineTax, Party
from fakturo.schemas.events.kpis import KPI_UPDATED, KpiUpdated
from fakturo.schemas.events.ledger import JOURNAL_POSTED, JournalLine, JournalPosted, JournalSource
from fakturo.schemas.events.usage import PeriodBounds
from fakturo.schemas.salesforce_ids import long_id

RECORDED_AT = datetime(2026, 1, 1, tzinfo=UTC)
UNITED = long_id("0018e00000AbCdE")
"""The record id of the account "UA" in the org."""


def at(day: date) -> datetime:
    """Return the first instant, UTC, of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def line(line_id: str, amount_minor: int, **given: Any) -> InvoiceLine:
    """Return a line of January 2026."""
    told: dict[str, Any] = {
        "line_id": line_id,
        "subscription_item": "8025e000000AbCdAAK",
        "product_code": "MOVEMENT",
        "description": "Movement charge, January 2026",
        "explanation": "1 x 100",
        "quantity": Decimal("1.50"),
        "amount_exact": Decimal(amount_minor) / 100,
        "amount_minor": amount_minor,
        "period": PeriodBounds(start=at(date(2026, 1, 1)), end=at(date(2026, 2, 1))),
        "tax": LineTax(category="standard", rate_percent=Decimal("8.875")),
        "tax_minor": 0,
    }
    return InvoiceLine(**told | given)


def invoice(invoice_id: str = "in-1", total_minor: int = 10_000, **given: Any) -> Invoice:
    """Return an invoice of January 2026 over `total_minor` cents without tax, due on 3 March."""
    told: dict[str, Any] = {
        "invoice_id": invoice_id,
        "number": f"INV-{invoice_id}",
        "account": "UA",
        "customer": Party(name="United Air Lines Inc."),
        "seller": Party(name="Metro Airports"),
        "currency": "USD",
        "period": PeriodBounds(start=at(date(2026, 1, 1)), end=at(date(2026, 2, 1))),
        "issue_date": date(2026, 2, 1),
        "due_date": date(2026, 3, 3),
        "payment_terms": "30 days",
        "lines": (line(f"{invoice_id}-1", total_minor),),
        "discounts": (),
        "taxes": (),
        "subtotal_minor": total_minor,
        "tax_minor": 0,
        "total_minor": total_minor,
        "credits_applied_minor": 0,
        "amount_due_minor": total_minor,
        "corrects": None,
        "price_versions": (),
    }
    return Invoice(**told | given)


def item(**given: Any) -> SubscriptionItem:
    """Return an item that is billed monthly in arrears since 1 January 2026."""
    told: dict[str, Any] = {
        "subscription_item": "8025e000000AbCdAAK",
        "product_code": "MOVEMENT",
        "product_name": "Movements",
        "billing": "arrears",
        "service_start_on": date(2026, 1, 1),
        "service_end_on": None,
        "terms": (),
        "prices": (),
        "tax": ItemTax(category="standard", rate_percent=Decimal(0)),
    }
    return SubscriptionItem(**told | given)


@dataclass
class Desk:
    """Makes records, gives batches and ticks to the agent in transactions of their own, reads the rows."""

    connection: asyncpg.Connection
    agent: CrmSyncAgent
    offsets: Any = field(default_factory=lambda: itertools.count())

    async def hand_in(self, *records: Record) -> Transaction:
        """Give `records` to the agent in one transaction."""
        async with self._transaction() as tx:
            await self.agent.handle(records, tx)
        return tx

    async def tick(self, day: date) -> int:
        """Let time reach the start of `day`; return how many calls it took."""
        for calls in itertools.count(1):
            async with self._transaction() as tx:
                more = await self.agent.advance(at(day), tx)
            if not more:
                return calls
        raise AssertionError

    def document(self, event_type: str, told: Invoice, suffix: str = "") -> Record:
        """Return the record of a document."""
        return self._record("billing.invoices", event_type, told.invoice_id + suffix, told.account, told)

    def finalized(self, told: Invoice) -> Record:
        """Return the record of a finalized invoice."""
        return self.document(invoices.INVOICE_FINALIZED, told)

    def journal(
        self, kind: str, source_id: str, day: date, *legs: tuple[str, int], account: str = "UA", currency: str = "USD"
    ) -> Record:
        """Return a posted journal that moves the receivable of each leg's invoice."""
        told = JournalPosted(
            journal_id=f"{kind}/{source_id}",
            kind=kind,
            account=account,
            source=JournalSource(type="payment" if kind == "received" else "invoice", id=source_id),
            effective_on=day,
            recorded_at=RECORDED_AT,
            lines=tuple(
                JournalLine(
                    account_code="1200",
                    account_name="Accounts receivable",
                    party=account,
                    currency=currency,
                    amount_minor=amount_minor,
                    invoice_id=invoice_id,
                )
                for invoice_id, amount_minor in legs
            ),
        )
        return self._record("billing.ledger", JOURNAL_POSTED, told.journal_id, account, told)

    def kpi(self, kpi: str, window: str, value: str | None, *, currency: str = "USD", account: str = "UA") -> Record:
        """Return the record of a KPI's value."""
        number = None if value is None else Decimal(value)
        told = KpiUpdated(
            kpi=kpi,
            window=window,
            account=account,
            as_of=date(2026, 3, 1),
            value=number,
            unit="currency",
            currency=currency,
            numerator=number,
            denominator=None,
            basis="as_reported",
            definition="",
        )
        return self._record("billing.kpis", KPI_UPDATED, f"{account}/{kpi}/{window}/{value}", account, told)

    def account(self, account: str = "UA", *, salesforce_id: str = UNITED, hours: int = 0, **version: Any) -> Record:
        """Return the record of an account, known `hours` after the first."""
        told: dict[str, Any] = {
            "effective_at": RECORDED_AT,
            "recorded_at": RECORDED_AT,
            "name": "United Air Lines Inc.",
            "timezone": "UTC",
            "terms_days": 30,
            "currency": "USD",
        }
        changed = AccountChanged(
            account=account,
            salesforce_id=salesforce_id,
            versions=(AccountVersion(**told | version),),
            recorded_at=RECORDED_AT + timedelta(hours=hours),
        )
        return self._record("billing.contracts", ACCOUNT_CHANGED, f"{account}/{hours}", account, changed)

    def subscription(
        self, *items: SubscriptionItem, account: str = "UA", subscription_id: str = "sub-1", hours: int = 0
    ) -> Record:
        """Return the record of a subscription, known `hours` after the first."""
        told = Subscription(
            subscription_id=subscription_id,
            account=account,
            currency="USD",
            started_on=date(2026, 1, 1),
            ended_on=None,
            items=items,
            recorded_at=RECORDED_AT + timedelta(hours=hours),
        )
        return self._record("billing.contracts", SUBSCRIPTION_CHANGED, f"{subscription_id}/{hours}", account, told)

    async def fields(self, entity: str, key: str) -> dict[str, str | None]:
        """Return the fields of a row that is to be in the org."""
        stored = await self.connection.fetchval(
            "SELECT fields FROM crm_sync.written WHERE entity = $1 AND key = $2", entity, key
        )
        told: dict[str, str | None] = msgspec.json.decode(stored)
        return told

    async def rows(self) -> list[tuple[Any, ...]]:
        """Return all that the org is to hold, sorted: what no order and no repetition may change."""
        return [
            tuple(row)
            for row in await self.connection.fetch(
                "SELECT entity, key, account, parent_key, fields, held FROM crm_sync.written "
                "WHERE fields IS NOT NULL ORDER BY entity, key"
            )
        ]

    def _record(self, topic: str, event_type: str, event_id: str, account: str, data: Any) -> Record:
        event = event_of(agent="test", event_type=event_type, id=event_id, subject=account, time=RECORDED_AT, data=data)
        return Record(topic, 0, next(self.offsets), None, encode(event), (), RECORDED_AT, None)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self.connection.transaction():
            yield Transaction(agent="crm_sync", sql=None, driver=self.connection, partition_count=4)  # type: ignore[arg-type]


@pytest.fixture
def desk(connection: asyncpg.Connection) -> Desk:
    """Return a desk at an empty book."""
    return Desk(connection, CrmSyncAgent(settings=None))  # type: ignore[arg-type]
