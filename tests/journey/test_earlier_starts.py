"""A service that began earlier than its contract first said: billed as if the contract had been so from the start."""

from collections.abc import Callable

import pytest

from tests.journey.checks import check
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def _begin(begin: Begin, **given: str) -> Journey:
    """Calls at 0.10 since 15 February: 10 of 20 January, 20 of 20 February, 30 of 10 March."""
    journey = begin(**given)
    journey.account("A")
    journey.order("O", "A", "2026-02-15")
    journey.item("CALLS", "O", "CALLS")
    for day, quantity in (("2026-01-20", 10), ("2026-02-20", 20), ("2026-03-10", 30)):
        await journey.until(day, 0)
        journey.use("A", day, quantity)
    assert journey.billed("CALLS") == {"2026-02": 200}
    return journey


@pytest.mark.parametrize("step_days", [0, 1])
@pytest.mark.parametrize("corrections", ["next_invoice", "at_once"])
async def test_months_before_what_was_billed_are_billed_on_the_next_invoice_or_at_once(
    begin: Begin, corrections: str, step_days: int
) -> None:
    journey = await _begin(begin, corrections=corrections)
    journey.change("Order", "O", EffectiveDate="2025-12-01")
    await journey.until("2026-04-10", step_days)
    assert journey.billed("CALLS") == {"2025-12": 0, "2026-01": 100, "2026-02": 200, "2026-03": 300}
    await check(journey)


async def test_what_comes_late_for_such_a_month_corrects_it(begin: Begin) -> None:
    journey = await _begin(begin)
    journey.change("Order", "O", EffectiveDate="2026-01-01")
    await journey.until("2026-04-10", 1)
    journey.use("A", "2026-01-25", 5)
    await journey.until("2026-05-10", 1)
    assert journey.billed("CALLS") == {"2026-01": 150, "2026-02": 200, "2026-03": 300, "2026-04": 0}
    corrected = [line for one in journey.documents for line in one.lines if line.kind == "correction"]
    assert (corrected[-1].amount_minor, corrected[-1].period.start.month) == (50, 1)
    await check(journey)


async def test_a_meter_that_came_later_still_counts_what_was_stored_before_the_first_start(begin: Begin) -> None:
    """Two meters on the same calls: those by the calendar's months, and those by the order's own since 18 February."""
    journey = await _begin(begin)
    journey.order("P", "A", "2026-02-18")
    journey.item("OWN", "P", "CALLS-COTERM")
    await journey.until("2026-03-12", 1)
    journey.change("Order", "P", EffectiveDate="2026-01-01")
    await journey.until("2026-04-10", 1)
    assert journey.billed("OWN") == {"2026-01": 100, "2026-02": 200, "2026-03": 300}
    await check(journey)


@pytest.mark.parametrize("step_days", [0, 1])
@pytest.mark.parametrize(
    ("product", "before", "after"),
    [
        # 31.00 a month; of February the half from the 15th on, 14 of 28 days.
        ("SEAT", {"2026-02": 1550}, {"2026-01": 3100, "2026-02": 3100, "2026-03": 3100}),
        ("SEAT-ADV", {"2026-02": 1550, "2026-03": 3100}, {"2026-01": 3100, "2026-02": 3100, "2026-03": 3100}),
        # Charged once, whenever that was.
        ("SETUP", {"2026-02": 50000}, {"2026-02": 50000}),
    ],
)
async def test_seats_of_months_before_what_was_billed_are_billed_too(
    begin: Begin, product: str, before: dict[str, int], after: dict[str, int], step_days: int
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-02-15")
    journey.item("ITEM", "O", product)
    await journey.until("2026-03-10", step_days)
    assert journey.billed("ITEM") == before
    journey.change("Order", "O", EffectiveDate="2026-01-01")
    await journey.until("2026-04-02", step_days)
    billed = journey.billed("ITEM")
    assert {month: minor for month, minor in billed.items() if month < "2026-04"} == after
    await check(journey)
