"""What shapes an invoice, and its life, from Salesforce's records, usage and requests to ledger; worked out by hand.

A seat is 31.00 a month, a call 0.10, VAT 20 %.
"""

from collections.abc import Callable
from typing import Any

from fakturo.schemas.events import requests
from tests.journey.checks import check
from tests.journey.conftest import CATALOG, licensed
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def test_a_parent_pays_for_two_children_in_two_zones_on_one_invoice(begin: Begin) -> None:
    journey = begin()
    journey.account("P", zone="Europe/Copenhagen")
    parent = {"ParentId": journey.id_of("Account", "P"), "Fakturo_Consolidated_Billing__c": True}
    journey.account("C1", zone="Europe/Copenhagen", **parent)
    journey.account("C2", zone="America/New_York", **parent)
    for child in ("C1", "C2"):
        journey.order(f"O-{child}", child, "2026-02-01")
        journey.item(f"seat-{child}", f"O-{child}", "SEAT")
    journey.order("O-P", "P", "2026-02-01")
    journey.item("seat-P", "O-P", "SEAT")
    await journey.until("2026-04-03")
    by_day: dict[str, int] = {}
    for one in journey.documents:
        assert one.account == "P"
        by_day[one.issue_date.isoformat()] = by_day.get(one.issue_date.isoformat(), 0) + one.subtotal_minor
    # Each of the three pays 31.00 for February and for March.
    assert by_day == {"2026-03-01": 9300, "2026-04-01": 9300}
    users = sorted((line.account or "P") for one in journey.documents for line in one.lines)
    assert users == ["C1", "C1", "C2", "C2", "P", "P"]
    # What falls due at the same instant is on one document: C1 and the parent are; C2's month ends five hours later.
    assert sorted(len(one.lines) for one in journey.documents) == [1, 1, 2, 2]
    assert await journey.balance("1200") == 2 * 11160
    await check(journey)


