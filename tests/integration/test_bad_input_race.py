"""Usage and its contract, published at the same time, many times, to two workers: all billed, nothing left waiting."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from fakturo.cli.agents import AGENTS
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.settlement import settle
from fakturo.producers.clock import tick
from fakturo.producers.publisher import make_producer
from fakturo.schemas.salesforce_ids import long_id
from fakturo.schemas.topics import INPUT_TOPICS
from tests.golden.cases import HERE

ROUNDS = 40
EVENTS = 6
CATALOG = HERE / "bad_input" / "catalog.yaml"
COMMITTED_AT = datetime(2026, 5, 20, 9, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)


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
    stack.start_worker("usage", instance="1", environment=settings)
    yield stack
    stack.stop_agents()


def _change(entity: str, number: int, **values: Any) -> tuple[str, str, bytes]:
    prefix = {"Account": "001", "Order": "801", "OrderItem": "802", "Product2": "01t"}[entity]
    document = {
        "v": 1, "org": long_id("00DRC0000000001"), "entity": entity, "recordId": long_id(f"{prefix}RC0{number:09}"),
        "changeType": "CREATE", "changed": [], "nulled": [], "diff": [], "values": values, "full": False,
        "commit": {"ts": int(COMMITTED_AT.timestamp() * 1000), "number": "1", "tx": "t", "seq": 1},
        "eventId": f"{entity}-{number}",
    }  # fmt: skip
    return f"sf.cdc.{entity}", document["recordId"], json.dumps(document).encode()


def _contract(number: int) -> list[tuple[str, str, bytes]]:
    ids = {name: long_id(f"{prefix}RC0{number:09}") for name, prefix in (("AccountId", "001"), ("OrderId", "801"))}
    product = long_id(f"01tRC0{0:09}")
    return [
        _change("Account", number, AccountNumber=f"R-{number}", Name=f"R {number}", CurrencyIsoCode="DKK"),
        _change(
            "Order", number, AccountId=ids["AccountId"], StatusCode="Activated", EffectiveDate="2026-06-01",
            CurrencyIsoCode="DKK",
        ),
        _change("OrderItem", number, OrderId=ids["OrderId"], Product2Id=product, Quantity="1"),
    ]  # fmt: skip


def _usage(account: int, number: int) -> tuple[str, str, bytes]:
    event = {
        "specversion": "1.0", "id": f"{account}/{number}", "source": "race", "type": "api.calls",
        "subject": f"R-{account}", "time": "2026-06-10T10:00:00Z", "data": {"calls": "3"},
    }  # fmt: skip
    return "billing.usage", f"any-{number}", json.dumps(event).encode()


async def _send(producer: AIOKafkaProducer, settings: Settings, records: list[tuple[str, str, bytes]]) -> None:
    timestamp_ms = int(COMMITTED_AT.timestamp() * 1000)
    for topic, key, value in records:
        await producer.send_and_wait(settings.topic_prefix + topic, value, key=key.encode(), timestamp_ms=timestamp_ms)


async def test_usage_that_races_its_contract_is_all_billed(stack: Stack, settings: Settings) -> None:
    connection = await asyncpg.connect(settings.database_url)
    producer = make_producer(settings.kafka, linger_ms=0)
    await producer.start()
    try:
        await _send(producer, settings, [_change("Product2", 0, ProductCode="CALLS", Name="CALLS", IsActive=True)])
        await settle(connection, {}, None)  # both workers read before the race begins
        waited = 0
        for account in range(ROUNDS):
            usage = [_usage(account, number) for number in range(EVENTS)]
            await asyncio.gather(
                _send(producer, settings, _contract(account)),
                _send(producer, settings, usage[:3]),
                _send(producer, settings, usage[3:]),
            )
            waited += await connection.fetchval("SELECT count(*) FROM runtime.parked")
            await asyncio.sleep(0.01 * (account % 5))
        assert waited, "no event came before its contract: this was no race"
        for at in (datetime(2026, 6, 30, tzinfo=UTC), JULY):
            produced = await tick(producer, INPUT_TOPICS, at, prefix=settings.topic_prefix, recorded_at=at)
            await settle(connection, produced, at)
        # Six events of 3 calls at 2.00 and 25 % tax, for every account.
        rows = await connection.fetch("SELECT account, total_minor FROM invoicing.invoice")
        totals = [(row["account"], row["total_minor"]) for row in rows]
        assert sorted(totals) == sorted((f"R-{number}", 45_00) for number in range(ROUNDS))
        assert await connection.fetchval("SELECT count(*) FROM runtime.parked") == 0
        assert await connection.fetchval("SELECT count(*) FROM runtime.dead_letter") == 0
        assert await connection.fetchval("SELECT sum(event_count - late_count) FROM usage.segment") == ROUNDS * EVENTS
    finally:
        await producer.stop()
        await connection.close()
