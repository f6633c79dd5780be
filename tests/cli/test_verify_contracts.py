"""Verify, of contracts: nothing to find on books that the agents made, and exactly what was changed under its hands."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from fakturo.schemas.events.contracts import MeterDefinition, Pause
from tests.cli.company import CALL, CALLS, Company, account, figures, item, price, subscription, terms, version

TIERS = {
    "model": "graduated", "currency": "EUR",
    "tiers": [{"up_to": "3", "unit_amount": "0"}, {"up_to": None, "unit_amount": "2"}],
}  # fmt: skip
CHEAPER = {"model": "per_unit", "unit_amount": "28", "licensed": True, "proration": "day", "currency": "EUR"}


@pytest.fixture
async def company(database_url: str) -> AsyncIterator[Company]:
    """Return a company without books."""
    connection = await asyncpg.connect(database_url)
    yield Company(connection)
    await connection.close()


async def months(company: Company, *until: int) -> None:
    for month in range(1, until[0] + 1):
        await company.tick(2026 + (month - 1) // 12, (month - 1) % 12 + 1)


FEBRUARY, LEAP = date(2026, 2, 14), date(2024, 2, 29)

ITEMS: dict[str, dict[str, Any]] = {
    "monthly": {},
    "in advance": {"billing": "advance", "service_start_on": FEBRUARY},
    "quarterly": {"billing_months": 3, "service_start_on": FEBRUARY},
    "yearly from 29 February": {"billing_months": 12, "anchor_on": LEAP, "billing": "advance"},
    "monthly from the 31st": {"anchor_on": date(2026, 1, 31)},
    "once": {"billing_months": 0, "service_start_on": FEBRUARY},
    "ended": {"service_end_on": date(2026, 3, 20)},
    "trial": {"trial_until_on": FEBRUARY},
    "paused": {"pauses": (Pause(start_on=date(2026, 2, 10), end_on=date(2026, 4, 5)),)},
    "paused for good": {"pauses": (Pause(start_on=date(2026, 2, 10)),)},
    "quantity": {"terms": (terms(date(2026, 1, 1)), terms(date(2026, 3, 11), "2", discount_percent=Decimal(10)))},
    "calls": {"meter": CALLS},
    "calls by the quarter": {"meter": CALLS, "billing_months": 3},
    "calls in trial": {"meter": CALLS, "trial_until_on": date(2026, 3, 10)},
}


@pytest.mark.parametrize("name", ITEMS)
async def test_what_the_agents_billed_is_what_should_have_been(company: Company, name: str) -> None:
    await company.sign(account(), subscription(item("seat", **ITEMS[name]), item("other")))
    await company.use("2026-01-10T10:00:00Z", "2026-03-10T00:00:00Z", "2026-03-31T23:59:59Z", "2026-05-02T00:00:00Z")
    await months(company, 7)
    found = await company.verify()
    assert figures(found) == []
    assert found.notes == []
    assert found.checked > 50


@pytest.mark.parametrize("change", ["immediate", "next_period"])
async def test_a_price_change_splits_a_period_or_waits_for_the_next(company: Company, change: str) -> None:
    prices = (price(CHEAPER), price({**CHEAPER, "unit_amount": "56"}, date(2026, 2, 15)))
    await company.sign(account(), subscription(item("seat", *prices, price_change=change)))
    await months(company, 4)
    assert figures(await company.verify()) == []


@pytest.mark.parametrize("zones", [("Asia/Tokyo", "America/New_York"), ("America/New_York", "Asia/Tokyo")])
@pytest.mark.parametrize("billing", ["arrears", "advance"])
async def test_an_account_that_moves_pays_no_second_month(company: Company, zones: Any, billing: str) -> None:
    moves = version(datetime(2026, 2, 16, tzinfo=UTC), timezone=zones[1])
    await company.sign(account(version(timezone=zones[0]), moves), subscription(item("seat", billing=billing)))
    await months(company, 5)
    assert figures(await company.verify()) == []


@pytest.mark.parametrize(
    "given",
    [{}, {"anchor_on": date(2025, 11, 15)}, {"pauses": (Pause(start_on=date(2026, 3, 5), end_on=date(2026, 3, 20)),)}],
)
async def test_an_allowance_counts_over_its_months(company: Company, given: dict[str, Any]) -> None:
    """Three calls are free in a year, whenever they come."""
    await company.sign(account(), subscription(item("calls", price(TIERS), meter=CALLS, allowance_months=12, **given)))
    await company.use(*(f"2026-{month:02}-{day:02}T10:00:00Z" for month in range(1, 7) for day in (2, 21)))
    await months(company, 7)
    assert figures(await company.verify()) == []


async def test_what_is_learned_late_is_corrected_and_the_sum_over_all_documents_is_compared(company: Company) -> None:
    """A second seat from 11 February, learned in April; calls cost 3 from 1 March, learned in April."""
    await company.sign(account(), subscription(item("seat"), item("calls", meter=CALLS), item("gone")))
    await company.use("2026-02-10T10:00:00Z", "2026-03-10T10:00:00Z")
    await months(company, 3)
    await company.tick(2026, 4, 3)
    dearer = price({"model": "per_unit", "unit_amount": "3", "currency": "EUR"}, date(2026, 3, 1))
    calls = item("calls", meter=CALLS)
    more = item("seat", terms=(terms(date(2026, 1, 1)), terms(date(2026, 2, 11), "2")))
    await company.sign(subscription(more, item("calls", *calls.prices, dearer, meter=CALLS)))
    news = await company.verify()
    assert figures(news) == []
    assert next(note.text for note in news.notes).endswith("holds from the next tick on")
    await company.tick(2026, 4, 4)
    waiting = await company.verify()
    assert figures(waiting) == []
    assert any("waits for the next invoice" in note.text for note in waiting.notes)
    await months(company, 5)
    found = await company.verify()
    assert figures(found) == []
    (note,) = found.notes
    assert "left their subscription" in note.text


async def test_a_line_that_was_changed_is_listed_with_what_it_should_be(company: Company) -> None:
    """January's seat is 31.00, 20 % of it 6.20."""
    await company.sign(account(), subscription(item("seat")))
    await months(company, 3)
    change = "UPDATE invoicing.invoice_line SET rated_minor = rated_minor + 1 WHERE period_start_at = '2026-01-01'"
    await company.tamper(change)
    assert figures(await company.verify()) == [("line of seat from 2026-01-01 00:00Z: amount", "3100", "3101")]


