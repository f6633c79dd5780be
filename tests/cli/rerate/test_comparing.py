"""An account's month computed again from its events: equal where the books are right, and what differs where not."""

from collections.abc import Callable
from datetime import UTC, datetime

from fakturo.cli.rerate.comparing import Comparison, compare
from fakturo.cli.rerate.wanted import account_of
from fakturo.engine.periods import Period
from tests.journey.journey import Journey

Begin = Callable[..., Journey]
MARCH = Period(start_at=datetime(2026, 3, 1, tzinfo=UTC), end_at=datetime(2026, 4, 1, tzinfo=UTC))

SINGLE = {"effective_from": "2020-01-01", "model": "percentage", "percent": "3", "fixed_amount": "0.30"}


async def compared(journey: Journey) -> Comparison:
    """Return how the books of account A compare in March."""
    async with journey.connection.transaction(readonly=True):
        account = await account_of(journey.connection, "A")
        assert account is not None
        return await compare(journey.connection, account, MARCH)


async def test_books_with_late_usage_an_allowance_and_prices_of_single_events_are_the_same_from_their_events(
    begin: Begin,
) -> None:
    products = {**begin().catalog["products"], "SINGLE": {"name": "Each", "meter": "calls", "prices": [SINGLE]}}
    journey = begin({"products": products})
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    for name in ("CALLS", "ALLOWANCE", "SINGLE"):
        journey.item(name, "O", name)
    journey.use("A", "2026-01-10", "10000")
    journey.use("A", "2026-03-05", "4000")
    await journey.until("2026-04-03", 30)
    journey.use("A", "2026-03-20", "500")  # late
    await journey.until("2026-04-06", 1)
    result = await compared(journey)
    assert result.differences == []
    # Two quarters of five figures each, and three statements of a slice of three figures.
    assert result.checked == 2 * 5 + 3 * 3
    assert result.waiting == 0


async def test_a_total_and_a_statement_that_the_events_contradict_are_named(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("CALLS", "O", "CALLS")
    journey.use("A", "2026-03-05", "40")
    await journey.until("2026-03-07", 0)
    await journey.connection.execute("UPDATE usage.rollup SET sum_value = 30")  # as a lost write would leave it
    await journey.until("2026-04-03", 0)
    result = await compared(journey)
    found = [(one.what, one.figure, one.book, one.again) for one in result.differences]
    assert found == [
        ("total", "sum_value", "30", "40"),
        ("statement", "amount_exact", "3", "4"),
        ("statement", "amount_minor", "300", "400"),
        ("statement", "quantity", "30", "40"),
    ]


async def test_an_account_that_nobody_knows_is_none(begin: Begin) -> None:
    assert await account_of(begin().connection, "nobody") is None
