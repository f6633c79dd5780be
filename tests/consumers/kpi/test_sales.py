"""What sales looks at: recurring revenue, renewals, won opportunities, usage by month. Day 1 is 1 January 2026."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest

from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.contracts import (
    SUBSCRIPTION_CHANGED,
    ItemTax,
    ItemTerms,
    MeterDefinition,
    PriceVersion,
    Subscription,
    SubscriptionItem,
)
from fakturo.schemas.events.invoices import InvoiceLine, LineTax
from fakturo.schemas.events.sales import OPPORTUNITY_CHANGED, OpportunityChanged
from fakturo.schemas.events.usage import PeriodBounds
from tests.consumers.kpi.conftest import on

SEAT = {"model": "per_unit", "unit_amount": "10", "licensed": True}
METER = MeterDefinition(code="m", event_type="e", aggregation="count")


def at(day):
    return datetime.combine(on(day), time(9), UTC)


def item(name, start, end=None, seats=5, meter=None):
    return SubscriptionItem(
        subscription_item=name,
        product_code="seats",
        product_name="Seats",
        billing="arrears",
        service_start_on=on(start),
        service_end_on=on(end) if end else None,
        terms=(ItemTerms(effective_from=on(start), quantity=Decimal(seats)),),
        prices=(PriceVersion(effective_from=on(1), price=SEAT, hash="h"),),
        tax=ItemTax(category="S", rate_percent=Decimal(0)),
        meter=meter,
    )


def subscribed(desk, name, start, *items, end=None, account="UA", watermark=None, **given):
    data = Subscription(
        subscription_id=name,
        account=account,
        currency="EUR",
        started_on=on(start),
        ended_on=on(end) if end else None,
        items=items,
        recorded_at=at(1),
        **given,
    )
    event = event_of(
        agent="contracts", event_type=SUBSCRIPTION_CHANGED, id=f"{name}/{len(encode(data))}/{watermark}",
        subject=account, time=at(1), data=data,
    )  # fmt: skip
    return desk._record("billing.contracts", event, watermark)


def opportunity(desk, name, opened, closed=None, *, won=True, deleted=False, account="UA"):
    data = OpportunityChanged(
        opportunity=name,
        account=account,
        opened_at=at(opened),
        recorded_at=at(opened),
        closed_at=at(closed) if closed else None,
        won=won and closed is not None,
        currency="EUR",
        deleted=deleted,
    )
    event = event_of(
        agent="contracts", event_type=OPPORTUNITY_CHANGED, id=f"{name}/{closed}/{won}/{deleted}",
        subject=account, time=at(opened), data=data,
    )  # fmt: skip
    return desk._record("billing.contracts", event, None)


def used(desk, invoice_id, issued, start, end, amount_minor, name="metered", **given):
    """Return an invoice with one line of `name` for the days from `start` up to `end`."""
    record = desk.invoice(invoice_id, issued, amount_minor, **given)
    event = decode_event(record.value)
    line = InvoiceLine(
        line_id=invoice_id,
        subscription_item=name,
        product_code="calls",
        description="Calls",
        explanation="",
        quantity=Decimal(1),
        amount_exact=Decimal(amount_minor) / 100,
        amount_minor=amount_minor,
        period=PeriodBounds(
            start=datetime.combine(on(start), time(5), UTC), end=datetime.combine(on(end), time(5), UTC)
        ),
        tax=LineTax(category="S", rate_percent=Decimal(0)),
    )
    data = msgspec.structs.replace(event.data, lines=(line,))
    return desk._record("billing.invoices", msgspec.structs.replace(event, data=data), None)


async def test_recurring_revenue_begins_and_ends_with_the_service(desk):
    await desk.hand_in(subscribed(desk, "s1", 10, item("a", 10, 100), end=100))
    await desk.tick(9)
    assert ("mrr", "now") not in await desk.values()
    await desk.tick(10)
    assert (await desk.values())["mrr", "now"] == Decimal("50.00")
    assert (await desk.values("portfolio"))["mrr", "now"] == Decimal("50.00")
    await desk.tick(99)
    assert (await desk.values())["mrr", "now"] == Decimal("50.00")
    await desk.tick(100)
    assert (await desk.values())["mrr", "now"] == 0


async def test_a_changed_subscription_replaces_what_it_counted_for(desk):
    await desk.hand_in(subscribed(desk, "s1", 10, item("a", 10)))
    await desk.tick(20)
    # Known on day 21: since day 10 it was 8 seats; day 20 is closed and keeps what it said.
    await desk.hand_in(subscribed(desk, "s1", 10, item("a", 10, seats=8), watermark=21))
    await desk.tick(21)
    assert (await desk.values())["mrr", "now"] == Decimal("80.00")
    history = await desk.connection.fetch(
        "SELECT as_of, value FROM kpi.value_history WHERE kpi = 'mrr' AND account = 'UA' ORDER BY as_of"
    )
    assert [tuple(row) for row in history] == [(on(10), Decimal(50)), (on(21), Decimal(80))]


async def _kept(desk):
    """Return all that is kept of subscriptions and opportunities, and the facts in the order of their coming."""
    columns = "account, currency, effective_on, booked_on, recurring_minor, won, cycle_days, scheduled, shown"
    queries = (
        "SELECT kind, id, counted::text FROM kpi.standing ORDER BY 1, 2",
        "SELECT * FROM kpi.term ORDER BY 1",
        "SELECT * FROM kpi.metered_item ORDER BY 1",
        f"SELECT {columns} FROM kpi.fact ORDER BY fact_id",
    )
    return [[tuple(row) for row in await desk.connection.fetch(query)] for query in queries]


@pytest.mark.parametrize("size", [2, 3, 6])
async def test_batches_of_any_size_keep_what_records_one_by_one_keep(desk, size):
    """Versions of one subscription follow each other within a batch: each takes back what the one before counted."""
    records = [
        subscribed(desk, "s1", 10, item("a", 10)),
        opportunity(desk, "s1", 1, 21),  # an opportunity of the same name is another subject
        subscribed(desk, "s2", 12, item("m", 12, meter=METER), account="UB"),
        subscribed(desk, "s1", 10, item("a", 10, seats=8), item("b", 11, meter=METER), watermark=21),
        opportunity(desk, "s1", 1, 21, deleted=True),
        subscribed(desk, "s1", 10, item("a", 10, 40, seats=8), end=40, auto_renew=True, term_months=12, watermark=22),
    ]
    for record in records:
        await desk.hand_in(record)
    one_by_one = await _kept(desk)
    assert [row[:2] for row in one_by_one[0]] == [("opportunity", "s1"), ("subscription", "s1"), ("subscription", "s2")]
    await desk.connection.execute("TRUNCATE kpi.standing, kpi.term, kpi.metered_item, kpi.fact")
    for first in range(0, len(records), size):
        await desk.hand_in(*records[first : first + size])
    assert await _kept(desk) == one_by_one


async def test_a_batch_of_many_subscriptions_takes_no_more_statements_than_one_of_two(desk):
    statements = []
    desk.connection.add_query_logger(lambda query: statements.append(query.query))
    numbers = []
    for names in (["x", "y"], [f"s{number}" for number in range(200)]):
        statements.clear()
        await desk.hand_in(*(subscribed(desk, name, 10, item(name, 10, meter=METER)) for name in names))
        numbers.append(len(statements))
    assert numbers[1] <= numbers[0]  # the first asks for a type too


async def test_the_next_renewal_moves_on_when_its_day_comes(desk):
    await desk.hand_in(
        subscribed(desk, "s1", 1, item("a", 1), auto_renew=True, term_months=1),
        subscribed(desk, "s2", 1, item("b", 1, 91), end=91),
    )
    await desk.tick(1)
    epoch_days = {"february": 20_485, "march": 20_513, "april": 20_544}  # 2026-02-01, 03-01, 04-01 by `date -d`
    assert (await desk.values())["next_renewal_on", "now"] == epoch_days["february"]
    told = [event.data for event in desk.published if event.data.kpi == "next_renewal_on"]
    assert [data.on for data in told] == [on(32)]
    await desk.tick(32)
    assert (await desk.values())["next_renewal_on", "now"] == epoch_days["march"]
    await desk.tick(60)
    assert (await desk.values())["next_renewal_on", "now"] == epoch_days["april"]  # both s1 and the end of s2


async def test_the_sales_cycle_averages_the_days_of_what_was_won(desk):
    await desk.hand_in(
        opportunity(desk, "o1", 1, 21),  # 20 days
        opportunity(desk, "o2", 5, 15),  # 10 days
        opportunity(desk, "o3", 1, 20, won=False),
        opportunity(desk, "o4", 1),
    )
    await desk.tick(25)
    values = await desk.values()
    assert (values["won_deals", "30d"], values["sales_cycle", "30d"]) == (2, 15)
    await desk.hand_in(opportunity(desk, "o2", 5, 15, deleted=True), opportunity(desk, "o4", 1, 31))  # 30 days
    await desk.tick(50)
    values = await desk.values()
    assert (values["won_deals", "lifetime"], values["sales_cycle", "lifetime"]) == (2, 25)
    assert (values["won_deals", "30d"], values["sales_cycle", "30d"]) == (2, 25)
    await desk.tick(51)
    assert (await desk.values())["sales_cycle", "30d"] == 30  # day 21 has fallen out


async def test_the_usage_trend_compares_the_newest_month_with_the_one_before(desk):
    await desk.hand_in(subscribed(desk, "s1", 1, item("metered", 1, meter=METER), item("seats", 1)))
    await desk.hand_in(used(desk, "i1", 32, 1, 32, 12_000), used(desk, "i2", 32, 1, 32, 99_000, name="seats"))
    await desk.tick(32)
    assert (await desk.values())["usage_trend", "now"] is None
    # February ends at five in the morning of 1 March, as in New York, and is February all the same.
    await desk.hand_in(used(desk, "i3", 60, 32, 60, 15_000))
    await desk.tick(60)
    assert (await desk.values())["usage_trend", "now"] == 25


async def test_days_to_pay_count_from_the_issue_and_in_time_is_up_to_the_due_date(desk):
    await desk.hand_in(*desk.billed("i1", 1, 10_000, due=15), *desk.billed("i2", 1, 10_000, due=15))
    await desk.hand_in(desk.journal("received", "p1", 15, ("1200", -10_000, "i1")))
    await desk.hand_in(desk.journal("received", "p2", 41, ("1200", -10_000, "i2")))
    await desk.tick(41)
    values = await desk.values()
    # 14 and 40 days after the issue: 27 on average; one of the two in time.
    assert (values["days_to_pay", "90d"], values["on_time_rate", "90d"]) == (27, 50)


@pytest.mark.parametrize("apart", [True, False])
async def test_batches_and_interim_values_leave_no_trace(desk, apart):
    records = [
        subscribed(desk, "s1", 10, item("a", 10, 40), item("metered", 1, meter=METER), end=40, watermark=1),
        opportunity(desk, "o1", 1, 12),
        used(desk, "i1", 32, 1, 32, 12_000),
        subscribed(desk, "s1", 10, item("a", 10, 50, seats=7), item("metered", 1, meter=METER), end=50, watermark=2),
    ]
    for batch in [[record] for record in records] if apart else [records]:
        await desk.hand_in(*batch)
        if apart:
            await desk.flush()
    for day in range(5, 61, 5) if apart else [60]:
        await desk.tick(day)
    rows = {(row["kpi"], row["as_of"]): row["value"] for row in await desk.connection.fetch(
        "SELECT * FROM kpi.value_history WHERE account = 'UA' AND kpi IN ('mrr', 'next_renewal_on', 'won_deals') "
        'AND "window" IN (\'now\', \'lifetime\')'
    )}  # fmt: skip
    assert rows["mrr", on(10)] == 70
    assert rows["mrr", on(50)] == 0
    assert rows["won_deals", on(12)] == 1
    assert {kpi for kpi, day in rows if day > on(50)} == set()
    assert all(event.data.as_of <= on(60) for event in desk.published)
    assert timedelta(0) <= on(60) - max(event.data.as_of for event in desk.published)
