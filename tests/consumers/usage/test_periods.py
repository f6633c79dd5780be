"""Billing periods of any length and anchor, allowances over many of them, and what is late for which."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from fakturo.schemas.events.contracts import SubscriptionItem
from tests.consumers.usage.conftest import CALLS, TOKENS, TWO_EACH, Desk, account, item, price, subscription

JANUARY_1 = date(2026, 1, 1)


def at(text: str) -> datetime:
    """Return the first instant of a day in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def quarterly(name: str = "quarter", **given: Any) -> SubscriptionItem:
    """Return an item that is billed each quarter, in service since 1 January 2026."""
    return item(name, CALLS, **{"service_start_on": JANUARY_1, "billing_months": 3, **given})


async def test_a_quarter_is_stated_when_it_is_over_and_holds_its_three_months(desk: Desk) -> None:
    await desk.sign(account(), subscription(quarterly()))
    await desk.hand_in(*(desk.usage(f"{month}", f"2026-0{month}-20T00:00:00Z") for month in range(1, 5)))
    await desk.tick(at("2026-03-31"))
    assert desk.finals() == []
    await desk.tick(at("2026-07-01"))
    assert desk.finals() == [("quarter", "2026-01-01", Decimal(3), 600), ("quarter", "2026-04-01", Decimal(1), 200)]


async def test_a_quarter_from_an_anchor_ends_on_the_anchors_day(desk: Desk) -> None:
    """From 15 November: service begins on 1 January in the quarter up to 15 February."""
    await desk.sign(account(), subscription(quarterly(anchor_on=date(2025, 11, 15))))
    days = ("2026-01-01", "2026-02-14", "2026-02-15", "2026-05-14", "2026-05-15")
    await desk.hand_in(*(desk.usage(day, f"{day}T00:00:00Z") for day in days))
    await desk.tick(at("2026-05-15"))
    assert desk.finals() == [("quarter", "2025-11-15", Decimal(2), 400), ("quarter", "2026-02-15", Decimal(2), 400)]


async def test_usage_of_an_open_quarter_is_not_late_when_its_month_is_over(desk: Desk) -> None:
    await desk.sign(account(), subscription(quarterly()))
    tx = await desk.hand_in(desk.usage("1", "2026-01-20T00:00:00Z", watermark_at=at("2026-03-31")))
    assert not tx.outcomes["billing.usage", "late"]
    tx = await desk.hand_in(desk.usage("2", "2026-03-20T00:00:00Z", watermark_at=at("2026-04-01")))
    assert tx.outcomes["billing.usage", "late"] == 1
    await desk.tick(at("2026-04-01"))
    assert desk.finals() == [("quarter", "2026-01-01", Decimal(1), 200)]


@pytest.mark.parametrize(("watermark", "late"), [("2026-03-14", False), ("2026-03-15", True)])
async def test_usage_of_a_month_from_the_15th_is_late_from_the_15th_on(desk: Desk, watermark: str, late: bool) -> None:
    """The calendar's February is over on 1 March, and its March begins before the 15th: neither counts here."""
    await desk.sign(account(), subscription(item("calls", CALLS, anchor_on=date(2026, 1, 15))))
    tx = await desk.hand_in(desk.usage("1", "2026-03-05T00:00:00Z", watermark_at=at(watermark)))
    assert bool(tx.outcomes["billing.usage", "late"]) is late


@pytest.mark.parametrize("month_meter", [CALLS, TOKENS])
async def test_usage_that_is_late_for_a_month_counts_in_the_quarter_at_once_and_in_the_months_revision(
    desk: Desk, month_meter: Any
) -> None:
    """Also where both items count by the same meter; the month has a new price too: 2 events at 3 EUR."""
    monthly = item("month", month_meter, service_start_on=JANUARY_1)
    await desk.sign(account(), subscription(monthly), subscription(quarterly(), name="second"))
    await desk.hand_in(desk.usage("1", "2026-01-20T00:00:00Z", data={"tokens": "1"}))
    await desk.tick(at("2026-02-01"))
    tx = await desk.hand_in(
        desk.usage("2", "2026-01-21T00:00:00Z", data={"tokens": "1"}, watermark_at=at("2026-02-01"))
    )
    assert tx.outcomes["billing.usage", "late"] == 1
    three = price({**TWO_EACH, "unit_amount": "3"})
    await desk.sign(subscription(item("month", month_meter, three, service_start_on=JANUARY_1)))
    await desk.tick(at("2026-04-01"))
    january = [
        (one.revision, one.quantity, one.amount_minor) for one in desk.published if one.period.end == at("2026-02-01")
    ]
    assert january == [(1, Decimal(1), 200), (2, Decimal(2), 600)]
    assert [one[1:] for one in desk.finals() if one[0] == "quarter"] == [("2026-01-01", Decimal(2), 400)]


FREE_10 = {"model": "per_unit", "unit_amount": "2", "free_units": "10", "currency": "EUR"}


def allowance(*prices: Any, **given: Any) -> SubscriptionItem:
    """Return a monthly item whose free units count over the 12 months from January 2026."""
    fields = {"service_start_on": JANUARY_1, "anchor_on": JANUARY_1, "allowance_months": 12, **given}
    return item("yearly", TOKENS, *(prices or (price(FREE_10),)), **fields)


async def _use(desk: Desk, *months: tuple[str, str]) -> None:
    await desk.hand_in(
        *(desk.usage(month, f"{month}-20T00:00:00Z", data={"tokens": tokens}) for month, tokens in months)
    )


