"""The invoicing agent beside a ledger in one database: requests in, documents to the ledger, its journals back."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Rejection, Transaction
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.requests import CreditedLine, CreditNoteRequest, InvoiceRequest
from tests.consumers.invoicing.conftest import Desk

TYPES = {
    "approve": "fakturo.invoice.approval_given.v1",
    "void": "fakturo.invoice.void_requested.v1",
    "write_off": "fakturo.invoice.write_off_requested.v1",
    "credit": "fakturo.credit_note.requested.v1",
}


@dataclass
class Books:
    """Hands requests and payments to the two agents and what one publishes to the other; `events` is all of it."""

    desk: Desk
    ledger: LedgerAgent = field(default_factory=lambda: LedgerAgent(settings=None))  # type: ignore[arg-type]
    offsets: Any = field(default_factory=itertools.count)
    events: list[Event[Any]] = field(default_factory=list)
    posted: int = 0

    async def ask(
        self,
        what: str,
        invoice_id: str,
        account: str = "UA",
        *,
        request_id: str | None = None,
        lines: Sequence[tuple[str, str]] = (),
        at: datetime = datetime(2013, 2, 10, 12, tzinfo=UTC),
        connection: asyncpg.Connection | None = None,
        **given: Any,
    ) -> list[Rejection]:
        """Ask invoicing for something; return what was rejected."""
        number = next(self.offsets)
        fields = {"request_id": request_id or f"r{number}", "account": account, "invoice_id": invoice_id, **given}
        data: InvoiceRequest | CreditNoteRequest
        if what == "credit":
            asked = tuple(CreditedLine(line_id=line, amount=amount) for line, amount in lines)
            data = CreditNoteRequest(**{"reason": "", **fields}, lines=asked)
        else:
            data = InvoiceRequest(**fields)
        event = event_of(
            agent="test", event_type=TYPES[what], id=fields["request_id"], subject=account, time=at, data=data
        )
        record = Record("billing.requests", 0, number, None, encode(event), (), at, at)
        return await self.invoicing(record, connection=connection)

    async def invoicing(self, *records: Record, connection: asyncpg.Connection | None = None) -> list[Rejection]:
        """Give records to invoicing in one transaction."""
        driver = connection or self.desk.connection
        tx = Transaction("invoicing", None, driver, partition_count=4)  # type: ignore[arg-type]
        async with driver.transaction():
            await self.desk.agent.handle(records, tx)
        self.events += [decode_event(row.value) for row in tx.outbox if row.topic == "billing.invoices"]
        return tx.rejections

    async def tick(self, to: datetime) -> list[Any]:
        """Let time reach `to` for invoicing; return the documents published."""
        before = len(self.desk.events)
        await self.desk.tick(to)
        self.events += self.desk.events[before:]
        return [event.data for event in self.desk.events[before:]]

    async def post(self) -> list[str]:
        """Give the ledger what invoicing published since the last time, and invoicing the journals; return kinds."""
        fresh, self.posted = self.events[self.posted :], len(self.events)
        records = [self._record("billing.invoices", encode(event), event.time) for event in fresh]
        return await self._book(records)

    async def pay(self, payment_id: str, amount: str, invoice_id: str, kind: str = "received") -> list[str]:
        """Give the ledger a payment event of account UA; return the kinds of the journals."""
        at = datetime(2013, 2, 20, 9, tzinfo=UTC)
        data = {
            "payment_id": payment_id, "account": "UA", "currency": "USD", "amount": amount, "method": "transfer",
            "received_at": at, "invoice_id": invoice_id,
        }  # fmt: skip
        event = {
            "specversion": "1.0", "id": f"{payment_id}:{kind}", "source": "bank", "time": at,
            "type": f"fakturo.payment.{kind}.v1", "data": data,
        }  # fmt: skip
        return await self._book([self._record("billing.payments", encode(event), at)])

    async def status(self, invoice_id: str) -> tuple[str, int, int]:
        """Return the status, what is open by invoicing, and what is open by the ledger."""
        row = await self.desk.connection.fetchrow(
            "SELECT i.status, i.due_minor + i.moved_minor AS ours, l.open_minor FROM invoicing.invoice i "
            "JOIN ledger.invoice l USING (invoice_id) WHERE invoice_id = $1",
            invoice_id,
        )
        return row["status"], row["ours"], row["open_minor"]

    def told(self, what: str) -> list[Event[Any]]:
        """Return the events of a kind, such as `invoice.paid`."""
        return [event for event in self.events if event.type == f"fakturo.{what}.v1"]

    async def _book(self, records: Sequence[Record]) -> list[str]:
        driver = self.desk.connection
        tx = Transaction("ledger", None, driver, partition_count=4)  # type: ignore[arg-type]
        async with driver.transaction():
            await self.ledger.handle(records, tx)
        assert tx.rejections == []
        journals = [decode_event(row.value) for row in tx.outbox]
        await self.invoicing(*(self._record("billing.ledger", encode(event), event.time) for event in journals))
        return [journal.data.kind for journal in journals]

    def _record(self, topic: str, value: bytes, at: datetime) -> Record:
        return Record(topic, 0, next(self.offsets), None, value, (), at)
