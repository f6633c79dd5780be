"""Invoices, credit notes and what the ledger says of them, as the org is to show them."""

from datetime import date
from decimal import Decimal

import pytest

from fakturo.schemas.events import invoices
from fakturo.schemas.salesforce.written_fields import INVOICE, INVOICE_LINE
from tests.consumers.crm_sync.conftest import Desk, invoice, line

FEBRUARY, MARCH, APRIL = date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)


async def test_a_finalized_invoice_shows_its_head_and_amounts_in_the_major_unit(desk: Desk) -> None:
    told = invoice(total_minor=14_915_875, subtotal_minor=13_700_000, tax_minor=1_215_875, notes=("Paragraph 19",))
    await desk.hand_in(desk.account(), desk.finalized(told))

    assert await desk.fields(INVOICE, "in-1") == {
        "Name": "INV-in-1",
        "Document_Type__c": "Invoice",
        "Status__c": "Open",
        "Payment_Status__c": "Unpaid",
        "Issue_Date__c": "2026-02-01",
        "Due_Date__c": "2026-03-03",
        "Paid_On__c": None,
        "Period_Start__c": "2026-01-01T00:00:00Z",
        "Period_End__c": "2026-02-01T00:00:00Z",
        "Currency__c": "USD",
        "Subtotal__c": "137000",
        "Tax__c": "12158.75",
        "Total__c": "149158.75",
        "Credits_Applied__c": "0",
        "Amount_Due__c": "149158.75",
        "Open_Amount__c": "149158.75",
        "Payment_Terms__c": "30 days",
        "Reason__c": None,
        "Seller__c": "Metro Airports",
        "Notes__c": "Paragraph 19",
    }


async def test_a_line_shows_what_is_charged_and_stands_under_its_invoice(desk: Desk) -> None:
    await desk.hand_in(desk.account(), desk.finalized(invoice(lines=(line("lin-1", 10_000, unit="movement"),))))

    assert await desk.fields(INVOICE_LINE, "lin-1") == {
        "Name": "Movement charge, January 2026",
        "Line_Number__c": "1",
        "Kind__c": "Charge",
        "Product_Code__c": "MOVEMENT",
        "Description__c": "Movement charge, January 2026",
        "Explanation__c": "1 x 100",
        "Quantity__c": "1.5",
        "Unit__c": "movement",
        "Unit_Amount__c": None,
        "Amount__c": "100",
        "Currency__c": "USD",
        "Tax_Rate__c": "8.875",
        "Tax__c": "0",
        "Period_Start__c": "2026-01-01T00:00:00Z",
        "Period_End__c": "2026-02-01T00:00:00Z",
        "Subscription_Item__c": "8025e000000AbCdAAK",
        "Cost_Centre__c": None,
    }
    assert await desk.connection.fetchval("SELECT parent_key FROM crm_sync.written WHERE key = 'lin-1'") == "in-1"


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    # JPY has no minor unit, BHD (Bahrain) three decimals, CLF (Chile) four: ISO 4217, list one.
    [("JPY", 1234, "1234"), ("BHD", 1235, "1.235"), ("CLF", 12_345, "1.2345"), ("EUR", -5, "-0.05")],
)
async def test_amounts_have_the_digits_of_their_currency(desk: Desk, currency: str, minor: int, shown: str) -> None:
    await desk.hand_in(desk.finalized(invoice(total_minor=minor, currency=currency, lines=())))
    assert (await desk.fields(INVOICE, "in-1"))["Total__c"] == shown


async def test_payments_make_an_invoice_partially_paid_and_then_paid_on_the_day_of_the_last(desk: Desk) -> None:
    await desk.hand_in(desk.finalized(invoice()), desk.journal("finalized", "in-1", FEBRUARY, ("in-1", 10_000)))
    await desk.hand_in(desk.journal("received", "p-1", MARCH, ("in-1", -4_000)))
    half = await desk.fields(INVOICE, "in-1")
    await desk.hand_in(desk.journal("received", "p-2", APRIL, ("in-1", -6_000)))
    whole = await desk.fields(INVOICE, "in-1")

    names = ("Status__c", "Payment_Status__c", "Open_Amount__c", "Paid_On__c")
    assert [half[name] for name in names] == ["Open", "Partially Paid", "60", None]
    assert [whole[name] for name in names] == ["Paid", "Paid", "0", "2026-04-01"]


async def test_a_payment_that_is_charged_back_makes_the_invoice_open_again(desk: Desk) -> None:
    paid = invoice(status="paid")
    await desk.hand_in(
        desk.finalized(invoice()),
        desk.journal("finalized", "in-1", FEBRUARY, ("in-1", 10_000)),
        desk.journal("received", "p-1", MARCH, ("in-1", -10_000)),
        desk.document(invoices.INVOICE_PAID, paid, ":paid"),
        desk.journal("charged_back", "p-1", APRIL, ("in-1", 10_000)),
    )
    told = await desk.fields(INVOICE, "in-1")
    assert (told["Status__c"], told["Payment_Status__c"], told["Open_Amount__c"]) == ("Open", "Unpaid", "100")


