"""Discounts, prepaid credit and points in the books: legs by the accounting reference (J10, J11, J12)."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.engine.postings import CHART
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.credit import (
    CREDIT_EXPIRED,
    CREDIT_GRANTED,
    CREDIT_LOW,
    POINTS_EXPIRED,
    CreditLow,
    CreditMovement,
    PointsExpired,
)
from fakturo.schemas.events.invoices import CreditApplied, InvoiceDiscount, LoyaltyMovement
from tests.consumers.ledger.conftest import Desk, invoice_event

AT = datetime(2026, 3, 1, tzinfo=UTC)


def told(desk: Desk, event_type: str, event_id: str, data: Any) -> Record:
    """Return the record of a movement of credit."""
    event = event_of(agent="invoicing", event_type=event_type, id=event_id, subject="UA", time=AT, data=data)
    return desk.record("billing.invoices", encode(event))


def movement(amount: int, kind: str = "prepaid") -> CreditMovement:
    """Return a movement of grant g."""
    return CreditMovement(
        grant_id="g", account="UA", currency="EUR", kind=kind, amount_minor=amount, balance_minor=amount,
        effective_on=date(2026, 3, 1),
    )  # fmt: skip


def invoice(desk: Desk, invoice_id: str, *, net: int, tax: int, credits_applied: int = 0, **fields: Any) -> Record:
    """Return the record of an invoice with discounts, credits or points."""
    event = invoice_event(
        invoice_id, "UA", f"{invoice_id}:finalized", net=net, tax=tax, credits_applied=credits_applied
    )
    changed = msgspec.structs.replace(event.data, **fields)
    return desk.record("billing.invoices", encode(msgspec.structs.replace(event, data=changed)))


def legs(desk: Desk) -> list[dict[str, int]]:
    """Return the legs of each journal published, by account."""
    return [{line.account_code: line.amount_minor for line in event.data.lines} for event in desk.published]


async def test_a_discount_stands_beside_gross_revenue(desk: Desk) -> None:
    """1,200.00 less a coupon of 120.00: net 1,080.00, VAT 20 % 216.00."""
    coupon = InvoiceDiscount(description="10 %", amount_minor=-12_000, code="TEN")
    await desk.hand_in(invoice(desk, "i1", net=108_000, tax=21_600, discounts=(coupon,)))
    assert legs(desk) == [{"1200": 129_600, "4090": 12_000, "4000": -120_000, "2100": -21_600}]


async def test_a_top_up_its_drawdown_and_what_nobody_used(desk: Desk) -> None:
    """J10a, J11a: 100.00 paid in; 41.48 of it (34.57 and 6.91 VAT) pays an invoice; the other 58.52 expires."""
    await desk.hand_in(told(desk, CREDIT_GRANTED, "g/granted", movement(10_000)))
    await desk.hand_in(
        invoice(
            desk,
            "i1",
            net=3_457,
            tax=691,
            credits_applied=4_148,
            credits=(CreditApplied(grant_id="g", amount_minor=4_148),),
        )
    )
    await desk.hand_in(told(desk, CREDIT_EXPIRED, "g/expired/5852", movement(5_852)))
    assert legs(desk) == [
        {"2300": 10_000, "2320": -10_000},
        {"2320": 4_148, "4000": -3_457, "2100": -691},
        {"2320": 5_852, "4080": -5_852},
    ]
    assert ("2320", "UA") not in await desk.balances()
    assert [event.data.lines[0].party for event in desk.published] == ["UA", "UA", "UA"]


async def test_points_take_their_part_of_a_sale_give_it_back_when_redeemed_and_the_rest_when_they_expire(
    desk: Desk,
) -> None:
    """J12: sale 1,000.00, VAT 200.00, 38.46 deferred; 400 points take 20.00 off 100.00; 600 expire, 19.23."""
    earned = LoyaltyMovement(programme="MILES", points_earned=1_000, deferred_minor=3_846)
    redeemed = LoyaltyMovement(programme="MILES", points_redeemed=400, released_minor=1_923)
    points = InvoiceDiscount(description="400 points", amount_minor=-2_000, kind="loyalty", code="MILES")
    await desk.hand_in(invoice(desk, "i1", net=100_000, tax=20_000, loyalty=earned))
    await desk.hand_in(invoice(desk, "i2", net=8_000, tax=1_600, discounts=(points,), loyalty=redeemed))
    gone = PointsExpired(
        account="UA", currency="EUR", programme="MILES", invoice_id="i1", points=600, released_minor=1_923,
        effective_on=date(2026, 3, 1),
    )  # fmt: skip
    await desk.hand_in(told(desk, POINTS_EXPIRED, "points/i1/expired/600", gone))
    assert legs(desk) == [
        {"1200": 120_000, "4000": -96_154, "2210": -3_846, "2100": -20_000},
        {"1200": 9_600, "4000": -8_000 - 1_923, "2210": 1_923, "2100": -1_600},
        {"2210": 1_923, "4080": -1_923},
    ]
    assert ("2210", None) not in await desk.balances()


async def test_a_promotion_and_a_low_balance_move_no_money_and_a_repeat_is_booked_once(desk: Desk) -> None:
    low = CreditLow(account="UA", currency="EUR", balance_minor=1, threshold_minor=2, effective_on=date(2026, 3, 1))
    grant = told(desk, CREDIT_GRANTED, "g/granted", movement(10_000))
    tx = await desk.hand_in(
        told(desk, CREDIT_GRANTED, "p/granted", movement(5_000, "promotional")),
        told(desk, CREDIT_LOW, "credit/UA/EUR/low/1", low),
        grant,
        grant,
    )
    await desk.hand_in(told(desk, CREDIT_GRANTED, "g/granted", movement(10_000)))
    assert legs(desk) == [{"2300": 10_000, "2320": -10_000}]
    assert tx.rejections == []


async def test_journals_come_out_in_the_order_of_the_topic_whatever_a_batch_holds(desk: Desk) -> None:
    records = [
        told(desk, CREDIT_GRANTED, "a/granted", movement(100)),
        desk.invoice("i1"),
        told(desk, CREDIT_EXPIRED, "a/expired/100", movement(100)),
        desk.invoice("i2"),
    ]
    await desk.hand_in(*records)
    assert [event.data.source.id for event in desk.published] == ["a/granted", "i1", "a/expired/100", "i2"]


async def test_the_chart_of_the_rules_is_the_one_in_the_books(desk: Desk) -> None:
    rows = await desk.connection.fetch("SELECT code, name, by_party FROM ledger.account")
    books = {row["code"]: (row["name"], row["by_party"]) for row in rows}
    assert {code: (account.name, account.by_party) for code, account in CHART.items()}.items() <= books.items()
