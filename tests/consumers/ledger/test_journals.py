"""Journals by example: expected legs are those of the accounting reference (J1 in short, J3, J4, J5, J6, J14)."""

from datetime import UTC, date, datetime
from decimal import Decimal

from fakturo.schemas.partitioning import partition_for


def legs(event):
    return [(line.account_code, line.party, Decimal(line.amount_minor).scaleb(-2)) for line in event.data.lines]


async def test_a_finalized_invoice_is_owed_by_its_customer_and_splits_into_revenue_and_tax(desk):
    tx = await desk.hand_in(desk.invoice("i1", net=111_457, tax=22_291, issued_on=date(2026, 3, 1)))
    (event,) = desk.published
    assert legs(event) == [
        ("1200", "UA", Decimal("1337.48")),
        ("4000", None, Decimal("-1114.57")),
        ("2100", None, Decimal("-222.91")),
    ]
    assert (event.id, event.data.journal_id) == ("invoice/i1/finalized",) * 2
    assert event.data.effective_on == date(2026, 3, 1)
    assert event.data.recorded_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert event.data.source.type == "invoice"
    assert event.data.lines[0].invoice_id == "i1"
    (row,) = tx.outbox
    assert (row.key, row.partition) == (b"UA", partition_for("UA", 4))


async def test_a_partial_payment_leaves_the_rest_open_and_its_fee_is_an_expense(desk):
    await desk.hand_in(desk.invoice("i1", net=111_457, tax=22_291))
    await desk.hand_in(desk.payment("p1", "500.00", invoice_id="i1", fee="7.80"))
    assert legs(desk.published[1]) == [
        ("1020", None, Decimal("492.20")),
        ("6200", None, Decimal("7.80")),
        ("1200", "UA", Decimal("-500.00")),
    ]
    assert await desk.open_minor() == {"i1": 83_748}


async def test_an_overpayment_becomes_credit_of_the_customer(desk):
    await desk.hand_in(desk.invoice("i1", net=69_790, tax=13_958))
    await desk.hand_in(desk.payment("p1", "900.00", invoice_number="INV-i1"))
    assert legs(desk.published[1]) == [
        ("1020", None, Decimal("900.00")),
        ("1200", "UA", Decimal("-837.48")),
        ("2300", "UA", Decimal("-62.52")),
    ]
    assert (await desk.balances())["2300", "UA"] == -6_252


async def test_credit_that_an_invoice_applies_leaves_the_rest_to_be_paid(desk):
    await desk.hand_in(desk.invoice("i1", net=10_000, tax=2_000, credits_applied=5_000))
    assert legs(desk.published[0]) == [
        ("1200", "UA", Decimal("70.00")),
        ("2300", "UA", Decimal("50.00")),
        ("4000", None, Decimal("-100.00")),
        ("2100", None, Decimal("-20.00")),
    ]
    assert await desk.open_minor() == {"i1": 7_000}


async def test_a_refund_takes_credit_first_and_then_reopens_the_invoice(desk):
    await desk.hand_in(desk.invoice("i1", net=10_000, tax=2_000))
    await desk.hand_in(desk.payment("p1", "132.52", invoice_id="i1"))
    await desk.hand_in(desk.payment("p1", "32.52", kind="refunded", received_at=datetime(2026, 4, 1, tzinfo=UTC)))
    assert legs(desk.published[2]) == [
        ("2300", "UA", Decimal("12.52")),
        ("1200", "UA", Decimal("20.00")),
        ("1020", None, Decimal("-32.52")),
    ]
    assert desk.published[2].data.effective_on == date(2026, 4, 1)
    assert await desk.open_minor() == {"i1": 2_000}
    assert await desk.balances() == {
        ("1020", None): 10_000,
        ("1200", "UA"): 2_000,
        ("2100", None): -2_000,
        ("4000", None): -10_000,
    }


async def test_a_charge_back_reopens_the_invoice_and_books_its_fee(desk):
    await desk.hand_in(desk.invoice("i1", net=10_000, tax=0))
    await desk.hand_in(desk.payment("p1", "100.00", invoice_id="i1"))
    await desk.hand_in(desk.payment("p1", "100.00", kind="charged_back", fee="15"))
    assert legs(desk.published[2]) == [
        ("1200", "UA", Decimal("100.00")),
        ("6200", None, Decimal("15.00")),
        ("1020", None, Decimal("-115.00")),
    ]
    assert await desk.open_minor() == {"i1": 10_000}


async def test_a_failed_payment_is_recorded_without_a_journal(desk):
    await desk.hand_in(desk.invoice("i1"))
    tx = await desk.hand_in(desk.payment("p1", "120.00", kind="failed", invoice_id="i1"))
    assert tx.outcomes["billing.payments", "applied"] == 1
    assert len(desk.published) == 1
    assert await desk.count("ledger.payment") == 1
    assert await desk.open_minor() == {"i1": 12_000}


async def test_an_invoice_over_nothing_is_kept_without_a_journal(desk):
    await desk.hand_in(desk.invoice("i1", net=0, tax=0))
    assert desk.published == []
    assert await desk.open_minor() == {"i1": 0}


async def test_a_payment_without_a_name_settles_the_oldest_due_invoices_first(desk):
    await desk.hand_in(
        desk.invoice("late", net=5_000, tax=0, due_on=date(2026, 5, 1)),
        desk.invoice("early", net=5_000, tax=0, due_on=date(2026, 4, 1)),
        desk.invoice("other", account="DL", net=5_000, tax=0, due_on=date(2026, 3, 1)),
    )
    await desk.hand_in(desk.payment("p1", "70.00"))
    assert await desk.open_minor() == {"early": 0, "late": 3_000, "other": 5_000}


async def test_a_customer_may_pay_for_another_one_and_the_rest_is_the_payers(desk):
    await desk.hand_in(desk.invoice("i1", account="AS", net=5_000, tax=0))
    await desk.hand_in(desk.payment("p1", "60.00", account="UA", invoice_id="i1"))
    assert await desk.balances() == {("1020", None): 6_000, ("2300", "UA"): -1_000, ("4000", None): -5_000}


async def test_a_yen_payment_has_no_decimals_and_a_dinar_payment_three(desk):
    await desk.hand_in(
        desk.invoice("y", account="NH", net=500, tax=50, currency="JPY"),
        desk.invoice("k", account="KU", net=1_000, tax=0, currency="KWD"),
    )
    await desk.hand_in(
        desk.payment("p1", "550", account="NH", currency="JPY", invoice_id="y"),
        desk.payment("p2", "0.999", account="KU", currency="KWD", invoice_id="k"),
    )
    assert await desk.open_minor() == {"y": 0, "k": 1}
