"""A history told late gives the same books as the same history told in order.

Two accounts use the same. Of the one all comes in time; of the other most of March comes in April, when March has been
billed, and a part of it in May. In the end both have been billed the same for each item and month, owe the same, and
computed again from their raw events neither differs.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from fakturo.cli.rerate.comparing import compare
from fakturo.cli.rerate.wanted import account_of
from fakturo.engine.periods import Period
from tests.journey.checks import check
from tests.journey.journey import Journey

Begin = Callable[..., Journey]

TIERS = [{"up_to": "1000", "unit_amount": "0.10", "flat_amount": "5"}, {"up_to": None, "unit_amount": "0.03"}]
PRICES = {
    "VOLUME": {"model": "volume", "tiers": TIERS},
    "CAPPED": {"model": "graduated", "tiers": TIERS, "maximum_amount": "120"},
    "AT-LEAST": {"model": "per_unit", "unit_amount": "0.02", "minimum_amount": "40"},
    "PACKAGE": {"model": "package", "package_size": "700", "package_amount": "9"},
    "EACH": {"model": "percentage", "percent": "2.5", "fixed_amount": "0.30", "free_events": "2"},
}
MARCH = [("2026-03-04", "900"), ("2026-03-09", "350"), ("2026-03-17", "77.5"), ("2026-03-30", "1200")]


async def test_usage_of_a_closed_month_that_comes_late_ends_in_the_books_that_it_would_have_made_in_time(
    begin: Begin,
) -> None:
    products = {
        code: {"name": code, "meter": "calls", "prices": [{"effective_from": "2020-01-01", **price}]}
        for code, price in PRICES.items()
    }
    journey = begin({"products": {**begin().catalog["products"], **products}})
    for name in ("ORDERLY", "LATE"):
        journey.account(name)
        journey.order(f"O-{name}", name, "2026-03-01")
        for code in (*PRICES, "ALLOWANCE"):
            journey.item(f"{code}-{name}", f"O-{name}", code)
    for place, (day, quantity) in enumerate(MARCH):
        journey.use("ORDERLY", day, quantity)
        if place == 0:
            journey.use("LATE", day, quantity)
    await journey.until("2026-04-10", 31)
    for day, quantity in MARCH[1:3]:
        journey.use("LATE", day, quantity)
    for name in ("ORDERLY", "LATE"):
        journey.use(name, "2026-04-05", "10")
    await journey.until("2026-05-10", 31)
    journey.use("LATE", *MARCH[3])
    await journey.until("2026-06-10", 31)
    for code in (*PRICES, "ALLOWANCE"):
        assert journey.billed(f"{code}-LATE") == journey.billed(f"{code}-ORDERLY"), code
    totals = {
        name: sum(one.total_minor for one in journey.documents if one.account == name) for name in ("ORDERLY", "LATE")
    }
    assert totals["LATE"] == totals["ORDERLY"]
    # 2,527.5 in March: all at 0.03 (75.83); capped at 120.00 of 100.00 + 45.83 + 5.00; 50.55; 4 packages; 2.5 % of the
    # two events after the first two, 31.94, and 0.60.
    assert [journey.billed(f"{code}-LATE")["2026-03"] for code in PRICES] == [7583, 12000, 5055, 3600, 3254]
    period = Period(start_at=datetime(2026, 3, 1, tzinfo=UTC), end_at=datetime(2026, 5, 1, tzinfo=UTC))
    async with journey.connection.transaction(readonly=True):
        for name in ("ORDERLY", "LATE"):
            account = await account_of(journey.connection, name)
            assert account is not None
            assert (await compare(journey.connection, account, period)).differences == []
    await check(journey)
