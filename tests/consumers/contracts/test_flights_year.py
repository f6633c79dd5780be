"""The contracts of the flights year through the agent: sixteen airlines as they can be billed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.producers.simulate.flights_contracts import catalog_path, change_lines
from fakturo.schemas.codec import decode_event


@pytest.fixture
async def published(connect: Callable[[], Awaitable[asyncpg.Connection]]) -> dict[str, Any]:
    """Return the data of what is published, by key."""
    values: dict[str, Any] = {"DATABASE_URL": "postgresql://unused", "kafka": "unused:9092", "catalog": catalog_path()}
    agent, connection = ContractsAgent(Settings(**values, interim_seconds=0)), await connect()
    records = [
        Record(line.topic.name, 0, number, line.record_id.encode(), line.value, (), line.at)
        for number, line in enumerate(change_lines())
    ]
    async with connection.transaction():
        tx = Transaction(agent="contracts", sql=None, driver=connection, partition_count=4)  # type: ignore[arg-type]
        await agent.handle(records, tx)
        while await agent.advance(datetime(2013, 1, 1, tzinfo=UTC), tx):
            pass
    assert tx.rejections == []
    assert await connection.fetchval("SELECT count(*) FROM contracts.incomplete") == 0
    return {(row.key or b"").decode(): decode_event(row.value, row.headers).data for row in tx.outbox}


async def test_every_airline_is_an_account_with_one_subscription(published: dict[str, Any]) -> None:
    accounts = {key.split("/")[0]: data for key, data in published.items() if key.split("/")[1] == "account"}
    subscriptions = {data.account: data for key, data in published.items() if key.split("/")[1] == "subscription"}
    assert len(published) == 32
    assert len(accounts) == 16
    assert accounts.keys() == subscriptions.keys()
    assert {
        name: data.versions[0].terms_days for name, data in accounts.items() if data.versions[0].terms_days != 30
    } == {
        "F9": 14,
        "OO": 14,
        "UA": 45,
        "YV": 14,
    }
    assert {data.versions[0].timezone for data in accounts.values()} == {"America/New_York"}
    assert sum(len(data.items) for data in subscriptions.values()) == 80

    terminals = {
        (name, item.service_start_on, item.service_end_on, item.terms[0].quantity)
        for name, data in subscriptions.items()
        for item in data.items
        if item.product_code == "TERMINAL" and (name in ("EV", "YV", "OO", "VX"))
    }
    assert terminals == {
        ("EV", date(2013, 1, 1), date(2013, 9, 16), Decimal(1)),
        ("EV", date(2013, 9, 16), None, Decimal(2)),
        ("YV", date(2013, 1, 1), date(2013, 11, 20), Decimal(1)),
        ("OO", date(2013, 6, 10), None, Decimal(1)),
        ("VX", date(2013, 3, 15), None, Decimal(1)),
    }


async def test_each_item_carries_its_meter_and_every_version_of_its_price(published: dict[str, Any]) -> None:
    (delta,) = [data for key, data in published.items() if key.startswith("DL/subscription/")]
    items = {item.product_code: item for item in delta.items}
    assert set(items) == {"TERMINAL", "DISTANCE", "MOVEMENT", "SLOT", "CANCEL"}
    assert items["DISTANCE"].terms[0].discount_percent == Decimal(10)
    assert items["MOVEMENT"].meter.group_by == ("origin",)
    assert [version.effective_from for version in items["MOVEMENT"].prices] == [date(2013, 1, 1), date(2013, 7, 1)]
    assert items["TERMINAL"].meter is None
    assert {item.tax.rate_percent for item in delta.items} == {Decimal("8.875")}
    assert [terms.own_unit_amount for item in delta.items for terms in item.terms] == [None] * 5
