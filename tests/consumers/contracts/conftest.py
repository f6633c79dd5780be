"""Builders of Salesforce change records, and a catalog written out by hand."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.records import Record
from fakturo.engine.catalog import Product
from fakturo.schemas.events.contracts import ItemTax, MeterDefinition, PriceVersion

ACCOUNT_ID = "001NY0000000002YAA"
ORDER_ID = "801NY0000000002YAA"
TERMINAL_ITEM_ID = "802NY0000000006YAA"
DISTANCE_ITEM_ID = "802NY0000000007YAA"
TERMINAL_ID = "01tNY0000000001YAA"
DISTANCE_ID = "01tNY0000000002YAA"
JUNE = datetime(2013, 6, 1, tzinfo=UTC)

TAX = ItemTax(category="standard", rate_percent=Decimal("8.875"))
MILES = MeterDefinition(code="miles", event_type="airport.departure", aggregation="sum", value="data.distance")


@pytest.fixture
def offers() -> Offers:
    """Return a catalog with a licensed product and a metered one."""
    terminal = {"model": "per_unit", "unit_amount": "15000", "licensed": True, "currency": "USD"}
    distance = {"model": "package", "package_size": "1000", "package_amount": "1.75", "currency": "USD"}
    return Offers(
        currency="USD",
        by_code={
            "TERMINAL": Product(
                code="TERMINAL",
                name="Terminal rent",
                billing="arrears",
                prices=(PriceVersion(effective_from=date(2013, 1, 1), price=terminal, hash="a" * 64),),
                tax=TAX,
                hash="c" * 64,
            ),
            "DISTANCE": Product(
                code="DISTANCE",
                name="En-route contribution",
                billing="arrears",
                prices=(PriceVersion(effective_from=date(2013, 1, 1), price=distance, hash="b" * 64),),
                tax=TAX,
                hash="c" * 64,
                meter=MILES,
            ),
        },
    )


def change(entity: str, record_id: str, at: str, kind: str = "CREATE", **values: Any) -> dict[str, Any]:
    """Return a canonical change record, as the bridge writes it."""
    committed_at = datetime.fromisoformat(at)
    return {
        "v": 1,
        "org": "00DNY00000000012AA",
        "entity": entity,
        "recordId": record_id,
        "changeType": kind,
        "changed": list(values) if kind == "UPDATE" else [],
        "nulled": [],
        "diff": [],
        "values": values,
        "full": False,
        "commit": {"ts": int(committed_at.timestamp() * 1000), "number": "1", "tx": "t", "seq": 1},
        "eventId": f"{kind}-{record_id}-{at}",
    }


def order_of_american() -> list[dict[str, Any]]:
    """Return the change records of one account with one order of two items, committed at noon UTC on 15 December."""
    at = "2012-12-15T12:00:00Z"
    return [
        change(
            "Account", ACCOUNT_ID, at,
            AccountNumber="AA", Name="American Airlines Inc.", CurrencyIsoCode="USD",
            Fakturo_Timezone__c="America/New_York",
            **{"BillingAddress.CountryCode": "US"},
        ),
        change("Order", ORDER_ID, at, AccountId=ACCOUNT_ID, StatusCode="Activated", EffectiveDate="2013-01-01"),
        change("Product2", TERMINAL_ID, at, ProductCode="TERMINAL"),
        change("Product2", DISTANCE_ID, at, ProductCode="DISTANCE"),
        change(
            "OrderItem", TERMINAL_ITEM_ID, at,
            OrderId=ORDER_ID, Product2Id=TERMINAL_ID, Quantity="1", UnitPrice="0", ListPrice="0",
        ),
        change(
            "OrderItem", DISTANCE_ITEM_ID, at,
            OrderId=ORDER_ID, Product2Id=DISTANCE_ID, Quantity="1", UnitPrice="9", ListPrice="0",
            ServiceDate="2013-02-01", EndDate="2013-09-15", Fakturo_Discount_Percent__c="12.5",
        ),
    ]  # fmt: skip


def record(
    value: dict[str, Any] | bytes,
    offset: int = 0,
    watermark_at: datetime | None = None,
    recorded_at: datetime | None = None,
) -> Record:
    """Return the Kafka record that carries `value`, by default recorded when it was committed."""
    if isinstance(value, bytes):
        return Record("sf.cdc.Order", 0, offset, b"key", value, (), JUNE, watermark_at)
    recorded_at = recorded_at or datetime.fromtimestamp(value["commit"]["ts"] / 1000, UTC)
    body = json.dumps(value).encode()
    key = value["recordId"].encode()
    return Record(f"sf.cdc.{value['entity']}", 0, offset, key, body, (), recorded_at, watermark_at)


@pytest.fixture
def crm() -> SimpleNamespace:
    """Return the builders and the ids of this file."""
    return SimpleNamespace(
        ACCOUNT_ID=ACCOUNT_ID,
        ORDER_ID=ORDER_ID,
        TERMINAL_ITEM_ID=TERMINAL_ITEM_ID,
        DISTANCE_ITEM_ID=DISTANCE_ITEM_ID,
        TERMINAL_ID=TERMINAL_ID,
        DISTANCE_ID=DISTANCE_ID,
        change=change,
        order_of_american=order_of_american,
        record=record,
    )


@pytest.fixture
async def connect(database_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Return a function that opens one more connection to the test's database."""
    opened: list[asyncpg.Connection] = []

    async def open_one() -> asyncpg.Connection:
        opened.append(await asyncpg.connect(database_url))
        return opened[-1]

    yield open_one
    for connection in opened:
        await connection.close()
