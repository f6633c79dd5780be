"""Where two things meet: voids and corrections, credit notes and late changes, caps and reversals; worked out by hand.

A seat is 31.00 a month (March: 1.00 a day), a call 0.10, VAT 20 %.
"""

from collections.abc import Callable
from typing import Any

import pytest

from fakturo.schemas.events import requests
from tests.journey.checks import check
from tests.journey.conftest import CATALOG, licensed, metered
from tests.journey.journey import Journey

Begin = Callable[..., Journey]


async def test_a_late_change_of_an_invoice_that_was_credited_in_part_changes_the_rest(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    journey.ask(
        "credit_note", "A", invoice_id=invoice.invoice_id, reason="goodwill",
        lines=(requests.CreditedLine(line_id=invoice.lines[0].line_id, amount="2.00"),),
    )  # fmt: skip
    await journey.until("2026-04-10")
    journey.change("OrderItem", "seat", Quantity="2", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-05-02")
    # Billed 31.00, credited 2.00 as goodwill, and 15 days of a second seat: 15.00 more. April: 62.00.
    assert [one.subtotal_minor for one in journey.documents] == [3100, -200, 1500 + 6200]
    await check(journey)


async def test_an_invoice_that_was_credited_whole_is_not_billed_again_by_a_later_change(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    journey.ask("credit_note", "A", invoice_id=invoice.invoice_id, reason="goodwill")
    await journey.until("2026-04-10")
    journey.change("OrderItem", "seat", Quantity="2", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-05-02")
    assert [one.subtotal_minor for one in journey.documents] == [3100, -3100, 1500 + 6200]
    assert [one.tax_minor for one in journey.documents] == [620, -620, 1540]
    await check(journey)


async def test_a_void_of_an_invoice_with_a_correction_of_an_earlier_one_is_issued_again_with_both(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-10")
    journey.change("OrderItem", "seat", Quantity="2", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-05-03")
    # March 31.00, and 15.00 more for the second seat with April's 62.00.
    assert [one.subtotal_minor for one in journey.documents] == [3100, 7700]
    journey.ask("void", "A", invoice_id=journey.documents[1].invoice_id, reason="wrong address", reissue=True)
    await journey.until("2026-05-05")
    assert [one.subtotal_minor for one in journey.documents] == [3100, 7700, 7700]
    assert journey.billed("seat") == {"2026-03": 4600, "2026-04": 6200}
    await check(journey)


async def test_a_void_without_reissue_is_not_billed_again_by_a_later_change_of_another_month(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id, reason="a gift")
    await journey.until("2026-04-10")
    journey.change("OrderItem", "seat", Quantity="2")
    await journey.until("2026-05-02")
    # April: 9 days of one seat, 21 of two: 31.00 x 9 / 30 = 9.30 and 62.00 x 21 / 30 = 43.40.
    assert [one.subtotal_minor for one in journey.documents] == [3100, 5270]
    await check(journey)


async def test_what_was_billed_in_advance_and_voided_for_good_is_not_credited_when_the_order_is_cancelled(
    begin: Begin,
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("quarter", "O", "QUARTER")
    await journey.until("2026-01-19")
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id, reason="a gift")
    await journey.until("2026-02-10")
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-02-10")
    await journey.until("2026-05-02", 10)
    # Nothing of the quarter was owed, so nothing is given back of it.
    assert journey.issued() == [("2026-01-01", [("quarter", "charge", 9000)])]
    assert await journey.balance("1200") == 0
    assert await journey.balance("2300") == 0
    await check(journey)


@pytest.mark.parametrize(
    ("credited", "given_back"),
    [
        ("90.00", []),  # all of it was credited: nothing is left to give back
        ("60.00", [-3000]),  # 30.00 is left of the 50.00 that the days from 10 February cost
        ("10.00", [-5000]),
    ],
)
async def test_what_was_credited_by_request_is_not_given_back_again_when_the_order_is_cancelled(
    begin: Begin, credited: str, given_back: list[int]
) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("quarter", "O", "QUARTER")
    await journey.until("2026-01-19")
    (invoice,) = journey.documents
    journey.ask(
        "credit_note", "A", invoice_id=invoice.invoice_id, reason="goodwill",
        lines=(requests.CreditedLine(line_id=invoice.lines[0].line_id, amount=credited),),
    )  # fmt: skip
    await journey.until("2026-02-10")
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-02-10")
    await journey.until("2026-05-02", 10)
    # The quarter has 90 days at 1.00; 40 of them are used.
    credited_minor = int(credited.replace(".", ""))
    assert [one.subtotal_minor for one in journey.documents] == [9000, -credited_minor, *given_back]
    await check(journey)


async def test_a_void_of_a_paid_invoice_leaves_the_money_with_the_customer(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    journey.pay("A", "10.00", journey.documents[0])
    await journey.until("2026-04-05")
    journey.ask("void", "A", invoice_id=journey.documents[0].invoice_id, reason="wrong", reissue=True)
    await journey.until("2026-04-10")
    assert [one.subtotal_minor for one in journey.documents] == [3100, 3100]
    # 37.20 again; 10.00 came in, whether they stand as credit or were set against the new invoice.
    assert await journey.balance("1200") + await journey.balance("2300") == 2720
    await check(journey)


async def test_a_void_gives_back_credit_coupon_and_points_and_the_new_invoice_uses_them_again(begin: Begin) -> None:
    coupons = {"ONCE": {"description": "Once", "amount": "5", "duration": "once", "budget": "5"}}
    journey = begin({"coupons": coupons})
    journey.account("A")
    journey.order("O", "A", "2026-02-01", Fakturo_Coupons__c="ONCE", Fakturo_Loyalty__c="MILES")
    journey.item("seat", "O", "SEAT")
    journey.ask("credit", "A", currency="EUR", amount="20.00")
    journey.ask("credit", "A", currency="EUR", amount="6.00", kind="promotional")
    await journey.until("2026-03-03")
    # 31.00 - 5.00 - 6.00 = 20.00; tax 4.00; credit pays 20.00 of 24.00.
    first = journey.documents[0]
    assert (first.subtotal_minor, first.total_minor, first.amount_due_minor) == (2000, 2400, 400)
    journey.ask("void", "A", invoice_id=first.invoice_id, reason="wrong address", reissue=True)
    await journey.until("2026-03-05")
    again = journey.documents[1]
    assert (again.subtotal_minor, again.total_minor, again.amount_due_minor) == (2000, 2400, 400)
    assert await journey.balance("2320") == 0
    assert await journey.balance("1200") == 400
    await check(journey)


async def test_a_cap_gives_back_what_it_took_when_usage_is_taken_back(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", Fakturo_Spend_Cap__c="50")
    journey.item("seat", "O", "SEAT")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-03-10", 0)
    journey.use("A", "2026-03-10", 300)
    await journey.until("2026-04-10")
    # 31.00 + 30.00 capped at 50.00.
    assert [one.subtotal_minor for one in journey.documents] == [5000]
    journey.change("OrderItem", "seat", UnitPrice="10", ListPrice="31", Fakturo_Effective_On__c="2026-03-01")
    await journey.until("2026-05-02")
    # March should have been 10.00 + 30.00 = 40.00; April: 10.00.
    assert [one.subtotal_minor for one in journey.documents] == [5000, 4000 - 5000 + 1000]
    await check(journey)


async def test_prices_that_include_tax_are_corrected_to_what_one_bill_would_have_been(begin: Begin) -> None:
    journey = begin({"tax": {"category": "standard", "rate_percent": "20", "prices_include_tax": True}})
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-10")
    journey.change("OrderItem", "seat", UnitPrice="62", ListPrice="31", Fakturo_Effective_On__c="2026-03-11")
    await journey.until("2026-05-02")
    # Gross: March 31.00, then 10.00 + 42.00; April 62.00. 31.00 holds 5.17 of tax.
    assert [one.total_minor for one in journey.documents] == [3100, 2100 + 6200]
    assert journey.documents[0].tax_minor == 517
    # 52.00 hold 8.67 of tax, so 3.50 more; 62.00 hold 10.33.
    assert journey.documents[1].tax_minor == 350 + 1033
    await check(journey)


async def test_an_upgrade_and_back_on_one_day_costs_what_the_product_costs(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV")
    await journey.until("2026-03-16")
    journey.change("OrderItem", "seat", Product2Id=journey.product("BIG-ADV"))
    await journey.settle()
    journey.change("OrderItem", "seat", Product2Id=journey.product("SEAT-ADV"))
    await journey.until("2026-04-02")
    assert sum(one.subtotal_minor for one in journey.documents) == 3100 + 3100
    await check(journey)


async def test_a_cancellation_that_is_withdrawn_bills_on(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT-ADV")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-03-11")
    journey.change("Order", "O", Fakturo_Cancel_On__c="2026-03-11")
    await journey.until("2026-03-14")
    journey.change("Order", "O", Fakturo_Cancel_On__c=None)
    journey.use("A", "2026-03-13", 100)
    await journey.until("2026-05-02")
    assert journey.billed("seat")["2026-04"] == 3100
    assert sum(journey.billed("seat").values()) == 9300
    assert sum(journey.billed("calls").values()) == 1000
    await check(journey)


async def test_a_price_of_the_list_that_changes_within_a_threshold_billed_month_is_billed_by_its_days(
    begin: Begin,
) -> None:
    prices = [
        {"effective_from": "2020-01-01", "model": "per_unit", "unit_amount": "0.10"},
        {"effective_from": "2026-03-16", "model": "per_unit", "unit_amount": "0.20"},
    ]
    journey = begin({"products": {**CATALOG["products"], "CALLS": {**metered("calls", "1"), "prices": prices}}})
    journey.account("A")
    journey.order("O", "A", "2026-03-01", Fakturo_Billing_Threshold__c="30")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-03-05")
    journey.use("A", "2026-03-05", 400)
    await journey.until("2026-03-20")
    journey.use("A", "2026-03-20", 400)
    await journey.until("2026-03-25")
    journey.use("A", "2026-03-25", 1)
    await journey.until("2026-04-02")
    # 400 x 0.10 at once, 400 x 0.20 at once, 1 x 0.20 at the end.
    assert [one.subtotal_minor for one in journey.documents] == [4000, 8000, 20]
    await check(journey)


async def test_an_allowance_starts_anew_with_other_terms_also_when_these_are_learned_late(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-01-01")
    journey.item("calls", "O", "ALLOWANCE")
    for month in (1, 2, 3):
        await journey.until(f"2026-{month:02d}-10", 0)
        journey.use("A", f"2026-{month:02d}-10", 5000)
    await journey.until("2026-04-03", 0)
    # 15,000 - 12,000 free = 3,000 x 0.10 in March.
    assert [one.subtotal_minor for one in journey.documents] == [0, 0, 30000]
    journey.change("OrderItem", "calls", Fakturo_Discount_Percent__c="50", Fakturo_Effective_On__c="2026-03-01")
    await journey.until("2026-05-02", 0)
    # Other terms begin a new stretch, whose free units start anew (ADR 0017): March's 5,000 calls are all free now.
    assert journey.billed("calls") == {"2026-01": 0, "2026-02": 0, "2026-03": 0, "2026-04": 0}
    await check(journey)


async def test_a_write_off_and_a_void_afterwards_do_not_both_happen(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", EndDate="2026-03-31")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    journey.ask("credit_note", "A", invoice_id=invoice.invoice_id, reason="a",
                lines=(requests.CreditedLine(line_id=invoice.lines[0].line_id, amount="10.00"),))  # fmt: skip
    journey.ask("void", "A", invoice_id=invoice.invoice_id, reason="b")
    await journey.until("2026-04-05")
    assert [one.reason.value for one in journey.pipeline.rejections] == ["refused_by_book"]
    journey.ask("write_off", "A", invoice_id=invoice.invoice_id, reason="c")
    await journey.until("2026-04-07")
    assert await journey.status(invoice) == "uncollectible"
    assert await journey.balance("6100") == 2520  # 37.20 - 12.00
    await check(journey, rejected=1)


async def test_a_charge_back_reopens_an_invoice_and_a_second_payment_pays_it_again(begin: Begin) -> None:
    journey = begin()
    journey.account("A")
    journey.order("O", "A", "2026-03-01", EndDate="2026-03-31")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-03")
    (invoice,) = journey.documents
    payment_id = journey.pay("A", "37.20", invoice)
    await journey.until("2026-04-05")
    assert await journey.status(invoice) == "paid"
    journey.pay("A", "37.20", kind="charged_back", payment_id=payment_id)
    await journey.until("2026-04-07")
    assert await journey.status(invoice) == "open"
    journey.pay("A", "37.20", invoice)
    await journey.until("2026-04-09")
    assert await journey.status(invoice) == "paid"
    assert len(journey.pipeline.told("fakturo.invoice.paid.v1")) == 2
    await check(journey)


async def test_usage_that_came_before_its_contract_is_billed_like_any_other(begin: Begin) -> None:
    journey = begin()
    journey.use("A", "2026-03-05", 100)
    journey.account("A")
    journey.order("O", "A", "2026-03-01")
    journey.item("calls", "O", "CALLS")
    await journey.until("2026-04-02", 0)
    assert [one.subtotal_minor for one in journey.documents] == [1000]
    await check(journey)


async def test_an_account_that_moves_to_another_country_is_taxed_there_from_its_next_period(begin: Begin) -> None:
    tax: dict[str, Any] = {"by_country": True, "category": "standard"}
    journey = begin({"tax": tax, "products": {"SEAT": licensed("31"), "BIG": licensed("62")}, "meters": {},
                     "coupons": {}})  # fmt: skip
    journey.account("A", country="DK")
    journey.order("O", "A", "2026-03-01")
    journey.item("seat", "O", "SEAT")
    await journey.until("2026-04-10")
    journey.change("Account", "A", BillingCountryCode="US")
    journey.change("OrderItem", "seat", Quantity="2", Fakturo_Effective_On__c="2026-03-17")
    await journey.until("2026-05-02")
    # March in Denmark at 25 %: 31.00 + 7.75. April is an export; March's 15.00 more keep Denmark's rate: 3.75.
    assert [(one.subtotal_minor, one.tax_minor) for one in journey.documents] == [(3100, 775), (6200 + 1500, 375)]
    await check(journey)