async def test_an_account_split_by_cost_centre_gets_an_invoice_for_each(begin: Begin) -> None:
    journey = begin()
    journey.account("A", Fakturo_Split_By_Cost_Centre__c=True)
    journey.order("O", "A", "2026-03-01", Fakturo_Cost_Centre__c="sales")
    journey.item("one", "O", "SEAT")
    journey.item("two", "O", "SEAT", "2", Fakturo_Cost_Centre__c="lab")
    await journey.until("2026-04-10")
    journey.change("OrderItem", "two", Quantity="3", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-05-02")
    # March in the lab: 16 days x 2 + 15 days x 3 = 77.00 in place of 62.00, on the lab's next invoice.
    found = [(one.cost_centre, one.issue_date.isoformat(), one.subtotal_minor) for one in journey.documents]
    assert sorted(found, key=str) == [
        ("lab", "2026-04-01", 6200),
        ("lab", "2026-05-01", 9300 + 1500),
        ("sales", "2026-04-01", 3100),
        ("sales", "2026-05-01", 3100),
    ]
    await check(journey)


async def test_two_sellers_bill_one_customer_in_their_currencies_with_numbers_of_their_own(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O-DK", "A", "2026-03-01", Fakturo_Seller__c="DK")
    journey.item("danish", "O-DK", "SEAT")
    journey.order("O-DE", "A", "2026-03-01", Fakturo_Seller__c="DE")
    journey.item("german", "O-DE", "SEAT")
    await journey.until("2026-05-02")
    found = [(one.seller_code, one.number, one.currency, one.total_minor) for one in journey.documents]
    assert sorted(found, key=str) == [
        ("DE", "DEI-00000001", "EUR", 3720),
        ("DE", "DEI-00000002", "EUR", 3720),
        ("DK", "DKI-00000001", "DKK", 3720),
        ("DK", "DKI-00000002", "DKK", 3720),
    ]
    journey.pay("A", "37.20", journey.documents[0], currency=journey.documents[0].currency)
    await journey.settle()
    assert await journey.status(journey.documents[0]) == "paid"
    await check(journey)


REVERSE_CHARGE: dict[str, Any] = {"tax": {"by_country": True, "category": "standard"}}


async def test_cap_coupon_gift_points_reverse_charge_and_prepaid_credit_shape_one_invoice_in_this_order(
    begin: Begin,
) -> None:
    journey = begin({**REVERSE_CHARGE, "products": {**CATALOG["products"], "BULK": licensed("1000")}})
    # A VAT id of another member state whose check digits are right: reverse charge.
    journey.account("A", country="DE", Fakturo_Vat_Id__c="DE136695976")
    journey.order(
        "O", "A", "2026-01-01",
        Fakturo_Spend_Cap__c="1200", Fakturo_Coupons__c="TEN", Fakturo_Loyalty__c="MILES",
    )  # fmt: skip
    journey.item("bulk", "O", "BULK")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-02-02")
    # January: 1,000.00, of it 10 % off: 900.00 and 900 points.
    assert [one.subtotal_minor for one in journey.documents] == [90000]
    journey.use("A", "2026-02-10", 5000)
    journey.ask("credit", "A", currency="EUR", amount="60.00", kind="promotional")
    journey.ask("credit", "A", currency="EUR", amount="500.00")
    journey.ask("points", "A", points=400)
    await journey.until("2026-03-02")
    # February: 1,000.00 + 500.00; cap 1,200.00: -300.00; coupon 10 %: -120.00; gift: -60.00; 400 points: -20.00.
    invoice = journey.documents[-1]
    assert [(one.kind, one.amount_minor) for one in invoice.discounts] == [
        ("spend_cap", -30000),
        ("coupon", -12000),
        ("promotional_credit", -6000),
        ("loyalty", -2000),
    ]
    assert [(one.category, one.rate_percent, one.taxable_minor, one.tax_minor) for one in invoice.taxes] == [
        ("reverse_charge", 0, 100000, 0)
    ]
    assert (invoice.subtotal_minor, invoice.total_minor) == (100000, 100000)
    assert (invoice.credits_applied_minor, invoice.amount_due_minor) == (50000, 50000)
    assert invoice.loyalty is not None
    assert (invoice.loyalty.points_earned, invoice.loyalty.points_redeemed) == (1000, 400)
    # All credit is used up: nothing is left of 500.00 on 2320.
    assert await journey.balance("2320") == 0
    assert await journey.balance("1200") == 90000 + 50000
    await check(journey)


async def test_what_falls_short_of_a_commitment_is_on_the_invoice_of_its_end(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order(
        "O", "A", "2026-01-01", Fakturo_Commitment_Amount__c="200", Fakturo_Commitment_Months__c="3"
    )  # fmt: skip
    journey.item("seat", "O", "SEAT")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-01-10", 0)
    journey.use("A", "2026-01-10", 300)
    await journey.until("2026-05-02", 1)
    # Committed to 200.00 for January to March: 3 x 31.00 + 30.00 = 123.00 are billed, 77.00 are short.
    assert [one.subtotal_minor for one in journey.documents] == [6100, 3100, 3100 + 7700, 3100]
    assert [line.amount_minor for one in journey.documents for line in one.lines if line.kind == "true_up"] == [7700]
    await check(journey)


async def test_usage_is_billed_at_a_threshold_and_the_rest_at_the_end(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", Fakturo_Billing_Threshold__c="50")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-03-05")
    journey.use("A", "2026-03-05", 400)
    await journey.until("2026-03-10")
    assert journey.documents == []  # 40.00 is below the threshold
    journey.use("A", "2026-03-10", 250)
    await journey.until("2026-03-12")
    assert [one.subtotal_minor for one in journey.documents] == [6500]
    journey.use("A", "2026-03-20", 333)
    await journey.until("2026-04-02")
    assert [one.subtotal_minor for one in journey.documents] == [6500, 3330]
    assert journey.billed("calls") == {"2026-03": 9830}
    await check(journey)


async def test_a_draft_waits_for_approval_and_takes_its_number_then(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", Fakturo_Approval_Required__c=True)
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-05")
    assert journey.documents == []
    drafts = [event.data for event in journey.pipeline.told("fakturo.invoice.drafted.v1")]
    assert [(one.number, one.status, one.total_minor) for one in drafts] == [(None, "draft", 3720)]
    # Before it is approved a second seat is found, from 17 March: 16 x 1.00 + 15 x 2.00 = 46.00.
    journey.change("OrderItem", "seat", Quantity="2", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-04-07")
    journey.ask("approve", "A", invoice_id=drafts[0].invoice_id)
    await journey.until("2026-04-09")
    assert [(one.number, one.subtotal_minor) for one in journey.documents] == [("INV-00000001", 4600)]
    assert journey.documents[0].invoice_id == drafts[0].invoice_id
    await check(journey)


async def test_a_void_invoice_is_issued_again_at_the_price_that_was_meant(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    wrong = journey.documents[0]
    journey.change("OrderItem", "seat", UnitPrice="20", ListPrice="31", Fakturo_Effective_On__c="2026-03-01")
    journey.ask("void", "A", invoice_id=wrong.invoice_id, reason="wrong price", reissue=True)
    await journey.until("2026-05-02")
    assert await journey.status(wrong) == "void"
    again = [one for one in journey.documents if one.reissues]
    assert [(one.reissues, one.subtotal_minor, one.tax_minor) for one in again] == [(wrong.invoice_id, 2000, 400)]
    assert journey.billed("seat") == {"2026-03": 2000, "2026-04": 2000}
    assert await journey.balance("1200") == 4800
    await check(journey)


async def test_a_part_is_credited_the_rest_is_paid_and_the_invoice_is_paid(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    journey.ask(
        "credit_note", "A", invoice_id=invoice.invoice_id, reason="two days without service",
        lines=(requests.CreditedLine(line_id=invoice.lines[0].line_id, amount="2.00"),),
    )  # fmt: skip
    await journey.until("2026-04-05")
    note = journey.documents[-1]
    # 2.00 and 20 % of it: 2.40 of 37.20; 34.80 are left.
    assert (note.number, note.subtotal_minor, note.tax_minor) == ("CN-00000001", -200, -40)
    journey.pay("A", "34.80", invoice)
    await journey.until("2026-04-07")
    assert await journey.status(invoice) == "paid"
    assert [event.data.invoice_id for event in journey.pipeline.told("fakturo.invoice.paid.v1")] == [invoice.invoice_id]
    assert await journey.balance("1200") == 0
    await check(journey)


async def test_what_was_written_off_is_recovered_when_the_customer_pays_after_all(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", EndDate="2026-03-31")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    journey.ask("write_off", "A", invoice_id=invoice.invoice_id, reason="insolvent")
    await journey.until("2026-04-05")
    assert await journey.status(invoice) == "uncollectible"
    assert await journey.balance("6100") == 3720  # gross: no relief of VAT
    journey.pay("A", "37.20", invoice)
    await journey.until("2026-04-07")
    assert await journey.balance("6100") == 0
    assert await journey.balance("1200") == 0
    assert await journey.balance("1020") == 3720
    assert await journey.status(invoice) == "paid"
    await check(journey)
