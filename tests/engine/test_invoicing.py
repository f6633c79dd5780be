"""The document: sums, tax by category, dates, ids and order."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.invoicing import BilledItem, InvoiceHead, build_invoice, invoice_id_of
from fakturo.engine.periods import month_period
from fakturo.engine.tax import tax_minor, taxes_of
from fakturo.schemas.events.invoices import LineTax, Party

JANUARY = month_period(date(2013, 1, 10), "America/New_York")
STANDARD = LineTax(category="standard", rate_percent=Decimal("8.875"))
REDUCED = LineTax(category="reduced", rate_percent=Decimal("5"))
HEAD = InvoiceHead(
    account="UA",
    customer=Party(name="United Air Lines Inc."),
    seller=Party(name="The airports"),
    currency="USD",
    period=JANUARY,
    zone="America/New_York",
    terms_days=45,
)


def billed(product: str, amount_minor: int, tax: LineTax = STANDARD, number: str = "1") -> BilledItem:
    return BilledItem(
        subscription_item=f"item-{product}-{number}",
        product_code=product,
        description=product,
        explanation="",
        quantity=Decimal(1),
        amount_exact=Decimal(amount_minor) / 100,
        amount_minor=amount_minor,
        period=JANUARY,
        tax=tax,
        price_hash=f"hash-{product}",
    )


def test_sums_tax_and_dates() -> None:
    invoice = build_invoice(HEAD, [billed("SLOT", 10_000), billed("MOVEMENT", 2_345), billed("FOOD", 999, REDUCED)])
    # 8.875 % of 123.45 is 10.9561875, 5 % of 9.99 is 0.4995.
    assert [(tax.category, tax.taxable_minor, tax.tax_minor) for tax in invoice.taxes] == [
        ("reduced", 999, 50),
        ("standard", 12_345, 1_096),
    ]
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (13_344, 1_146, 14_490)
    assert (invoice.amount_due_minor, invoice.credits_applied_minor) == (14_490, 0)
    assert (invoice.issue_date, invoice.due_date) == (date(2013, 2, 1), date(2013, 3, 18))
    assert [line.product_code for line in invoice.lines] == ["FOOD", "MOVEMENT", "SLOT"]
    assert invoice.price_versions == ("hash-FOOD", "hash-MOVEMENT", "hash-SLOT")
    assert (invoice.period.start, invoice.period.end) == (JANUARY.start_at, JANUARY.end_at)


def test_an_invoice_without_lines_is_zero() -> None:
    invoice = build_invoice(HEAD, [])
    assert (invoice.lines, invoice.taxes, invoice.total_minor) == ((), (), 0)


def test_a_document_names_the_invoice_that_it_corrects_though_nothing_was_used_since() -> None:
    back = replace(billed("CALLS", -400), kind="reversal", corrects="lin_1", corrects_invoice="inv_1")
    other = replace(back, corrects="lin_2", corrects_invoice="inv_2", subscription_item="item-CALLS-2")
    assert build_invoice(HEAD, [back, billed("SLOT", 0)]).corrects == "inv_1"
    assert build_invoice(HEAD, [back, billed("SLOT", 1)]).corrects is None
    assert build_invoice(HEAD, [back, other]).corrects is None
    assert build_invoice(HEAD, [billed("SLOT", 0)]).corrects is None


def test_the_order_in_which_items_come_changes_nothing() -> None:
    items = [billed(product, amount, number=number) for product in "ABC" for number, amount in (("1", 5), ("2", 7))]
    shuffled = items.copy()
    Random(1).shuffle(shuffled)
    assert build_invoice(HEAD, shuffled) == build_invoice(HEAD, items)


def test_ids_derive_from_account_period_and_revision() -> None:
    start = datetime(2013, 1, 1, 5, tzinfo=UTC)
    ids = {
        invoice_id_of(account, at, revision)
        for account in ("UA", "AA")
        for at in (start, JANUARY.end_at)
        for revision in (1, 2)
    }
    assert len(ids) == 8
    assert build_invoice(HEAD, []).invoice_id == invoice_id_of("UA", start, 1)
    assert all(len(found) == 30 and found.startswith("inv_") for found in ids)
    lines = build_invoice(HEAD, [billed("A", 1), billed("B", 2)]).lines
    assert len({line.line_id for line in lines}) == 2


# EN 16931 rounds the tax of a group, not of a line: 3 lines of 0.33 at 20 % are 0.20, not 3 x 0.07.
@pytest.mark.parametrize(
    ("amounts", "rate", "expected"),
    [
        ([33, 33, 33], "20", 20),
        ([1, 1], "25", 1),
        ([10], "5", 1),
        ([-10], "5", -1),
        ([111_457], "20", 22_291),
        ([], "20", 0),
    ],
)
def test_tax_is_rounded_once_on_the_group_half_away_from_zero(amounts: list[int], rate: str, expected: int) -> None:
    tax = LineTax(category="standard", rate_percent=Decimal(rate))
    assert sum(group.tax_minor for group in taxes_of((tax, amount) for amount in amounts)) == expected


@given(st.integers(-(10**12), 10**12), st.decimals(0, 100, places=3))
def test_tax_is_within_half_a_cent_and_mirrors_for_credits(taxable: int, rate: Decimal) -> None:
    tax = tax_minor(taxable, rate)
    assert abs(Fraction(taxable) * Fraction(rate) / 100 - tax) <= Fraction(1, 2)
    assert tax_minor(-taxable, rate) == -tax
