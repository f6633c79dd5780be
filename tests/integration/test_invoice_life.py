"""The life of invoices through the whole system, two workers of invoicing: credited, paid, voided, written off, raced.

Each account has six calls of 3 at 2.00 and 25 % tax in June: 36.00 + 9.00 = 45.00 DKK.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from fakturo.cli.agents import AGENTS
from fakturo.cli.collect import collect
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.settlement import settle
from fakturo.producers.clock import tick
from fakturo.producers.publisher import make_producer
from fakturo.schemas.topics import INPUT_TOPICS, PAYMENTS, REQUESTS
from tests.integration.test_bad_input_race import CATALOG, JULY, _change, _contract, _send, _usage

CREDITED, VOIDED, WRITTEN_OFF, *RACED = range(8)
"""Accounts by number, and what happens to their invoice."""


@pytest.fixture
def stack(environment: dict[str, str], tmp_path: Path, topics: list[str]) -> Iterator[Stack]:
    settings = {
        **environment,
        "FAKTURO_CATALOG": str(CATALOG),
        "FAKTURO_GRACE_SECONDS": "0",
        "FAKTURO_BILLING_UNTIL": "2026-07-01",
        "FAKTURO_INTERIM_SECONDS": "0.02",
    }
    stack = Stack(tmp_path / "home", environment=environment)
    stack.start_agents((*AGENTS, "relay"), settings=settings, restart=False)
    stack.start_worker("invoicing", instance="1", environment=settings)
    yield stack
    stack.stop_agents()


class System:
    """Publishes requests, payments and ticks, and waits until all is worked off."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, connection: asyncpg.Connection) -> None:
        self.settings, self.producer, self.connection = settings, producer, connection
        self.produced: dict[tuple[str, int], int] = {}
        self.at = JULY

    async def publish(self, topic: str, partition: int, event: dict[str, Any]) -> None:
        value = json.dumps({"specversion": "1.0", "time": "2026-07-02T10:00:00Z", **event}).encode()
        name = self.settings.topic_prefix + topic
        sent = await self.producer.send_and_wait(
            name, value, partition=partition, timestamp_ms=int(self.at.timestamp() * 1000)
        )
        self.produced[topic, partition] = sent.offset + 1

    async def ask(self, what: str, account: int, invoice_id: str, partition: int = 0, **given: Any) -> None:
        data = {"request_id": f"{what}-{account}", "account": f"R-{account}", "invoice_id": invoice_id, **given}
        event = {"id": data["request_id"], "source": "test", "type": f"fakturo.{what}.v1", "data": data}
        await self.publish(REQUESTS.name, partition, event)

    async def pay(self, account: int, amount: str, invoice_id: str) -> None:
        data = {
            "payment_id": f"p{account}", "account": f"R-{account}", "currency": "DKK", "amount": amount,
            "method": "transfer", "received_at": "2026-07-03T09:00:00Z", "invoice_id": invoice_id,
        }  # fmt: skip
        event = {"id": f"p{account}", "source": "bank", "type": "fakturo.payment.received.v1", "data": data}
        await self.publish(PAYMENTS.name, 0, event)

    async def tick(self) -> None:
        self.at += timedelta(days=1)
        prefix = self.settings.topic_prefix
        self.produced |= await tick(self.producer, INPUT_TOPICS, self.at, prefix=prefix, recorded_at=self.at)
        await settle(self.connection, self.produced, self.at)

    async def settled(self) -> None:
        await settle(self.connection, self.produced, None)

    async def told(self, what: str) -> list[dict[str, Any]]:
        found = await collect(self.settings, self.connection)
        events = [line["value"] for line in found["billing.invoices"]]
        decoded = [json.loads(bytes(event)) if not isinstance(event, dict) else event for event in events]
        return [event["data"] for event in decoded if event["type"] == f"fakturo.{what}.v1"]