async def test_free_units_of_a_year_are_used_up_once_and_come_again_in_the_next(desk: Desk) -> None:
    """10 free a year: 4 and 6 are free, then 5 cost 10 EUR; in the next January 10 of 12 are free again."""
    await desk.sign(account(), subscription(allowance()))
    await _use(desk, ("2026-01", "4"), ("2026-02", "6"), ("2026-03", "5"), ("2027-01", "12"))
    await desk.tick(at("2027-02-01"))
    found = {start: (quantity, cents) for _, start, quantity, cents in desk.finals()}
    assert len(found) == 13
    assert found["2026-01-01"] == (Decimal(4), 0)
    assert found["2026-02-01"] == (Decimal(6), 0)
    assert found["2026-03-01"] == (Decimal(5), 1000)
    assert found["2026-04-01"] == (Decimal(0), 0)
    assert found["2027-01-01"] == (Decimal(12), 400)


async def test_bills_of_an_allowance_sum_to_one_bill_of_the_year_to_the_cent(desk: Desk) -> None:
    """12 x 1.005 a month: 12.06 a year, while each month alone would be 1.01 (12.12 a year)."""
    odd = {"model": "per_unit", "unit_amount": "1.005", "currency": "EUR"}
    await desk.sign(account(), subscription(allowance(price(odd))))
    await _use(desk, *((f"2026-{month:02}", "1") for month in range(1, 13)))
    await desk.tick(at("2027-01-01"))
    assert sum(cents for *_, cents in desk.finals()) == 1206


async def test_a_prorated_minimum_is_one_for_all_slices_of_a_period(desk: Desk) -> None:
    """100 EUR a month at least, 1 unit at 2 EUR in each half of February: 2 EUR, and 98 EUR on the last slice."""
    least = {"model": "per_unit", "unit_amount": "2", "minimum_amount": "100", "proration": "day", "currency": "EUR"}
    prices = (price(least), price({**least, "free_units": "0"}, date(2026, 2, 15)))
    await desk.sign(account(), subscription(item("calls", CALLS, *prices)))
    await desk.hand_in(*(desk.usage(day, f"{day}T12:00:00Z") for day in ("2026-02-10", "2026-02-20")))
    await desk.tick(datetime(2026, 3, 1, tzinfo=UTC))
    (february,) = desk.published
    assert [one.amount_minor for one in february.slices] == [200, 9_800]


async def test_what_lies_before_a_price_change_in_an_allowance_is_not_raised_to_the_minimum(desk: Desk) -> None:
    """100 EUR in two months, 1 unit at 2 EUR in February, another price from March: 2 EUR, then 98 EUR."""
    least = {"model": "per_unit", "unit_amount": "2", "minimum_amount": "100", "currency": "EUR"}
    prices = (price(least), price({**least, "unit_amount": "3"}, date(2026, 3, 1)))
    anchored = {"allowance_months": 2, "anchor_on": date(2026, 2, 1)}
    await desk.sign(account(), subscription(item("calls", CALLS, *prices, **anchored)))
    await desk.hand_in(desk.usage("1", "2026-02-10T12:00:00Z"))
    await desk.tick(datetime(2026, 4, 1, tzinfo=UTC))
    assert [amount for *_, amount in desk.finals()] == [200, 9_800]


async def test_a_minimum_of_an_allowance_is_charged_once_at_the_end_of_its_window(desk: Desk) -> None:
    """A minimum of 100 EUR a year, 1 unit at 2 EUR in January: 98 EUR in December."""
    least = {"model": "per_unit", "unit_amount": "2", "minimum_amount": "100", "currency": "EUR"}
    await desk.sign(account(), subscription(allowance(price(least))))
    await _use(desk, ("2026-01", "1"))
    await desk.tick(at("2027-01-01"))
    assert [cents for *_, cents in desk.finals()] == [200, *([0] * 10), 9800]


async def test_a_price_change_inside_an_allowance_starts_its_free_units_anew(desk: Desk) -> None:
    """8 of 10 free units in January; from 15 February 3 EUR with 10 free of its own: 12 - 10 = 2 at 3 EUR."""
    dearer = price({**FREE_10, "unit_amount": "3"}, date(2026, 2, 15))
    await desk.sign(account(), subscription(allowance(price(FREE_10), dearer)))
    await _use(desk, ("2026-01", "8"), ("2026-02", "7"), ("2026-03", "5"))
    await desk.tick(at("2026-04-01"))
    assert [(quantity, cents) for _, _, quantity, cents in desk.finals()] == [
        (Decimal(8), 0),
        (Decimal(7), 0),
        (Decimal(5), 600),
    ]


async def test_a_running_statement_of_an_allowance_shows_the_month_alone(desk: Desk) -> None:
    await desk.sign(account(), subscription(allowance()))
    await _use(desk, ("2026-01", "9"), ("2026-02", "3"))
    await desk.tick(at("2026-02-01"))
    (running,) = await desk.flush()
    assert (running.quantity, running.amount_minor) == (Decimal(3), 400)


async def test_a_price_learned_late_revises_every_later_month_of_the_window(desk: Desk) -> None:
    """8 and 8 units of 10 free at 2 EUR: 0 and 12. With 5 free: 6 and 16. The corrections are 6 and 4 EUR."""
    await desk.sign(account(), subscription(allowance()))
    await _use(desk, ("2026-01", "8"), ("2026-02", "8"))
    await desk.tick(at("2026-03-01"))
    await desk.sign(subscription(allowance(price({**FREE_10, "free_units": "5"}))))
    await desk.tick(at("2026-03-02"))
    assert [(one.revision, one.amount_minor) for one in desk.published if one.final] == [
        (1, 0),
        (1, 1200),
        (2, 600),
        (2, 1600),
    ]