async def test_a_period_that_was_never_billed_is_listed(company: Company) -> None:
    await company.sign(account(), subscription(item("seat"), item("other")))
    await months(company, 3)
    delete = "DELETE FROM invoicing.invoice_line WHERE subscription_item = 'seat' AND period_start_at = '2026-01-01'"
    await company.tamper(delete)
    found = figures(await company.verify())
    assert ("line of seat from 2026-01-01 00:00Z", "3100", None) in found


async def test_a_draft_in_review_is_a_note(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    company = Company(connection, {"review_seconds": 5 * 86400})
    await company.sign(account(), subscription(item("seat"), item("quarter", billing_months=3)))
    await months(company, 2)
    await company.tick(2026, 2, 10)
    await company.tick(2026, 3, 1)
    found = await company.verify()
    assert figures(found) == []
    await connection.close()


async def test_what_was_billed_at_a_threshold_is_a_note_until_its_period_is_over(company: Company) -> None:
    await company.sign(account(), subscription(item("calls", meter=CALLS), billing_threshold_minor=300))
    await company.tick(2026, 1)
    await company.use("2026-01-10T10:00:00Z", "2026-01-11T10:00:00Z")
    await company.flush()
    await company.tick(2026, 1, 12)
    found = await company.verify()
    assert (figures(found), [note.text.partition(" at")[0] for note in found.notes]) == ([], ["lines were billed"])
    await company.use("2026-01-20T10:00:00Z")
    await months(company, 2)
    assert (figures(await company.verify()), (await company.verify()).notes) == ([], [])


METERS = {
    "unique": {"value": "data.user"},
    "average": {"value": "data.size"},
    "weighted_sum": {"value": "data.size"},
    "sum": {"value": "data.size", "group_by": ("region",)},
    "max": {"value": "data.size", "filter": {"region": ("eu", "")}},
    "last": {"value": "data.size"},
}


@pytest.mark.parametrize("aggregation", METERS)
async def test_every_aggregation_is_totalled_again(company: Company, aggregation: str) -> None:
    meter = MeterDefinition(code="m", event_type="api.call", aggregation=aggregation, **METERS[aggregation])
    await company.sign(account(), subscription(item("m", meter=meter)))
    for day, size, user, region in ((3, "5", "a", "eu"), (9, "-2", "b", "us"), (20, "7.5", "a", "eu")):
        await company.use(f"2026-01-{day:02}T10:30:00Z", size=size, user=user, region=region)
    await company.use("2026-02-05T10:00:00Z", size="3", user="c")
    await months(company, 3)
    assert figures(await company.verify()) == []


async def test_the_minimum_of_an_allowance_is_charged_once_at_its_end(company: Company) -> None:
    """100.00 in half a year, with another price from 10 March on; three calls at 2.00 and two at 3.00 are 12.00."""
    first = {**CALL, "minimum_amount": "100"}
    later = price({**first, "unit_amount": "3"}, date(2026, 3, 10))
    calls = item("calls", price(first), later, meter=CALLS, allowance_months=6)
    await company.sign(account(), subscription(calls))
    await company.use(*(f"2026-0{month}-20T10:00:00Z" for month in (1, 2, 3, 5)), "2026-03-01T10:00:00Z")
    await months(company, 8)
    assert figures(await company.verify()) == []
    billed = [invoice.subtotal_minor for invoice in company.documents]
    assert (sum(billed[:6]), billed[:5]) == (10_000, [200, 200, 500, 0, 300])


SINGLY = {
    "percentage": {"model": "percentage", "percent": "1.5", "fixed_amount": "0.10", "minimum_per_event": "0.25"},
    "per event": {"model": "package", "package_size": "10", "package_amount": "2", "per_event": True},
    "increments": {"model": "per_unit", "unit_amount": "0.01", "event_increments": {"minimum": "30", "step": "6"}},
    "minimum": {"model": "per_unit", "unit_amount": "1", "minimum_amount": "100", "proration": "day"},
}


@pytest.mark.parametrize("name", SINGLY)
async def test_prices_of_single_events_and_minimums_are_worked_out_again(company: Company, name: str) -> None:
    """A discount from 15 January on cuts the month in two."""
    meter = MeterDefinition(code="m", event_type="api.call", aggregation="sum", value="data.size")
    document = price({**SINGLY[name], "currency": "EUR"})
    cut = (terms(date(2026, 1, 1)), terms(date(2026, 1, 15), discount_percent=Decimal(10)))
    await company.sign(account(), subscription(item("m", document, meter=meter, terms=cut)))
    for day, size in ((3, "5"), (9, "12"), (20, "37")):
        await company.use(f"2026-01-{day:02}T10:30:00Z", size=size)
    await months(company, 2)
    assert figures(await company.verify()) == []
