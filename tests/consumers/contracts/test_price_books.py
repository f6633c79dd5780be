"""Price lists on `billing.catalog`: taken, refused, and what is published by them."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import OutboxRow, Transaction
from fakturo.engine.catalog import content_hash, parse_catalog
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.catalog import CATALOG_PUBLISHED, CatalogPublished

Connect = Callable[[], Awaitable[asyncpg.Connection]]
TICK = datetime(2013, 1, 1, tzinfo=UTC)
JUNE = datetime(2013, 6, 15, tzinfo=UTC)
JULY = datetime(2013, 7, 1, tzinfo=UTC)

LIST: dict[str, Any] = {
    "currency": "USD",
    "tax": {"category": "standard", "rate_percent": "8.875"},
    "meters": {"miles": {"event_type": "airport.departure", "aggregation": "sum", "value": "data.distance"}},
    "products": {
        "TERMINAL": {
            "name": "Terminal rent",
            "prices": [{"effective_from": "2013-01-01", "model": "per_unit", "unit_amount": "15000", "licensed": True}],
        },
        "DISTANCE": {
            "name": "En-route contribution",
            "meter": "miles",
            "prices": [
                {
                    "effective_from": "2013-01-01",
                    "model": "package",
                    "package_size": "1000",
                    "package_amount": "1.75",
                }
            ],
        },
    },
}


def dearer(effective_from: str, amount: str = "16000") -> dict[str, Any]:
    """Return the list with one more version of the terminal's price."""
    document = copy.deepcopy(LIST)
    version = {"effective_from": effective_from, "model": "per_unit", "unit_amount": amount, "licensed": True}
    document["products"]["TERMINAL"]["prices"].append(version)
    return document


def _offers() -> Offers:
    catalog = parse_catalog(LIST)
    return Offers(currency="USD", by_code=catalog.products, document=LIST)


def _agent(offers: Offers | None = None) -> ContractsAgent:
    settings = Settings(kafka="unused:9092", DATABASE_URL="postgresql://unused", interim_seconds=1)  # type: ignore[call-arg]
    return ContractsAgent(settings, offers or _offers())


def _published(document: dict[str, Any], replaces: dict[str, Any] | None, **given: Any) -> Record:
    data = CatalogPublished(
        hash=content_hash(document), document=document, replaces=content_hash(replaces) if replaces else None, **given
    )
    event = event_of(agent="cli", event_type=CATALOG_PUBLISHED, id=data.hash, subject="catalog", time=JUNE, data=data)
    return Record("billing.catalog", 0, 0, b"catalog", encode(event), (), JUNE, JUNE)


@asynccontextmanager
async def _transaction(connection: asyncpg.Connection) -> Any:
    async with connection.transaction():
        yield Transaction(agent="contracts", sql=None, driver=connection, partition_count=4)  # type: ignore[arg-type]


async def _handle(agent: ContractsAgent, connection: asyncpg.Connection, records: Sequence[Record]) -> list[str]:
    """Return why records were rejected."""
    async with _transaction(connection) as tx:
        await agent.handle(records, tx)
    return [f"{one.reason}: {one.message}" for one in tx.rejections]


async def _flush(agent: ContractsAgent, connection: asyncpg.Connection) -> list[OutboxRow]:
    async with _transaction(connection) as tx:
        await agent.flush(tx)
    return [row for row in tx.outbox if row.topic == "billing.contracts"]


async def _begin(crm: SimpleNamespace, connection: asyncpg.Connection) -> ContractsAgent:
    agent = _agent()
    await _handle(agent, connection, [crm.record(value, watermark_at=TICK) for value in crm.order_of_american()])
    assert len(await _flush(agent, connection)) == 2
    return agent


