"""A ledger in a database of its own: a desk that hands it invoices and payments, and looks into its books."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.invoices import INVOICE_FINALIZED, Invoice, Party
from fakturo.schemas.events.usage import PeriodBounds

RECORDED_AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Desk:
    """Makes records, gives batches to the agent in transactions of their own, reads the books."""

    connection: asyncpg.Connection
    agent: LedgerAgent
    offsets: Any = field(default_factory=lambda: itertools.count())
    published: list[Event[Any]] = field(default_factory=list)

    async def hand_in(self, *records: Record, connection: asyncpg.Connection | None = None) -> Transaction:
        """Give `records` to the agent in one transaction; return it with outcomes, rejections and outbox."""
        driver = connection or self.connection
        async with driver.transaction():
            tx = Transaction(agent="ledger", sql=None, driver=driver, partition_count=4)  # type: ignore[arg-type]
            await self.agent.handle(records, tx)
        self.published += [decode_event(row.value) for row in tx.outbox if row.topic == "billing.ledger"]
        return tx

    def record(self, topic: str, value: bytes | None) -> Record:
        """Return a record of partition 0 with the next offset."""
        return Record(topic, 0, next(self.offsets), None, value, (), RECORDED_AT)

    def invoice(self, invoice_id: str, account: str = "UA", **given: Any) -> Record:
        """Return a finalized invoice: net, tax and credits in minor units, due 30 days after its issue."""
        event_id = given.pop("event_id", f"{invoice_id}:finalized")
        return self.record("billing.invoices", encode(invoice_event(invoice_id, account, event_id, **given)))

    def document(self, invoice_id: str, what: str, account: str = "UA", **given: Any) -> Record:
        """Return an invoice as it stands when it was `voided` or became `uncollectible`; `event_id` tells two apart."""
        at = given.pop("at", datetime(2026, 3, 20, 9, tzinfo=UTC))
        event = invoice_event(invoice_id, account, given.pop("event_id", f"{invoice_id}:{what}"), **given)
        event = msgspec.structs.replace(event, type=f"fakturo.invoice.{what}.v1", time=at)
        return self.record("billing.invoices", encode(event))

    def credit_note(self, note_id: str, corrects: str | None, net: int, tax: int, account: str = "UA") -> Record:
        """Return a credit note of 15 March over `net` and `tax`, both given above 0."""
        event = invoice_event(note_id, account, f"{note_id}:issued", net=-net, tax=-tax, issued_on=date(2026, 3, 15))
        note = msgspec.structs.replace(event.data, corrects=corrects)
        event = msgspec.structs.replace(event, type="fakturo.credit_note.issued.v1", data=note)
        return self.record("billing.invoices", encode(event))

    def payment(self, payment_id: str, amount: str, account: str = "UA", **given: Any) -> Record:
        """Return a payment event; `kind` is received, failed, refunded or charged_back."""
        kind = given.pop("kind", "received")
        event_id = given.pop("event_id", f"{payment_id}:{kind}")
        fields: dict[str, Any] = {
            "payment_id": payment_id,
            "account": account,
            "currency": "EUR",
            "amount": amount,
            "method": "transfer",
            "received_at": datetime(2026, 3, 10, 9, tzinfo=UTC),
            **given,
        }
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "bank",
            "type": f"fakturo.payment.{kind}.v1",
            "time": fields["received_at"],
            "data": fields,
        }
        return self.record("billing.payments", encode(event))

    async def balances(self) -> dict[tuple[str, str | None], int]:
        """Return the balances that are not 0, in minor units, by account code and customer (one currency a test)."""
        rows = await self.connection.fetch("SELECT * FROM ledger.balance WHERE amount_minor <> 0")
        return {(row["account_code"], row["party"]): row["amount_minor"] for row in rows}

    async def open_minor(self) -> dict[str, int]:
        """Return what is open of each invoice."""
        rows = await self.connection.fetch("SELECT invoice_id, open_minor FROM ledger.invoice")
        return {row["invoice_id"]: row["open_minor"] for row in rows}

    async def parked(self) -> list[str]:
        """Return the references that something waits for."""
        rows = await self.connection.fetch("SELECT reference FROM runtime.parked ORDER BY id")
        return [row["reference"] for row in rows]

    async def count(self, table: str) -> int:
        """Return how many rows `table` has."""
        return int(await self.connection.fetchval(f"SELECT count(*) FROM {table}"))


def invoice_event(
    invoice_id: str,
    account: str,
    event_id: str,
    *,
    net: int = 10_000,
    tax: int = 2_000,
    credits_applied: int = 0,
    currency: str = "EUR",
    issued_on: date = date(2026, 3, 1),
    due_on: date | None = None,
    number: str | None = None,
    **replaced: Any,
) -> Event[Invoice]:
    """Return a finalized invoice as `invoicing` publishes it."""
    total = replaced.pop("total", net + tax)
    issued_at = datetime(issued_on.year, issued_on.month, issued_on.day, 6, tzinfo=UTC)
    invoice = Invoice(
        invoice_id=invoice_id,
        number=number or f"INV-{invoice_id}",
        account=account,
        customer=Party(name=account),
        seller=Party(name="Airport"),
        currency=currency,
        period=PeriodBounds(start=issued_at - timedelta(days=28), end=issued_at),
        issue_date=issued_on,
        due_date=due_on or issued_on + timedelta(days=30),
        payment_terms="30 days",
        lines=(),
        discounts=(),
        taxes=(),
        subtotal_minor=net,
        tax_minor=tax,
        total_minor=total,
        credits_applied_minor=credits_applied,
        amount_due_minor=replaced.pop("due", total - credits_applied),
        corrects=None,
        price_versions=(),
        recorded_at=RECORDED_AT,
    )
    return event_of(
        agent="invoicing",
        event_type=INVOICE_FINALIZED,
        id=event_id,
        subject=account,
        time=issued_at,
        data=invoice,
        recorded_at=RECORDED_AT,
    )


@pytest.fixture
def desk(connection: asyncpg.Connection) -> Desk:
    """Return a desk at an empty ledger."""
    return Desk(connection, LedgerAgent(settings=None))  # type: ignore[arg-type]
