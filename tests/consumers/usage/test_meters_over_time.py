"""Meters that an account loses, gains, or needs from an earlier day on: the bill is as if it had been so all along."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import PEAK, TOKENS, Desk, account, item, price, subscription

JANUARY_1 = date(2026, 1, 1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
PERCENT = {"model": "percentage", "percent": "10", "currency": "EUR"}
LEVEL = MeterDefinition(code="level", event_type="api.call", aggregation="weighted_sum", value="data.tokens")


async def _lose_all_meters(desk: Desk) -> None:
    """Two events are counted by the meter of a subscription that then goes to another account."""
    first = subscription(item("calls"))
    await desk.sign(account(), account("AA", salesforce_id="001NY0000000003YAA"), first)
    await desk.hand_in(desk.usage("1"), desk.usage("2"))
    await desk.sign(structs.replace(first, account="AA"), account())
    assert await desk.connection.fetchval("SELECT meter_ids FROM usage.account WHERE account_id = 'UA'") == []


async def test_an_account_that_lost_all_its_meters_has_its_stored_events_counted_by_new_ones(desk: Desk) -> None:
    """5 tokens each: two events of before, one that came while nobody counted it, one after: 20 at 2 EUR."""
    await _lose_all_meters(desk)
    tx = await desk.hand_in(desk.usage("between"))
    assert tx.outcomes["billing.usage", "parked"] == 1
    await desk.sign(subscription(item("tokens", TOKENS), name="second"))
    await desk.hand_in(desk.usage("after"))
    await desk.tick(MARCH)
    assert [one for one in desk.finals() if one[0] == "tokens"] == [("tokens", "2026-02-01", Decimal(20), 4000)]


async def test_an_account_that_lost_all_its_meters_has_its_stored_events_rated_one_by_one_by_new_prices(
    desk: Desk,
) -> None:
    """10 % of 5 each: 1.00 of two events."""
    await _lose_all_meters(desk)
    await desk.sign(subscription(item("percent", TOKENS, price(PERCENT)), name="second"))
    await desk.tick(MARCH)
    assert [one[3] for one in desk.finals() if one[0] == "percent"] == [100]


async def test_a_meter_that_comes_back_counts_what_was_stored_while_another_counted(desk: Desk) -> None:
    """The peak of 5, 9 and 7: the 9 came while only the calls were counted."""
    calls, peak = subscription(item("calls")), subscription(item("peak", PEAK), name="second")
    await desk.sign(account(), account("AA", salesforce_id="001NY0000000003YAA"), calls, peak)
    await desk.hand_in(desk.usage("1"))
    await desk.sign(structs.replace(peak, account="AA"), account())
    await desk.hand_in(desk.usage("2", data={"tokens": "9"}))
    await desk.sign(peak, account("AA", salesforce_id="001NY0000000003YAA"))
    await desk.hand_in(desk.usage("3", data={"tokens": "7"}))
    await desk.tick(MARCH)
    assert [one[2] for one in desk.finals() if one[0] == "peak"] == [Decimal(9)]


async def test_a_service_that_began_earlier_than_was_known_counts_what_was_stored_before(desk: Desk) -> None:
    """Calls and tokens are counted since 15 February, then tokens since January: 5, 10 and 5 tokens."""
    await desk.sign(account(), subscription(item("calls", service_start_on=date(2026, 2, 15))))
    days = ("2026-01-20", "2026-02-10", "2026-02-20")
    await desk.hand_in(*(desk.usage(day, f"{day}T00:00:00Z") for day in days))
    late_start = item("tokens", TOKENS, service_start_on=date(2026, 2, 15))
    await desk.sign(subscription(late_start, name="second"))
    await desk.tick(MARCH)
    await desk.hand_in(desk.usage("2026-03-10", "2026-03-10T00:00:00Z", watermark_at=MARCH))
    early = item("tokens", TOKENS, service_start_on=JANUARY_1)
    await desk.sign(subscription(early, name="second"), watermark_at=MARCH)
    await desk.tick(APRIL)
    newest = {start: (quantity, cents) for name, start, quantity, cents in desk.finals() if name == "tokens"}
    assert newest == {
        "2026-01-01": (Decimal(5), 1000),
        "2026-02-01": (Decimal(10), 2000),
        "2026-03-01": (Decimal(5), 1000),
    }


@pytest.mark.parametrize("seed", range(6))
async def test_in_whatever_order_usage_and_starts_of_services_come_the_months_are_stated_alike(
    desk: Desk, seed: int
) -> None:
    """Sums, peaks, levels and percentages of calls from January to April; in the end all services began in January."""
    chance = random.Random(seed)
    names = {"tokens": (TOKENS,), "peak": (PEAK,), "level": (LEVEL,), "percent": (TOKENS, price(PERCENT))}
    await desk.sign(account(), subscription(item("calls", service_start_on=date(2026, 3, 25))))
    starts = [date(2026, 3, 20), date(2026, 2, 10), date(2026, 2, 1), JANUARY_1]
    contracts = {
        name: [
            subscription(item(name, *parts, service_start_on=start), name=name)
            for start in (*chance.sample(starts[:3], k=2), JANUARY_1)
        ]
        for name, parts in names.items()
    }
    numbers = [chance.randint(1, 9) for _ in range(40)]
    days = [
        datetime(2026, chance.randint(1, 4), chance.randint(1, 28), number % 24, tzinfo=UTC) for number in range(40)
    ]
    watermark_at = None
    usage = list(enumerate(zip(days, numbers, strict=True)))
    ticks = iter([datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4)])
    steps = ["usage"] * 8 + ["contract"] * 12 + ["tick"] * 3
    chance.shuffle(steps)
    for step in steps:
        if step == "tick":
            watermark_at = next(ticks)
            await desk.tick(watermark_at)
        elif step == "contract":
            name = chance.choice([name for name, left in contracts.items() if left])
            await desk.sign(contracts[name].pop(0), watermark_at=watermark_at)
        else:
            part = [usage.pop() for _ in range(5)]
            await desk.hand_in(
                *(
                    desk.usage(str(number), day.isoformat(), data={"tokens": str(tokens)}, watermark_at=watermark_at)
                    for number, (day, tokens) in part
                )
            )
    await desk.tick(MAY)
    await desk.tick(datetime(2026, 5, 2, tzinfo=UTC))
    newest = {(name, start): quantity for name, start, quantity, _ in desk.finals()}
    by_start: dict[str, list[int]] = {f"2026-0{month}-01": [] for month in range(1, 5)}
    for day, tokens in sorted(zip(days, numbers, strict=True)):
        by_start[f"{day:%Y-%m}-01"].append(tokens)
    for start, values in by_start.items():
        assert newest.get(("tokens", start)) == sum(values), start
        assert newest.get(("peak", start)) == max(values), start
    stated = {
        (one.subscription_item, key.rpartition("/")[2]): one for one, key in zip(desk.published, desk.keys, strict=True)
    }
    for start, values in by_start.items():
        assert stated["percent", start].amount_exact == Decimal(sum(values)) / 10
    for first_at in by_start:
        start_at, end_at = _month(first_at)
        seconds = Decimal((end_at - start_at).total_seconds())
        held = [
            tokens * Decimal((end_at - max(day, start_at)).total_seconds())
            for day, tokens in zip(days, numbers, strict=True)
            if day < end_at
        ]
        assert round(newest["level", first_at], 9) == round(sum(held, Decimal(0)) / seconds, 9)


def _month(first: str) -> tuple[datetime, datetime]:
    start_at = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return start_at, start_at.replace(month=start_at.month + 1)
