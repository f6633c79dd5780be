"""Verify, of late and corrected usage: it counts in the period of its time, and what a correction took out does not."""

import json
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import pytest

from tests.cli.company import CALLS, Company, account, figures, item, price, subscription

PERCENT = {"model": "percentage", "percent": "10", "currency": "EUR"}


@pytest.fixture
async def company(database_url: str) -> AsyncIterator[Company]:
    """Return a company without books."""
    connection = await asyncpg.connect(database_url)
    yield Company(connection)
    await connection.close()


def _call(name: str, at: str) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "meter/1", "type": "api.call", "subject": "A", "time": at,
        "data": {"amount": "50"},
    }  # fmt: skip


async def _say(company: Company, event: dict[str, Any]) -> None:
    await company.give("billing.usage", json.dumps(event).encode())


async def _correct(company: Company, name: str, corrects: str, by: dict[str, Any] | None, at: str) -> None:
    data = {"corrects": {"source": "meter/1", "id": corrects}, "replacement": by}
    event = {**_call(name, at), "type": "fakturo.usage.corrected.v1", "data": data}
    await _say(company, event)


async def test_late_replaced_voided_and_moved_usage_is_billed_as_verify_works_it_out(company: Company) -> None:
    """Calls at 2 EUR and 10 % of their amounts; of each kind one, in January, learned in February and March."""
    calls, share = item("calls", meter=CALLS), item("share", price(PERCENT), meter=CALLS)
    await company.sign(account(), subscription(calls, share))
    for number in range(1, 7):
        await _say(company, _call(f"e{number}", f"2026-01-{number:02}T10:00:00Z"))
    await company.tick(2026, 2)
    await _say(company, _call("late", "2026-01-20T10:00:00Z"))
    await _correct(company, "c1", "e1", None, "2026-02-01T01:00:00Z")
    await _correct(company, "c2", "e2", _call("e2b", "2026-02-03T10:00:00Z"), "2026-02-01T01:00:00Z")
    await _correct(company, "c3", "e3", _call("e3b", "2026-01-03T11:00:00Z"), "2026-02-01T01:00:00Z")
    await company.tick(2026, 3)
    assert figures(await company.verify()) == []
    await _correct(company, "c4", "e3", _call("e3c", "2026-03-03T10:00:00Z"), "2026-03-01T01:00:00Z")
    await _correct(company, "c5", "e2b", None, "2026-03-01T01:00:00Z")
    await company.tick(2026, 4)
    assert figures(await company.verify()) == []
    await company.tick(2026, 5)
    assert figures(await company.verify()) == []
    # January: e4, e5, e6 and the late one; e1 and e2 are void, e3 went to March.
    sums = await company.connection.fetch(
        "SELECT period_start_at::date::text AS month, sum(amount_minor)::int AS minor FROM invoicing.invoice_line "
        "WHERE subscription_item = 'calls' GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in sums] == [
        ("2026-01-01", 800),
        ("2026-02-01", 0),
        ("2026-03-01", 200),
        ("2026-04-01", 0),
    ]


async def test_usage_that_a_correction_took_out_and_that_is_billed_all_the_same_is_listed(company: Company) -> None:
    await company.sign(account(), subscription(item("calls", meter=CALLS)))
    await _say(company, _call("e1", "2026-01-01T10:00:00Z"))
    await company.tick(2026, 2)
    await _correct(company, "c1", "e1", None, "2026-02-01T01:00:00Z")
    await company.tick(2026, 3)
    await company.tick(2026, 4)
    assert figures(await company.verify()) == []
    await company.tamper("DELETE FROM usage.correction")
    assert {("1", "0"), ("200", "0")} <= {one[1:] for one in figures(await company.verify())}


async def test_a_service_that_began_earlier_than_was_known_is_billed_as_verify_works_it_out(company: Company) -> None:
    """Since 15 February, then since 1 January: one call of January, two of February, at 2 EUR; a seat at 31 EUR."""
    late = {"service_start_on": date(2026, 2, 15)}
    await company.sign(account(), subscription(item("calls", meter=CALLS, **late), item("seat", **late)))
    for name, day in (("e1", "01-20"), ("e2", "02-10"), ("e3", "02-20")):
        await _say(company, _call(name, f"2026-{day}T10:00:00Z"))
    await company.tick(2026, 3)
    assert figures(await company.verify()) == []
    await company.sign(subscription(item("calls", meter=CALLS), item("seat")))
    for month in (4, 5):
        await company.tick(2026, month)
        assert figures(await company.verify()) == []
    sums = await company.connection.fetch(
        "SELECT item_period_start_at::date::text AS month, sum(amount_minor)::int AS minor FROM invoicing.invoice_line "
        "GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in sums][:3] == [("2026-01-01", 3300), ("2026-02-01", 3500), ("2026-03-01", 3100)]