async def test_what_is_written_off_is_uncollectible_until_it_is_recovered_and_paid(desk: Desk) -> None:
    await desk.hand_in(
        desk.finalized(invoice()),
        desk.journal("finalized", "in-1", FEBRUARY, ("in-1", 10_000)),
        desk.journal("written_off", "w-1", MARCH, ("in-1", -10_000)),
    )
    lost = await desk.fields(INVOICE, "in-1")
    await desk.hand_in(
        desk.journal("recovered", "p-1", APRIL, ("in-1", 10_000)),
        desk.journal("received", "p-1", APRIL, ("in-1", -10_000)),
    )
    found = await desk.fields(INVOICE, "in-1")
    assert (lost["Status__c"], lost["Payment_Status__c"]) == ("Uncollectible", "Written Off")
    assert (found["Status__c"], found["Paid_On__c"]) == ("Paid", "2026-04-01")


async def test_an_invoice_that_credit_paid_is_paid_on_its_issue_date(desk: Desk) -> None:
    await desk.hand_in(desk.finalized(invoice(credits_applied_minor=10_000, amount_due_minor=0)))
    told = await desk.fields(INVOICE, "in-1")
    assert (told["Status__c"], told["Open_Amount__c"], told["Paid_On__c"]) == ("Paid", "0", "2026-02-01")


async def test_a_void_invoice_is_void_and_nothing_of_it_is_open(desk: Desk) -> None:
    void = invoice(status="void", reason="entered twice")
    await desk.hand_in(desk.finalized(invoice()), desk.document(invoices.INVOICE_VOIDED, void, ":voided"))
    told = await desk.fields(INVOICE, "in-1")
    assert (told["Status__c"], told["Payment_Status__c"], told["Open_Amount__c"]) == ("Void", None, "0")
    assert told["Reason__c"] == "entered twice"


async def test_a_credit_note_points_to_the_invoice_that_it_corrects(desk: Desk) -> None:
    note = invoice("cn-1", -4_000, corrects="in-1", number="CN-1")
    await desk.hand_in(desk.finalized(invoice()), desk.document(invoices.CREDIT_NOTE_ISSUED, note))
    told = await desk.fields(INVOICE, "cn-1")
    assert (told["Document_Type__c"], told["Status__c"], told["Total__c"]) == ("Credit Note", "Issued", "-40")
    assert await desk.connection.fetchval("SELECT parent_key FROM crm_sync.written WHERE key = 'cn-1'") == "in-1"


async def test_a_draft_has_no_number_and_a_line_that_it_loses_is_to_leave_the_org(desk: Desk) -> None:
    lines = (line("lin-1", 6_000), line("lin-2", 4_000))
    draft = invoice(number=None, status="draft", lines=lines)
    await desk.hand_in(desk.document(invoices.INVOICE_DRAFTED, draft, ":1"))
    assert (await desk.fields(INVOICE, "in-1"))["Name"] == "Draft of 2026-02-01"
    await desk.hand_in(desk.finalized(invoice(total_minor=6_000, lines=lines[:1])))

    assert (await desk.fields(INVOICE, "in-1"))["Name"] == "INV-in-1"
    found = await desk.connection.fetch("SELECT key FROM crm_sync.written WHERE fields IS NULL")
    assert [row["key"] for row in found] == ["lin-2"]


async def test_a_draft_that_comes_after_the_invoice_says_nothing(desk: Desk) -> None:
    await desk.hand_in(desk.finalized(invoice()))
    before = await desk.rows()
    draft = invoice(number=None, status="draft", total_minor=1)
    await desk.hand_in(desk.document(invoices.INVOICE_DRAFTED, draft, ":1"))
    assert await desk.rows() == before


async def test_a_text_that_is_too_long_is_cut_so_that_the_org_takes_it(desk: Desk) -> None:
    told = invoice(lines=(line("lin-1", 1, description="x" * 300),))
    await desk.hand_in(desk.finalized(told))
    fields = await desk.fields(INVOICE_LINE, "lin-1")
    assert fields["Description__c"] == "x" * 254 + "…"
    assert fields["Name"] == "x" * 79 + "…"


async def test_a_currency_that_is_none_is_a_dead_letter_and_the_rest_goes_on(desk: Desk) -> None:
    tx = await desk.hand_in(desk.finalized(invoice("in-9", currency="XYZ")), desk.finalized(invoice()))
    assert [(one.record.offset, one.reason.value) for one in tx.rejections] == [(0, "unknown_currency")]
    assert sorted(row[1] for row in await desk.rows()) == ["in-1", "in-1-1"]


async def test_a_quantity_is_rounded_half_away_from_zero_to_what_the_field_holds(desk: Desk) -> None:
    told = invoice(lines=(line("lin-1", 1, quantity=Decimal("0.0000005")), line("lin-2", 1, quantity=Decimal("-2.5"))))
    await desk.hand_in(desk.finalized(told))
    assert (await desk.fields(INVOICE_LINE, "lin-1"))["Quantity__c"] == "0.000001"
    assert (await desk.fields(INVOICE_LINE, "lin-2"))["Quantity__c"] == "-2.5"
