"""What the ledger refuses, ignores and parks; the good events around a bad one are booked."""

import asyncio

import asyncpg
import pytest

from fakturo.schemas.dead_letters import DeadLetterReason as Reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"amount": "10.001"}, Reason.INVALID_AMOUNT),
        ({"amount": "-10.00"}, Reason.INVALID_AMOUNT),
        ({"amount": "0.00"}, Reason.INVALID_AMOUNT),
        ({"amount": "99999999999999999999"}, Reason.INVALID_AMOUNT),
        ({"fee": "0.001"}, Reason.INVALID_AMOUNT),
        ({"fee": "-1"}, Reason.INVALID_AMOUNT),
        ({"currency": "EURO"}, Reason.UNKNOWN_CURRENCY),
        ({"currency": "XYZ"}, Reason.UNKNOWN_CURRENCY),
        ({"currency": "USD"}, Reason.INVALID_AMOUNT),
        ({"received_at": "2026-03-10T09:00:00"}, Reason.INVALID_TIME),
        ({"kind": "forgotten"}, Reason.UNKNOWN_TYPE),
        ({"payment_id": 7}, Reason.UNKNOWN_SHAPE),
    ],
)
async def test_a_bad_payment_is_rejected_with_its_reason_and_its_neighbours_are_booked(desk, changed, reason):
    await desk.hand_in(desk.invoice("i1"))
    given = {"amount": "10.00", "payment_id": "bad", "invoice_id": "i1"} | changed
    tx = await desk.hand_in(
        desk.payment("p1", "50.00", invoice_id="i1", event_id="e1"),
        desk.payment(
            given.pop("payment_id"),
            given.pop("amount"),
            event_id="e2",
            **({"received_at": "2026-03-10T09:00:00Z"} | given),
        ),
        desk.payment("p2", "30.00", invoice_id="i1", event_id="e3"),
    )
    assert [rejection.reason for rejection in tx.rejections] == [reason]
    assert await desk.open_minor() == {"i1": 4_000}
    assert await desk.count("ledger.payment") == 2
    assert await desk.count("ledger.event") == 3


async def test_a_float_amount_and_bytes_that_are_no_json_are_rejected(desk):
    good = desk.payment("p1", "50.00", invoice_id="i1")
    float_amount = desk.record("billing.payments", good.value.replace(b'"50.00"', b"50.00"))
    tx = await desk.hand_in(float_amount, desk.record("billing.payments", b"{"), desk.record("billing.payments", None))
    assert [rejection.reason for rejection in tx.rejections] == [
        Reason.FLOAT_AMOUNT,
        Reason.MALFORMED_JSON,
        Reason.UNKNOWN_SHAPE,
    ]


@pytest.mark.parametrize("wrong", [{"total": 11_999}, {"due": 1}, {"currency": "ABC"}, {"net": -5_000, "tax": 0}])
async def test_an_invoice_whose_sums_are_wrong_is_rejected(desk, wrong):
    tx = await desk.hand_in(desk.invoice("i1", **wrong), desk.invoice("i2"))
    assert len(tx.rejections) == 1
    assert await desk.open_minor() == {"i2": 12_000}


async def test_repeats_are_ignored_in_the_same_batch_in_a_later_one_and_under_another_event_id(desk):
    invoice, payment = desk.invoice("i1"), desk.payment("p1", "50.00", invoice_id="i1")
    tx = await desk.hand_in(invoice, invoice, payment, payment)
    assert tx.outcomes["billing.invoices", "duplicate"] == 1
    assert tx.outcomes["billing.payments", "duplicate"] == 1
    again = await desk.hand_in(payment, invoice, desk.payment("p1", "50.00", invoice_id="i1", event_id="other"))
    assert again.outcomes["billing.payments", "duplicate"] == 2
    assert again.outcomes["billing.invoices", "duplicate"] == 1
    assert again.outbox == []
    assert await desk.open_minor() == {"i1": 7_000}


async def test_the_same_payment_with_another_payload_is_a_conflict(desk):
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "50.00", invoice_id="i1"))
    tx = await desk.hand_in(
        desk.payment("p1", "51.00", invoice_id="i1"),
        desk.payment("p1", "52.00", invoice_id="i1", event_id="other"),
        desk.payment("p2", "10.00", invoice_id="i1"),
    )
    assert [rejection.reason for rejection in tx.rejections] == [Reason.IDENTITY_CONFLICT] * 2
    assert await desk.open_minor() == {"i1": 6_000}