async def test_a_published_list_publishes_the_subscriptions_with_its_new_version(
    crm: SimpleNamespace, connect: Connect
) -> None:
    connection = await connect()
    agent = await _begin(crm, connection)
    record = _published(dearer("2013-07-01"), LIST, published_by="finance")
    assert await _handle(agent, connection, [record]) == []
    (row,) = await _flush(agent, connection)
    subscription = decode_event(row.value, row.headers).data
    terminal = next(item for item in subscription.items if item.product_code == "TERMINAL")
    assert [version.effective_from.isoformat() for version in terminal.prices] == ["2013-01-01", "2013-07-01"]
    assert terminal.prices[1].price["unit_amount"] == "16000"
    books = await connection.fetch("SELECT number, source, published_by FROM contracts.price_book ORDER BY number")
    assert [tuple(book) for book in books] == [(1, "file", ""), (2, "published", "finance")]

    # Again: nothing. After a restart with the same file: the published list still holds.
    assert await _handle(agent, connection, [record]) == []
    assert await _flush(_agent(), connection) == []
    assert await connection.fetchval("SELECT count(*) FROM contracts.price_book") == 2


async def test_a_file_that_changed_holds_from_then_on(crm: SimpleNamespace, connect: Connect) -> None:
    connection = await connect()
    agent = await _begin(crm, connection)
    await _handle(agent, connection, [_published(dearer("2013-07-01"), LIST)])
    await _flush(agent, connection)
    document = dearer("2013-09-01", "17000")
    offers = Offers(currency="USD", by_code=parse_catalog(document).products, document=document)
    (row,) = await _flush(_agent(offers), connection)
    terminal = decode_event(row.value, row.headers).data.items[0]
    assert [version.effective_from.isoformat() for version in terminal.prices] == ["2013-01-01", "2013-09-01"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            _published(dearer("2013-06-01"), LIST),
            "refused_by_book: the price list changes what was in force before 2013-06-15 for TERMINAL; it would",
        ),
        (_published(dearer("2013-07-01"), dearer("2013-08-01")), "refused_by_book: the price list was made from"),
        (_published(dearer("2013-07-01"), None), "refused_by_book: the price list was made from no list"),
        (_published(dearer("2012-07-01"), LIST), "refused_by_book: the price list is faulty:\nproducts.TERMINAL"),
    ],
)
async def test_what_the_book_refuses_is_a_dead_letter_with_the_reason(
    crm: SimpleNamespace, connect: Connect, record: Record, reason: str
) -> None:
    connection = await connect()
    agent = await _begin(crm, connection)
    (found,) = await _handle(agent, connection, [record])
    assert found.startswith(reason)
    assert await _flush(agent, connection) == []


async def test_finance_may_change_the_past_knowingly(crm: SimpleNamespace, connect: Connect) -> None:
    connection = await connect()
    agent = await _begin(crm, connection)
    record = _published(dearer("2013-06-01"), LIST, allow_backdated=True)
    assert await _handle(agent, connection, [record]) == []
    assert len(await _flush(agent, connection)) == 1


async def test_of_two_lists_that_are_published_at_once_one_wins(crm: SimpleNamespace, connect: Connect) -> None:
    one, two = await connect(), await connect()
    await _begin(crm, one)
    found = await asyncio.gather(
        _handle(_agent(), one, [_published(dearer("2013-07-01", "1"), LIST)]),
        _handle(_agent(), two, [_published(dearer("2013-07-01", "2"), LIST)]),
    )
    assert sorted(len(rejected) for rejected in found) == [0, 1]
    assert await one.fetchval("SELECT count(*) FROM contracts.price_book") == 2


async def test_the_table_itself_lets_one_successor_through(crm: SimpleNamespace, connect: Connect) -> None:
    connection = await connect()
    agent = await _begin(crm, connection)
    await _handle(agent, connection, [_published(dearer("2013-07-01"), LIST)])
    copy_of = "INSERT INTO contracts.price_book SELECT {}, {}, hash, source, fingerprint, document, '', recorded_at, watermark_at FROM contracts.price_book WHERE number = 2"  # noqa: E501
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(copy_of.format(2, 1))
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(copy_of.format(3, 1))
