"""Credit notes, voids, write-offs and what comes back of them: journals by hand, over an invoice of 100.00 + 20.00."""

import asyncpg
import pytest

KINDS = "SELECT kind FROM ledger.journal ORDER BY journal_id"


async def test_a_credit_note_on_an_unpaid_invoice_lowers_what_is_owed(desk) -> None:
    """J7: net 10.00 and VAT 2.00 off 120.00 leave 108.00 open."""
    await desk.hand_in(desk.invoice("i1"), desk.credit_note("c1", "i1", 1_000, 200))
    assert await desk.balances() == {
        ("1200", "UA"): 10_800, ("2100", None): -1_800, ("4000", None): -10_000, ("4095", None): 1_000,
    }  # fmt: skip
    assert await desk.open_minor() == {"i1": 10_800}


async def test_a_credit_note_on_a_paid_invoice_is_the_customers_credit_and_can_be_refunded(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "120.00", invoice_id="i1"))
    await desk.hand_in(desk.credit_note("c1", "i1", 1_000, 200))
    assert (await desk.balances())["2300", "UA"] == -1_200
    await desk.hand_in(desk.payment("p1", "12.00", kind="refunded"))
    assert await desk.balances() == {
        ("1020", None): 10_800, ("2100", None): -1_800, ("4000", None): -10_000, ("4095", None): 1_000,
    }  # fmt: skip
    assert await desk.open_minor() == {"i1": 0}


async def test_a_credit_note_on_a_partly_paid_invoice_settles_what_is_open_and_the_rest_is_credit(desk) -> None:
    """100.00 of 120.00 paid, 60.00 credited: 20.00 settles, 40.00 is credit."""
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "100.00", invoice_id="i1"))
    await desk.hand_in(desk.credit_note("c1", "i1", 5_000, 1_000))
    assert (await desk.balances())["2300", "UA"] == -4_000
    assert ("1200", "UA") not in await desk.balances()


async def test_a_void_is_the_invoice_negated(desk) -> None:
    await desk.hand_in(desk.invoice("i1"))
    await desk.hand_in(desk.document("i1", "voided"))
    assert await desk.balances() == {}
    (_, void) = desk.published
    assert [(leg.account_code, leg.amount_minor) for leg in void.data.lines] == [
        ("1200", -12_000), ("4000", 10_000), ("2100", 2_000),
    ]  # fmt: skip
    assert (void.data.journal_id, str(void.data.effective_on)) == ("invoice/i1/voided", "2026-03-20")


async def test_what_was_paid_of_a_void_invoice_is_the_customers_credit_and_a_refund_takes_it_from_there(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.payment("p1", "50.00", invoice_id="i1"))
    await desk.hand_in(desk.document("i1", "voided"))
    assert await desk.balances() == {("1020", None): 5_000, ("2300", "UA"): -5_000}
    await desk.hand_in(desk.payment("p1", "50.00", kind="charged_back"))
    assert await desk.balances() == {}
    assert await desk.open_minor() == {"i1": 0}


async def test_a_payment_of_a_void_invoice_is_credit(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.document("i1", "voided"), desk.payment("p1", "50.00", invoice_id="i1"))
    assert await desk.balances() == {("1020", None): 5_000, ("2300", "UA"): -5_000}


async def test_a_write_off_is_bad_debt_with_its_tax_and_a_payment_later_recovers_it(desk) -> None:
    """J9 without relief: 6100 takes 120.00 gross. 50.00 comes after all: 70.00 of bad debt stay."""
    await desk.hand_in(desk.invoice("i1"), desk.document("i1", "uncollectible"))
    assert await desk.balances() == {("2100", None): -2_000, ("4000", None): -10_000, ("6100", None): 12_000}
    await desk.hand_in(desk.payment("p1", "50.00", invoice_id="i1"))
    assert await desk.balances() == {
        ("1020", None): 5_000, ("2100", None): -2_000, ("4000", None): -10_000, ("6100", None): 7_000,
    }  # fmt: skip
    assert [event.data.kind for event in desk.published] == ["finalized", "written_off", "recovered", "received"]
    await desk.hand_in(desk.payment("p2", "80.00", invoice_id="i1"))
    assert (await desk.balances())["2300", "UA"] == -1_000
    assert ("6100", None) not in await desk.balances()


async def test_an_invoice_reopened_by_a_charge_back_can_be_written_off_again(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.document("i1", "uncollectible"))
    await desk.hand_in(desk.payment("p1", "120.00", invoice_id="i1"))
    await desk.hand_in(desk.payment("p1", "120.00", kind="charged_back"))
    assert await desk.open_minor() == {"i1": 12_000}
    await desk.hand_in(desk.document("i1", "uncollectible", event_id="i1:uncollectible:2"))
    assert await desk.open_minor() == {"i1": 0}
    assert (await desk.balances())["6100", None] == 12_000


async def test_a_credit_note_after_a_write_off_takes_the_bad_debt_back(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.document("i1", "uncollectible"))
    await desk.hand_in(desk.credit_note("c1", "i1", 10_000, 2_000))
    assert await desk.balances() == {("4000", None): -10_000, ("4095", None): 10_000}


async def test_the_same_document_again_changes_nothing_and_another_of_its_identity_is_refused(desk) -> None:
    await desk.hand_in(desk.invoice("i1"), desk.credit_note("c1", "i1", 1_000, 200))
    tx = await desk.hand_in(desk.credit_note("c1", "i1", 1_000, 200), desk.credit_note("c1", "i1", 900, 100))
    assert [rejection.reason.value for rejection in tx.rejections] == ["identity_conflict"]
    assert await desk.open_minor() == {"i1": 10_800}


async def test_more_than_an_invoice_was_worth_is_refused_and_the_rest_of_the_batch_is_booked(desk) -> None:
    """Of a credit note that somebody asked for; its id says so."""
    await desk.hand_in(desk.invoice("i1"), desk.invoice("i2"))
    tx = await desk.hand_in(desk.credit_note("crn_1", "i1", 10_001, 2_000), desk.credit_note("crn_2", "i2", 100, 20))
    assert [(rejection.reason.value, rejection.message) for rejection in tx.rejections] == [
        ("refused_by_book", "12001 is more than the 12000 left of i1")
    ]
    assert await desk.open_minor() == {"i1": 12_000, "i2": 11_880}


async def test_corrections_take_back_more_than_their_invoice_where_corrections_of_it_were_charged(desk) -> None:
    """120.00 of 100.00 + 20.00 are open; 150.00 come back: 120.00 settle it, 30.00 are the payer's credit."""
    await desk.hand_in(desk.invoice("i1"))
    tx = await desk.hand_in(desk.credit_note("inv_2", "i1", 12_500, 2_500))
    assert tx.rejections == []
    assert await desk.open_minor() == {"i1": 0}
    credit = "SELECT sum(amount_minor) FROM ledger.balance WHERE account_code = '2300'"
    assert await desk.connection.fetchval(credit) == -3_000


async def test_a_document_of_an_invoice_that_was_never_booked_is_a_dead_letter(desk) -> None:
    tx = await desk.hand_in(desk.document("i9", "voided"))
    assert [rejection.reason.value for rejection in tx.rejections] == ["reference_never_came"]


async def test_postgres_refuses_more_open_and_written_off_than_the_total(desk) -> None:
    await desk.hand_in(desk.invoice("i1"))
    with pytest.raises(asyncpg.CheckViolationError):
        await desk.connection.execute("UPDATE ledger.invoice SET written_off_minor = 1")
