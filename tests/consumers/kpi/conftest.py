"""A KPI agent in a database of its own: a desk that hands it facts and ticks, and reads its values."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from fakturo.consumers.kpi.handler import KpiAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.events.invoices import INVOICE_FINALIZED, Invoice, InvoiceLine, LineTax, Party
from fakturo.schemas.events.ledger import JOURNAL_POSTED, JournalLine, JournalPosted, JournalSource
from fakturo.schemas.events.usage import PeriodBounds

RECORDED_AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY_ONE = date(2026, 1, 1)
SOURCES = {"finalized": "invoice", "voided": "invoice", "issued": "credit_note", "written_off": "write_off"}
"""Kind of a journal -> the type of its source; all others come of payments."""


def on(day: int) -> date:
    """Return the date of day number `day`; day 1 is 1 January 2026."""
    return DAY_ONE + timedelta(days=day - 1)


@dataclass
class Desk:
    """Makes records, gives batches and ticks to the agent in transactions of their own, reads the values."""

    connection: asyncpg.Connection
    agent: KpiAgent
    offsets: Any = field(default_factory=lambda: itertools.count())
    published: list[Event[Any]] = field(default_factory=list)

    async def hand_in(self, *records: Record) -> Transaction:
        """Give `records` to the agent in one transaction."""
        async with self._transaction() as tx:
            await self.agent.handle(records, tx)
        return tx

    async def tick(self, day: int) -> int:
        """Let time reach the end of day number `day`; return how many calls it took."""
        to = datetime.combine(on(day + 1), datetime.min.time(), UTC)
        for calls in itertools.count(1):
            async with self._transaction() as tx:
                more = await self.agent.advance(to, tx)
            self._take(tx)
            if not more:
                return calls
        raise AssertionError

    async def flush(self) -> list[Event[Any]]:
        """Let the agent publish interim values; return them."""
        async with self._transaction() as tx:
            await self.agent.flush(tx)
        before = len(self.published)
        self._take(tx)
        return self.published[before:]

    def invoice(
        self,
        invoice_id: str,
        day: int,
        net: int,
        *,
        account: str = "UA",
        tax: int = 0,
        due: int | None = None,
        currency: str = "EUR",
        watermark: int | None = None,
        corrections: dict[str, int] | None = None,
    ) -> Record:
        """Return a finalized invoice issued on day number `day` and due on day `due` (default 30 days later).

        `corrections` are net amounts in `net` by the invoice that they correct.
        """
        at = datetime.combine(on(day), datetime.min.time(), UTC)
        invoice = Invoice(
            invoice_id=invoice_id,
            number=invoice_id,
            account=account,
            customer=Party(name=account),
            seller=Party(name="Airport"),
            currency=currency,
            period=PeriodBounds(start=at - timedelta(days=28), end=at),
            issue_date=on(day),
            due_date=on(due or day + 30),
            payment_terms="30 days",
            lines=tuple(_correction(one, amount, at) for one, amount in (corrections or {}).items()),
            discounts=(),
            taxes=(),
            subtotal_minor=net,
            tax_minor=tax,
            total_minor=net + tax,
            credits_applied_minor=0,
            amount_due_minor=net + tax,
            corrects=None,
            price_versions=(),
        )
        event = event_of(
            agent="invoicing", event_type=INVOICE_FINALIZED, id=invoice_id, subject=account, time=at, data=invoice
        )
        return self._record("billing.invoices", event, watermark)

    def credit_note(self, note_id: str, corrects: str, day: int, net: int, *, tax: int = 0, **given: Any) -> Record:
        """Return a credit note of day number `day` over `net` and `tax`, both given above 0."""
        note = self.invoice(note_id, day, -net, tax=-tax, **given)
        return self._turned(note, "fakturo.credit_note.issued.v1", f"{note_id}:issued", day, corrects=corrects)

    def voided(self, invoice_id: str, issued: int, day: int, net: int, **given: Any) -> Record:
        """Return the event of day number `day` that an invoice of day `issued` is void."""
        invoice = self.invoice(invoice_id, issued, net, **given)
        return self._turned(invoice, "fakturo.invoice.voided.v1", f"{invoice_id}:voided", day, status="void")

    def _turned(self, record: Record, event_type: str, event_id: str, day: int, **replaced: Any) -> Record:
        event = decode_event(record.value)
        data = msgspec.structs.replace(event.data, **replaced)
        at = datetime.combine(on(day), datetime.min.time(), UTC)
        turned = msgspec.structs.replace(event, type=event_type, id=event_id, time=at, data=data)
        return Record(record.topic, 0, record.offset, None, encode(turned), (), record.recorded_at, record.watermark_at)

    def journal(
        self,
        kind: str,
        source_id: str,
        day: int,
        *legs: tuple[str, int, str | None],
        account: str = "UA",
        currency: str = "EUR",
        watermark: int | None = None,
    ) -> Record:
        """Return a posted journal of `legs` (code, minor units, invoice id); the balance goes to 1020."""
        lines = [*legs, ("1020", -sum(leg[1] for leg in legs), None)]
        journal = JournalPosted(
            journal_id=f"{kind}/{source_id}",
            kind=kind,
            account=account,
            source=JournalSource(type=SOURCES.get(kind, "payment"), id=source_id),
            effective_on=on(day),
            recorded_at=RECORDED_AT,
            lines=tuple(
                JournalLine(
                    account_code=code,
                    account_name=code,
                    party=account if code in {"1200", "2300"} else None,
                    currency=currency,
                    amount_minor=amount,
                    invoice_id=invoice_id,
                )
                for code, amount, invoice_id in lines
                if amount
            ),
        )
        at = datetime.combine(on(day), datetime.min.time(), UTC)
        event = event_of(
            agent="ledger", event_type=JOURNAL_POSTED, id=journal.journal_id, subject=account, time=at, data=journal
        )
        return self._record("billing.ledger", event, watermark)

    def billed(self, invoice_id: str, day: int, net: int, **given: Any) -> tuple[Record, Record]:
        """Return an invoice and its journal."""
        owed = net + given.get("tax", 0)
        shared = {name: given[name] for name in ("account", "currency", "watermark") if name in given}
        return (
            self.invoice(invoice_id, day, net, **given),
            self.journal("finalized", invoice_id, day, ("1200", owed, invoice_id), **shared),
        )

    async def values(self, account: str = "UA") -> dict[tuple[str, str], Decimal | None]:
        """Return the values of closed days by KPI and window (one currency a test)."""
        rows = await self.connection.fetch("SELECT * FROM kpi.value WHERE account = $1", account)
        return {(row["kpi"], row["window"]): row["value"] for row in rows}

    async def restated(self, kpi: str, window: str, account: str = "UA") -> list[tuple[str, str, Decimal | None]]:
        """Return what was restated of a KPI as (of which day, at the close of which day, value), in order."""
        rows = await self.connection.fetch(
            "SELECT as_of::text, known_on::text, value FROM kpi.restated "
            'WHERE account = $1 AND kpi = $2 AND "window" = $3 ORDER BY known_on, as_of',
            account,
            kpi,
            window,
        )
        return [tuple(row) for row in rows]

    async def books(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every table that must not depend on batches, ticks and flushes, sorted."""
        return {
            table: sorted(tuple(map(str, row)) for row in await self.connection.fetch(f"SELECT * FROM kpi.{table}"))
            for table in (
                *("value", "value_history", "day", "total", "activity", "active", "progress"),
                *("move", "restated", "restated_due"),
            )
        }

    def _record(self, topic: str, event: Event[Any], watermark: int | None) -> Record:
        at = None if watermark is None else datetime.combine(on(watermark), datetime.min.time(), UTC)
        return Record(topic, 0, next(self.offsets), None, encode(event), (), RECORDED_AT, at)

    def _take(self, tx: Transaction) -> None:
        self.published += [decode_event(row.value) for row in tx.outbox]

    def _transaction(self) -> "_Open":
        return _Open(self.connection)


def _correction(invoice_id: str, net: int, at: datetime) -> InvoiceLine:
    return InvoiceLine(
        line_id=f"correction of {invoice_id}",
        subscription_item="i",
        product_code="P",
        description="P",
        explanation="",
        quantity=Decimal(1),
        amount_exact=Decimal(net).scaleb(-2),
        amount_minor=net,
        period=PeriodBounds(start=at - timedelta(days=56), end=at - timedelta(days=28)),
        tax=LineTax(category="standard", rate_percent=Decimal(0)),
        corrects=f"line of {invoice_id}",
        corrects_invoice=invoice_id,
        kind="correction",
        tax_minor=0,
    )


class _Open:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._transaction = connection.transaction()

    async def __aenter__(self) -> Transaction:
        await self._transaction.start()
        return Transaction(agent="kpi", sql=None, driver=self._connection, partition_count=4)  # type: ignore[arg-type]

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await (self._transaction.rollback() if kind else self._transaction.commit())


@pytest.fixture
def desk(connection: asyncpg.Connection) -> Desk:
    """Return a desk at an empty book of KPIs."""
    return Desk(connection, KpiAgent(settings=None))  # type: ignore[arg-type]
