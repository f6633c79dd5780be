"""Verify, of a seat billed in advance whose service began earlier than was known: its month is one, not two parts."""

from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import asyncpg
import pytest

from fakturo.cli.explain.explaining import explain
from fakturo.schemas.events.contracts import SubscriptionItem
from tests.cli.company import SEAT, Company, account, figures, item, price, subscription, terms

Seat = Callable[[str], SubscriptionItem]

WHOLE = {**SEAT, "proration": "none"}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection to empty books."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def seat(document: dict[str, Any] = SEAT) -> Seat:
    """Return what makes a seat in advance, since a date."""
    return lambda since: item("seat", price(document), billing="advance", service_start_on=date.fromisoformat(since))


async def billed(company: Company) -> dict[str, int]:
    """Return what was billed of each calendar month, in cents."""
    rows = await company.connection.fetch(
        "SELECT to_char(period_start_at, 'YYYY-MM') AS month, sum(amount_minor)::int AS minor "
        "FROM invoicing.invoice_line GROUP BY 1 ORDER BY 1"
    )
    return {row["month"]: row["minor"] for row in rows}


@pytest.mark.parametrize("corrections", ["next_invoice", "at_once"])
@pytest.mark.parametrize("learned", [(2, 20), (3, 10)])
@pytest.mark.parametrize(
    ("since", "months"),
    [
        ("2026-02-10", {"2026-02": 2104}),  # 19 of 28 days of 31.00: 21.0357
        ("2026-02-01", {"2026-02": 3100}),
        ("2026-01-20", {"2026-01": 1200, "2026-02": 3100}),  # 12 of 31 days
        ("2025-12-10", {"2025-12": 2200, "2026-01": 3100, "2026-02": 3100}),  # 22 of 31 days
    ],
)
async def test_a_start_moved_earlier_is_billed_as_verify_works_it_out(
    connection: asyncpg.Connection, since: str, months: dict[str, int], learned: tuple[int, int], corrections: str
) -> None:
    company = Company(connection, {"corrections": corrections})
    await company.sign(account(), subscription(seat()("2026-02-15")))
    await company.tick(2026, *learned)
    assert await billed(company) == {"2026-02": 1550} | ({"2026-03": 3100} if learned[0] == 3 else {})
    await company.sign(subscription(seat()(since)))
    for month, day in ((2, 21), (3, 11), (4, 2)):
        if (month, day) > learned:
            await company.tick(2026, month, day)
            assert figures(await company.verify()) == []
    assert await billed(company) == {**months, "2026-03": 3100, "2026-04": 3100}


async def test_a_month_that_is_charged_whole_is_charged_once(connection: asyncpg.Connection) -> None:
    """31.00 a month however short the service: since the 15th or since the 10th is the same, and moves nothing."""
    company = Company(connection)
    await company.sign(account(), subscription(seat(WHOLE)("2026-02-15")))
    await company.tick(2026, 2, 20)
    await company.sign(subscription(seat(WHOLE)("2026-02-10")))
    await company.tick(2026, 3, 2)
    assert await billed(company) == {"2026-02": 3100, "2026-03": 3100}
    assert figures(await company.verify()) == []


async def test_a_start_may_move_again_and_what_changes_later_counts_from_the_moved_one(
    connection: asyncpg.Connection,
) -> None:
    """Since the 15th, the 10th, 20 January, the 12th; then two seats since the 26th: 14 + 2 * 3 of 28 days."""
    company = Company(connection)
    await company.sign(account(), subscription(seat()("2026-02-15")))
    await company.tick(2026, 2, 20)
    last = None
    for day, since in ((22, "2026-02-10"), (24, "2026-01-20"), (26, "2026-02-12")):
        last = seat()(since)
        await company.sign(subscription(last))
        await company.tick(2026, 2, day)
        assert figures(await company.verify()) == []
    assert last is not None
    two = item(
        "seat", price(SEAT), billing="advance", service_start_on=date(2026, 2, 12),
        terms=(terms(date(2026, 2, 12)), terms(date(2026, 2, 26), "2")),
    )  # fmt: skip
    await company.sign(subscription(two))
    await company.tick(2026, 3, 2)
    assert figures(await company.verify()) == []
    # 14 days of one, 3 of two: 15.50 and 6.64 (2 * 3 / 28 * 31.00 = 6.642857).
    assert (await billed(company))["2026-02"] == 1550 + 664
    assert (await billed(company)).get("2026-01", 0) == 0


async def test_a_draft_whose_seat_began_earlier_bills_its_month_as_one(connection: asyncpg.Connection) -> None:
    company = Company(connection, {"review_seconds": 5 * 86_400})
    await company.sign(account(), subscription(seat()("2026-02-15")))
    await company.tick(2026, 2, 17)
    await company.sign(subscription(seat()("2026-02-10")))
    await company.tick(2026, 2, 18)
    await company.tick(2026, 2, 25)
    (invoice,) = [one for one in company.documents if one.status != "draft"]
    assert [(line.kind, line.amount_minor) for line in invoice.lines] == [("charge", 2104)]
    assert figures(await company.verify()) == []


async def test_explain_works_the_whole_month_out(connection: asyncpg.Connection) -> None:
    company = Company(connection)
    await company.sign(account(), subscription(seat()("2026-02-15")))
    await company.tick(2026, 2, 20)
    await company.sign(subscription(seat()("2026-02-10")))
    await company.tick(2026, 3, 2)
    line_id = await connection.fetchval(
        "SELECT line_id FROM invoicing.invoice_line WHERE kind = 'correction' AND amount_minor = 2104"
    )
    answer = await explain(connection, line_id, 10)
    assert "19 of 28 days" in str(answer.steps)
