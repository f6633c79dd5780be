"""Journals with figures worked out by hand: an invoice with VAT, an overpayment with a fee, money that goes back.

Source    the customary postings of Stripe, Kill Bill and Lago for these cases; debit is positive.
"""

from datetime import date
from decimal import Decimal

from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice
from fakturo.engine.periods import month_period
from fakturo.engine.postings import Settlement, post_invoice, post_payment, post_return
from fakturo.schemas.events.invoices import Invoice, LineTax, Party
from fakturo.schemas.events.ledger import JournalLine

JANUARY = month_period(date(2026, 1, 1), "UTC")


def invoice(net_minor: int, rate: str = "20") -> Invoice:
    head = InvoiceHead(
        account="UA",
        customer=Party(name="UA"),
        seller=Party(name="S"),
        currency="EUR",
        period=JANUARY,
        zone="UTC",
        terms_days=30,
    )
    line = BilledItem(
        subscription_item="i",
        product_code="P",
        description="P",
        explanation="",
        quantity=Decimal(1),
        amount_exact=Decimal(net_minor).scaleb(-2),
        amount_minor=net_minor,
        period=JANUARY,
        tax=LineTax(category="standard", rate_percent=Decimal(rate)),
        price_hash="h",
    )
    return build_invoice(head, [line])


def legs(lines: tuple[JournalLine, ...]) -> list[tuple[str, str | None, int]]:
    return [(line.account_code, line.party, line.amount_minor) for line in lines]


def test_an_invoice_debits_the_customer_and_credits_revenue_and_tax() -> None:
    # Net 1,114.57, VAT 20 % 222.91, gross 1,337.48.
    assert legs(post_invoice(invoice(111_457))) == [
        ("1200", "UA", 133_748),
        ("4000", None, -111_457),
        ("2100", None, -22_291),
    ]


def test_a_payment_settles_invoices_and_the_rest_is_credit() -> None:
    # Open 837.48, received 900.00 with a fee of 7.80.
    settled = [Settlement(party="UA", invoice_id="inv_1", amount_minor=83_748)]
    lines = post_payment(account="UA", currency="EUR", fee_minor=780, settlements=settled, credit_minor=6_252)
    assert legs(lines) == [
        ("1020", None, 89_220),
        ("6200", None, 780),
        ("1200", "UA", -83_748),
        ("2300", "UA", -6_252),
    ]


def test_a_return_takes_back_settlements_and_credit() -> None:
    taken = [Settlement(party="UA", invoice_id="inv_1", amount_minor=5_000)]
    lines = post_return(account="UA", currency="EUR", fee_minor=1_500, settlements=taken, credit_minor=1_252)
    assert legs(lines) == [("2300", "UA", 1_252), ("1200", "UA", 5_000), ("6200", None, 1_500), ("1020", None, -7_752)]
