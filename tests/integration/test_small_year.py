"""The first days of the flights year through all five agents: the January invoices, by other means, to the cent."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from fakturo.cli.agents import AGENTS
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.settlement import settle
from fakturo.producers.simulate.flights import usage_records
from fakturo.producers.simulate.flights_contracts import catalog_path
from fakturo.producers.simulate.year import open_producer, pay_invoices, publish_contracts, publish_usage
from tests.flights import oracle

FLIGHTS = 2_000
UNTIL = datetime(2013, 4, 1, tzinfo=UTC)
"""UA pays its January invoice 45 days after the 1st of February, YV the second half of its own on 27 March."""


@pytest.fixture
def stack(environment: dict[str, str], tmp_path: Path, topics: list[str]) -> Iterator[Stack]:
    stack = Stack(tmp_path / "home", environment=environment)
    settings = {
        **environment,
        "FAKTURO_CATALOG": str(catalog_path()),
        "FAKTURO_GRACE_SECONDS": "0",
        "FAKTURO_BILLING_UNTIL": "2013-02-01",
        "FAKTURO_SELLER_TIMEZONE": "America/New_York",
    }
    stack.start_agents((*AGENTS, "relay"), settings=settings, restart=False)
    yield stack
    stack.stop_agents()


async def test_the_january_invoices_of_the_first_flights_are_right_paid_and_posted(
    stack: Stack, settings: Settings
) -> None:
    connection = await asyncpg.connect(settings.database_url)
    try:
        async with open_producer(settings) as producer:
            await publish_contracts(producer, settings)
            _, payments = await asyncio.gather(
                publish_usage(producer, settings, flights=usage_records(FLIGHTS), until=UNTIL),
                pay_invoices(producer, settings, until=UNTIL),
            )
        await settle(connection, {}, UNTIL)
        assert await _invoices(connection) == _expected()
        open_minor = await connection.fetchval("SELECT sum(open_minor) FROM ledger.invoice WHERE account <> 'OO'")
        assert (open_minor, await connection.fetchval("SELECT sum(amount_minor) FROM ledger.line")) == (0, 0)
        assert payments == await connection.fetchval("SELECT count(*) FROM ledger.payment") == 16
        assert await connection.fetchval("SELECT count(*) FROM runtime.dead_letter") == 0
        assert await connection.fetchval("SELECT count(*) FROM kpi.value") > 0
    finally:
        await connection.close()


def _expected() -> dict[str, dict[str, int]]:
    """Return the cents of each airline's January, of the flights that leave first."""
    rows = sorted(oracle.flights(), key=lambda row: (row["time_hour"], int(row["minute"])))[:FLIGHTS]
    january = {carrier: cents for (carrier, month), cents in oracle.invoices(rows).items() if month == 1}
    return {carrier: {name: amount for name, amount in cents.items() if amount} for carrier, cents in january.items()}


async def _invoices(connection: asyncpg.Connection) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in await connection.fetch(
        "SELECT account, product_code, amount_minor FROM invoicing.invoice_line "
        "JOIN invoicing.invoice USING (invoice_id)"
    ):
        found[row["account"]][row["product_code"]] += row["amount_minor"]
    for row in await connection.fetch("SELECT account, subtotal_minor, tax_minor, total_minor FROM invoicing.invoice"):
        for name in ("subtotal", "tax", "total"):
            found[row["account"]][name] += row[f"{name}_minor"]
    return {account: {name: amount for name, amount in lines.items() if amount} for account, lines in found.items()}