async def _bill(system: System) -> dict[int, str]:
    """Bill June of every account; return account -> invoice id."""
    product = _change("Product2", 0, ProductCode="CALLS", Name="CALLS", IsActive=True)
    records = [product] + [record for account in range(8) for record in _contract(account)]
    await _send(system.producer, system.settings, records)
    await settle(system.connection, {}, None)
    usage = [_usage(account, number) for account in range(8) for number in range(6)]
    await _send(system.producer, system.settings, usage)
    system.at = datetime(2026, 6, 29, tzinfo=UTC)
    await system.tick()
    await system.tick()
    rows = await system.connection.fetch("SELECT account, invoice_id, total_minor FROM invoicing.invoice")
    assert {row["total_minor"] for row in rows} == {45_00}
    return {int(row["account"].removeprefix("R-")): row["invoice_id"] for row in rows}


async def _status(system: System, invoice_id: str) -> str:
    found: str = await system.connection.fetchval(
        "SELECT status FROM invoicing.invoice WHERE invoice_id = $1", invoice_id
    )
    return found


async def test_invoices_are_credited_paid_voided_reissued_and_written_off(stack: Stack, settings: Settings) -> None:
    connection = await asyncpg.connect(settings.database_url)
    producer = make_producer(settings.kafka, linger_ms=0)
    await producer.start()
    try:
        system = System(settings, producer, connection)
        invoices = await _bill(system)

        # Credit 12.00 of 36.00 with 3.00 of the tax; 30.00 are left, and paid.
        line = await connection.fetchval(
            "SELECT line_id FROM invoicing.invoice_line WHERE invoice_id = $1", invoices[CREDITED]
        )
        lines = [{"line_id": line, "amount": "12.00"}]
        await system.ask("credit_note.requested", CREDITED, invoices[CREDITED], reason="slow", lines=lines)
        await system.settled()
        await system.pay(CREDITED, "30.00", invoices[CREDITED])
        await system.ask("invoice.void_requested", VOIDED, invoices[VOIDED], reissue=True)
        await system.ask("invoice.write_off_requested", WRITTEN_OFF, invoices[WRITTEN_OFF])
        # Voided and credited in full at the same time, in two partitions: another worker reads each.
        await asyncio.gather(
            *(system.ask("invoice.void_requested", account, invoices[account]) for account in RACED),
            *(
                system.ask("credit_note.requested", account, invoices[account], partition=1, reason="race")
                for account in RACED
            ),
        )
        await system.settled()
        await system.tick()

        assert await _status(system, invoices[CREDITED]) == "paid"
        assert await _status(system, invoices[WRITTEN_OFF]) == "uncollectible"
        assert await _status(system, invoices[VOIDED]) == "void"
        (again,) = [one for one in await system.told("invoice.finalized") if one.get("reissues")]
        assert (again["reissues"], again["total_minor"]) == (invoices[VOIDED], 45_00)
        notes = {note["corrects"]: note for note in await system.told("credit_note.issued")}
        assert (notes[invoices[CREDITED]]["subtotal_minor"], notes[invoices[CREDITED]]["tax_minor"]) == (-12_00, -3_00)

        # Of the raced ones one request won each, and the other is a dead letter.
        letters = await connection.fetch("SELECT reason FROM runtime.dead_letter")
        assert [row["reason"] for row in letters] == ["refused_by_book"] * len(RACED)
        voided = {invoice["invoice_id"] for invoice in await system.told("invoice.voided")}
        for account in RACED:
            assert (invoices[account] in voided) is not (invoices[account] in notes)
        numbers = sorted(note["number"] for note in notes.values())
        assert numbers == [f"CN-{number:08d}" for number in range(1, len(notes) + 1)]

        # Written off, and paid after all.
        await system.pay(WRITTEN_OFF, "45.00", invoices[WRITTEN_OFF])
        await system.settled()
        assert await _status(system, invoices[WRITTEN_OFF]) == "paid"
        balances = await connection.fetch("SELECT account_code, amount_minor FROM ledger.balance WHERE party IS NULL")
        found = {row["account_code"]: row["amount_minor"] for row in balances}
        assert found["6100"] == 0
        assert found["1020"] == 75_00
        open_minor = await connection.fetchval("SELECT sum(open_minor) FROM ledger.invoice")
        assert open_minor == 45_00  # the one that was issued again
    finally:
        await producer.stop()
        await connection.close()
