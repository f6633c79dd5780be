"""`fakturo salesforce parked`: what waits is told in sentences, and gone once it is mended."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from fakturo.cli.commands import app
from fakturo.consumers.contracts.offers import Offers
from fakturo.engine.catalog import parse_catalog
from tests.consumers.contracts.conftest import change
from tests.consumers.contracts.desk import Desk

AT, LATER = "2025-12-15T12:00:00Z", "2025-12-16T12:00:00Z"
ACCOUNT, ORDER, ITEM, PRODUCT = "001NY0000000002YAA", "801NY0000000002YAA", "802NY0000000006YAA", "01tNY0000000001YAA"
PRICE = {"effective_from": "2020-01-01", "model": "flat", "amount": "5"}
OFFERS = Offers.of(
    parse_catalog({"currency": "EUR", "products": {"KNOWN": {"name": "Known", "prices": [PRICE]}}, "tax": {}})
)


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch, database_url: str) -> str:
    """Let the environment name this test's books."""
    monkeypatch.setenv("FAKTURO_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def parked(tmp_path: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["salesforce", "parked", "--home", str(tmp_path), *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


async def sentences(tmp_path: Path) -> list[str]:
    told = await asyncio.to_thread(parked, tmp_path, "--json")  # a command has a loop of its own
    return [row["message"] for row in json.loads(told)]


async def test_missing_account_unknown_currency_and_unmapped_product_are_told_and_released_when_mended(
    books: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(books)
    desk = Desk.of(connection, OFFERS)

    async def told(*changes: dict[str, object]) -> list[str]:
        await desk.hand_in(*changes)
        await desk.publish()
        return await sentences(tmp_path)

    order = {"AccountId": ACCOUNT, "StatusCode": "Activated", "EffectiveDate": "2026-01-01", "CurrencyIsoCode": "CHF"}
    assert await told(
        change("Order", ORDER, AT, **order),
        change("Product2", PRODUCT, AT, Name="Seats", ProductCode="SEATS"),
        change("OrderItem", ITEM, AT, OrderId=ORDER, Product2Id=PRODUCT, Quantity="1"),
    ) == [f"Order {ORDER} waits for its account {ACCOUNT}, which is not known or not complete."]
    assert await told(change("Account", ACCOUNT, AT, AccountNumber="A", Name="A", CurrencyIsoCode="EUR")) == [
        (
            f"Order {ORDER} is in CHF, the catalog's prices are in EUR;"
            " add prices in CHF to the catalog, or correct the currency in Salesforce."
        )
    ]
    (without_items, unmapped) = await told(change("Order", ORDER, LATER, "UPDATE", CurrencyIsoCode="EUR"))
    assert without_items == f"Order {ORDER} has no item that can be billed."
    assert unmapped.startswith(f"OrderItem {ITEM} has the product SEATS, which the catalog does not know")
    assert await told(change("Product2", PRODUCT, LATER, "UPDATE", ProductCode="KNOWN")) == []
    assert (await asyncio.to_thread(parked, tmp_path)).strip() == "Nothing waits for an administrator."
    assert any(ORDER in key for key in desk.events), "the order is released"
    await connection.close()