async def test_the_same_invoice_with_another_payload_is_a_conflict_and_claims_nothing(desk):
    await desk.hand_in(desk.invoice("i1"))
    tx = await desk.hand_in(desk.invoice("i1", net=1), desk.invoice("i1", net=2, event_id="other"))
    assert [rejection.reason for rejection in tx.rejections] == [Reason.IDENTITY_CONFLICT] * 2
    assert await desk.count("ledger.event") == 1


async def test_a_payment_of_an_unknown_invoice_waits_and_is_booked_when_the_invoice_comes(desk):
    await desk.hand_in(desk.invoice("i0"))
    tx = await desk.hand_in(
        desk.payment("p1", "50.00", invoice_id="i1"),
        desk.payment("p2", "40.00", invoice_number="INV-i1"),
        desk.payment("p3", "20.00", account="DL"),
    )
    assert tx.outcomes["billing.payments", "parked"] == 3
    assert await desk.parked() == ["invoice/i1", "invoice/INV-i1", "account/DL"]
    assert await desk.count("ledger.payment") == await desk.count("ledger.allocation") == 0
    tx = await desk.hand_in(desk.invoice("i1"), desk.invoice("i2", account="DL"))
    assert tx.outcomes["billing.payments", "released"] == 3
    assert await desk.open_minor() == {"i0": 12_000, "i1": 3_000, "i2": 10_000}
    assert await desk.parked() == []


async def test_a_payment_may_stand_before_its_invoice_and_a_refund_before_its_payment_in_one_batch(desk):
    tx = await desk.hand_in(
        desk.payment("p1", "20.00", kind="refunded"),
        desk.payment("p1", "120.00", invoice_id="i1"),
        desk.invoice("i1"),
    )
    assert tx.rejections == []
    assert await desk.parked() == []
    assert await desk.open_minor() == {"i1": 2_000}


async def test_a_refund_waits_for_its_payment(desk):
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "20.00", kind="refunded"))
    assert await desk.parked() == ["payment/p1"]
    await desk.hand_in(desk.payment("p1", "120.00", invoice_id="i1"))
    assert await desk.open_minor() == {"i1": 2_000}


async def test_more_than_was_paid_cannot_be_given_back(desk):
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "100.00", invoice_id="i1"))
    await desk.hand_in(desk.payment("p1", "60.00", kind="refunded"))
    before = await desk.balances()
    tx = await desk.hand_in(desk.payment("p1", "41.00", kind="charged_back"))
    assert [rejection.reason for rejection in tx.rejections] == [Reason.INVALID_AMOUNT]
    assert await desk.balances() == before
    await desk.hand_in(desk.payment("p1", "40.00", kind="charged_back"))
    assert (await desk.balances()).get(("1020", None)) is None


@pytest.mark.parametrize("first", ["invoice", "payment"])
async def test_an_invoice_and_its_payment_that_race_in_two_workers_always_meet(desk, database_url, first):
    """Both transactions are open at once; whichever comes second finds what the first one did."""
    await desk.hand_in(desk.invoice("i0"))
    other = await asyncpg.connect(database_url)
    try:
        invoice, payment = desk.invoice("i1"), desk.payment("p1", "50.00", invoice_id="i1")
        slow, quick = (invoice, payment) if first == "invoice" else (payment, invoice)
        transaction = desk.connection.transaction()
        await transaction.start()
        await desk.hand_in(slow)
        racing = asyncio.create_task(desk.hand_in(quick, connection=other))
        await asyncio.sleep(0.2)
        assert not racing.done()
        await transaction.commit()
        await asyncio.wait_for(racing, 10)
    finally:
        await other.close()
    assert await desk.parked() == []
    assert await desk.open_minor() == {"i0": 12_000, "i1": 7_000}


async def test_two_workers_that_pay_the_same_invoices_in_opposite_order_do_not_deadlock(desk, database_url):
    await desk.hand_in(*(desk.invoice(f"i{number}", account=f"A{number % 5}") for number in range(40)))
    other = await asyncpg.connect(database_url)
    try:
        for round_number in range(10):
            up = [
                desk.payment(f"u{round_number}/{n}", "1.00", account=f"A{n % 5}", invoice_id=f"i{n}") for n in range(40)
            ]
            down = [desk.payment(f"d{round_number}/{n}", "1.00", account=f"A{n % 5}") for n in reversed(range(40))]
            await asyncio.wait_for(asyncio.gather(desk.hand_in(*up), desk.hand_in(*down, connection=other)), 20)
    finally:
        await other.close()
    assert sum((await desk.open_minor()).values()) == 40 * 12_000 - 2 * 10 * 40 * 100
