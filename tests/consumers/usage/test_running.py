"""What a running statement says beside the amount so far: tier, next units, forecast; a final one says none of it.

February 2026 has 28 days, 2,419,200 seconds; usage on the 8th at 00:00 has 7 days behind it, a quarter of the month.
"""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from fakturo.consumers.usage import running_store, statements
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import MeterDefinition
from fakturo.schemas.events.usage import Forecast, NextTier, NextUnits, Outlook, TierReached
from tests.consumers.usage.conftest import (
    PEAK,
    THREE_EACH,
    TOKENS,
    TWO_EACH,
    Desk,
    account,
    item,
    price,
    settings_of,
    subscription,
)

D = Decimal
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
GRADUATED = {
    "model": "graduated",
    "currency": "EUR",
    "minimum_amount": "100",
    "tiers": [
        {"up_to": "4", "unit_amount": "2"},
        {"up_to": "10", "unit_amount": "1.5"},
        {"up_to": None, "unit_amount": "1"},
    ],
}


async def _outlook(desk: Desk) -> Outlook:
    (statement,) = await desk.flush()
    assert isinstance(statement.outlook, Outlook)
    return statement.outlook


async def test_tier_next_units_and_forecast(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls", prices=(price(GRADUATED),))))
    await desk.hand_in(
        *(desk.usage(str(n), "2026-02-05T10:00:00Z") for n in range(4)), desk.usage("5", "2026-02-08T00:00:00Z")
    )
    (statement,) = await desk.flush()
    # 4 at 2.00, 1 at 1.50; the minimum is for the end.
    assert (statement.quantity, statement.amount_minor) == (D(5), 950)
    assert statement.next_tier == NextTier(remaining=D(5), unit_amount=D(1))
    assert statement.outlook == Outlook(
        tier=TierReached(number=2, count=3, after=D(4), up_to=D(10), unit_amount=D("1.5")),
        next_units=NextUnits(amount=D("1.5"), per_units=D(1), remaining=D(5)),
        # 5 in a quarter of the month: 20. 8 + 9 + 10 = 27.00, so the minimum of 100.00.
        forecast=Forecast(at=MARCH, quantity=D(20), amount_exact=D(100), amount_minor=10_000),
    )


async def test_a_price_change_to_come_has_its_share_of_the_forecast(desk: Desk) -> None:
    prices = (price(TWO_EACH), price(THREE_EACH, date(2026, 2, 15)))
    await desk.sign(account(), subscription(item("calls", prices=prices)))
    await desk.hand_in(*(desk.usage(str(n), "2026-02-08T00:00:00Z") for n in range(7)))
    outlook = await _outlook(desk)
    # One a day: 14 at 2.00, then 14 at 3.00. The next one costs what holds on the 8th.
    assert outlook.forecast == Forecast(at=MARCH, quantity=D(28), amount_exact=D(70), amount_minor=7000)
    assert outlook.next_units == NextUnits(amount=D(2), per_units=D(1), remaining=None)


async def test_there_is_no_forecast_in_the_first_hour(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1", "2026-02-01T00:59:59Z"))
    assert (await _outlook(desk)).forecast is None


async def test_a_peak_stays_what_it_is(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("peak", PEAK)))
    await desk.hand_in(desk.usage("1", "2026-02-08T00:00:00Z", data={"tokens": "9"}))
    forecast = (await _outlook(desk)).forecast
    assert forecast is not None
    assert (forecast.quantity, forecast.amount_minor) == (D(9), 1800)


async def test_prices_of_single_events_grow_by_their_amount(desk: Desk) -> None:
    percent = {"model": "percentage", "percent": "10", "currency": "EUR"}
    await desk.sign(account(), subscription(item("tokens", TOKENS, prices=(price(percent),))))
    await desk.hand_in(desk.usage("1", "2026-02-08T00:00:00Z", data={"tokens": "50"}))
    outlook = await _outlook(desk)
    assert (outlook.tier, outlook.next_units) == (None, None)
    # 10 % of 50.00 in a quarter of the month.
    assert outlook.forecast == Forecast(at=MARCH, quantity=D(200), amount_exact=D(20), amount_minor=2000)


async def test_an_allowance_counts_what_was_used_before_the_period(desk: Desk) -> None:
    free = {"model": "per_unit", "unit_amount": "2", "free_units": "20", "currency": "EUR"}
    given = {"anchor_on": date(2026, 1, 1), "allowance_months": 12, "service_start_on": date(2026, 1, 1)}
    await desk.sign(account(), subscription(item("calls", prices=(price(free),), **given)))
    await desk.hand_in(*(desk.usage(f"j{n}", "2026-01-10T00:00:00Z") for n in range(12)))
    await desk.tick(datetime(2026, 2, 1, tzinfo=UTC))
    await desk.hand_in(*(desk.usage(f"f{n}", "2026-02-08T00:00:00Z") for n in range(3)))
    outlook = await _outlook(desk)
    # 12 in January, 3 in February: 5 of the 20 are left. At this pace 12 in February: 4 beyond the 20.
    assert outlook.next_units == NextUnits(amount=D(0), per_units=D(1), remaining=D(5))
    assert outlook.forecast == Forecast(at=MARCH, quantity=D(12), amount_exact=D(8), amount_minor=800)


async def test_a_final_statement_has_no_outlook_not_even_as_a_field(desk: Desk, connection: asyncpg.Connection) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"))
    await desk.tick(MARCH)
    (final,) = desk.published
    assert not final.outlook
    content = json.loads(await connection.fetchval("SELECT content FROM usage.statement"))
    assert "outlook" not in content
    assert content["next_tier"] is None


async def test_items_that_are_rated_from_their_events_rest_in_proportion_to_what_was_read_and_are_final_in_time(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two items read 30 events each: at 10 a second they rest 6 seconds; the calls, which are totals, as all do."""
    monkeypatch.setattr(statements, "EVENTS_A_SECOND", 10)
    rests: list[dict[tuple[str, int], timedelta]] = []
    let_rest = running_store.let_rest

    async def note(driver: asyncpg.Connection, asked: dict[tuple[str, int], timedelta]) -> None:
        rests.append(asked)
        await let_rest(driver, asked)

    monkeypatch.setattr(running_store, "let_rest", note)
    desk = Desk(connection, UsageAgent(settings_of(interim_seconds=1)))
    users = MeterDefinition(code="users", event_type="api.call", aggregation="unique", value="data.tokens")
    await desk.sign(account(), subscription(item("calls"), item("users", users), item("also", users)))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(30)))
    assert len(await desk.flush()) == 3
    meter_id = await connection.fetchval("SELECT meter_id FROM usage.meter WHERE code = 'users'")
    assert rests == [{("UA", meter_id): timedelta(seconds=6)}]
    await desk.hand_in(desk.usage("30", data={"tokens": "6"}))
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("also", "2026-02-01", D(2), 400),
        ("calls", "2026-02-01", D(31), 6200),
        ("users", "2026-02-01", D(2), 400),
    ]
