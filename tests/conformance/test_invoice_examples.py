"""Whole invoices that others published: the examples of EN 16931, and coupons, tax and credit at once.

Source    ConnectingEurope/eInvoicing-EN16931, ubl/examples (the European Commission's examples of the standard);
          docs.flexprice.io/docs/invoices/calculation, Worked example; help.shopify.com, Combining discounts, Examples.
          Input and results are theirs, in minor units. A document level charge is a line here, an allowance a discount.
"""

from datetime import date
from decimal import Decimal

import pytest

from fakturo.engine.discounts import CoveredLine, Offer, take, use_coupons
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead, build_invoice, sorted_items
from fakturo.engine.periods import month_period
from fakturo.engine.wallets import Grant, burn_down
from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.invoices import LineTax, Party

JUNE = month_period(date(2026, 6, 1), "UTC")
HEAD = InvoiceHead(
    account="A",
    customer=Party(name="A"),
    seller=Party(name="S"),
    currency="EUR",
    period=JUNE,
    zone="UTC",
    terms_days=30,
)
Line = tuple[int, str, str]
"""Amount in minor units, tax category, rate in percent."""

EN_1 = [
    *((amount, "S", "6") for amount in (1990, 985, 829, 1446, 3500, 3500, 1065, 155, 1437, 829, 1658, 995, 330)),
    (1080, "S", "21"),
    (390, "S", "6"),
    (760, "S", "21"),
    (934, "S", "21"),
    (1863, "S", "21"),
    (10212, "S", "6"),
    (-10998, "S", "6"),
]
EN_2 = [(127300, "S", "25"), (-396, "S", "15"), (496, "S", "15"), (-2500, "E", "0"), (18750, "S", "25")]
EN_8 = [(amount, "S", "21") for amount in (14080, 1616, 16764, 8874, 3675, 5650, 8334, 19031, 6421, 6446)]

EXAMPLES = [
    ("ubl-tc434-example1", EN_1, 0, {("S", "6"): (18323, 1099), ("S", "21"): (4637, 974)}, (22960, 2073, 25033)),
    (
        "ubl-tc434-example2, an allowance and a charge of 100",
        [*EN_2, (10000, "S", "25")],
        10000,
        {("S", "25"): (146050, 36513), ("S", "15"): (100, 15), ("E", "0"): (-2500, 0)},
        (143650, 36528, 180178),
    ),
    (
        "ubl-tc434-example3, a charge of 100",
        [(80000, "S", "25"), (80000, "S", "10"), (10000, "S", "25")],
        0,
        {("S", "25"): (90000, 22500), ("S", "10"): (80000, 8000)},
        (170000, 30500, 200500),
    ),
    (
        "ubl-tc434-example5, an allowance and a charge of 150",
        [(100000, "S", "25"), (50000, "S", "25"), (250000, "S", "12"), (15000, "S", "25")],
        15000,
        {("S", "25"): (150000, 37500), ("S", "12"): (250000, 30000)},
        (400000, 67500, 467500),
    ),
    (
        "ubl-tc434-example7, out of scope",
        [(250000, "O", "0"), (70000, "O", "0")],
        0,
        {("O", "0"): (320000, 0)},
        (320000, 0, 320000),
    ),
    ("ubl-tc434-example8", EN_8, 0, {("S", "21"): (90891, 19087)}, (90891, 19087, 109978)),
    ("ubl-tc434-example9", [(14700, "S", "21")], 0, {("S", "21"): (14700, 3087)}, (14700, 3087, 17787)),
    (
        "guide-example3, a charge of 100",
        [(40000, "S", "25"), (40000, "S", "25"), (10000, "S", "25")],
        0,
        {("S", "25"): (90000, 22500)},
        (90000, 22500, 112500),
    ),
]


def items(lines: list[Line]) -> tuple[BilledItem, ...]:
    return sorted_items(
        BilledItem(
            subscription_item=f"{index:02}",
            product_code=f"{index:02}",
            description="P",
            explanation="",
            quantity=Decimal(1),
            amount_exact=Decimal(amount).scaleb(-2),
            amount_minor=amount,
            period=JUNE,
            tax=LineTax(category=category, rate_percent=Decimal(rate)),
            price_hash="h",
        )
        for index, (amount, category, rate) in enumerate(lines)
    )


def allowance(billed: tuple[BilledItem, ...], amount_minor: int, rate: str) -> AppliedDiscount:
    covered = [index for index, item in enumerate(billed) if item.tax.rate_percent == Decimal(rate)]
    shares = take([item.amount_minor for item in billed], covered, amount_minor)
    return AppliedDiscount(kind="coupon", code=None, description="", amount_minor=-amount_minor, shares=shares)


@pytest.mark.parametrize(
    ("lines", "allowed", "groups", "totals"), [case[1:] for case in EXAMPLES], ids=[case[0] for case in EXAMPLES]
)
def test_an_example_of_en_16931_comes_out_to_the_cent(
    lines: list[Line], allowed: int, groups: dict[tuple[str, str], tuple[int, int]], totals: tuple[int, int, int]
) -> None:
    billed = items(lines)
    discounts = [allowance(billed, allowed, "25")] if allowed else []
    invoice = build_invoice(HEAD, billed, discounts=discounts)
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == totals
    assert {
        (tax.category, f"{tax.rate_percent:f}"): (tax.taxable_minor, tax.tax_minor) for tax in invoice.taxes
    } == groups
    assert sum(line.tax_minor for line in invoice.lines) == invoice.tax_minor


def offer(
    code: str, priority: int, *, percent: int | None = None, amount: int | None = None, product: str = ""
) -> Offer:
    coupon = Coupon(
        code=code,
        description="",
        percent=None if percent is None else Decimal(percent),
        amount_minor=amount,
        currency=None if amount is None else "EUR",
        priority=priority,
        products=(product,) if product else (),
    )
    return Offer(holder_id=code, coupon=coupon)


def covered(lines: list[int]) -> list[CoveredLine]:
    return [
        CoveredLine(subscription_id="s", account="A", product_code=f"{index:02}", amount_minor=amount)
        for index, amount in enumerate(lines)
    ]


def test_the_worked_example_of_flexprice_with_coupons_tax_and_credit() -> None:
    # 80 + 20; 25 % off the first line; 10 off; tax of 8.25 % on 70 is 5.78; 5 of credit leave 70.78 to pay.
    billed = items([(8000, "S", "8.25"), (2000, "S", "8.25")])
    offers = [offer("CALLS", 1, percent=25, product="00"), offer("TEN", 2, amount=1000)]
    used = use_coupons(offers, covered([8000, 2000]), [8000, 2000], {})
    assert [use.amount_minor for use in used] == [-2000, -1000]
    discounts = [
        AppliedDiscount(
            kind="coupon",
            code=use.offer.coupon.code,
            description="",
            amount_minor=use.amount_minor,
            shares=use.shares,
        )
        for use in used
    ]
    invoice = build_invoice(HEAD, billed, discounts=discounts)
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (7000, 578, 7578)
    draws = burn_down([Grant(grant_id="g", left_minor=500)], invoice.total_minor, date(2026, 7, 1))
    assert invoice.total_minor - sum(draw.amount_minor for draw in draws) == 7078


def test_two_coupons_of_ten_percent_are_nineteen() -> None:
    """docs.flexprice.io, Invoice calculation order, Coupon chaining."""
    used = use_coupons([offer("A", 1, percent=10), offer("B", 2, percent=10)], covered([10000]), [10000], {})
    assert sum(use.amount_minor for use in used) == -1900


def test_an_amount_off_one_product_and_then_a_percentage_off_the_rest() -> None:
    """help.shopify.com: trousers 100, shirt 50, boots 200; 20 off trousers, then 10 % off 330: 297."""
    lines = [10000, 5000, 20000]
    offers = [offer("20offPants", 1, amount=2000, product="00"), offer("10offOrder", 2, percent=10)]
    assert sum(lines) + sum(use.amount_minor for use in use_coupons(offers, covered(lines), lines, {})) == 29700


def test_two_amounts_off_two_products() -> None:
    """help.shopify.com: trousers 100, shirt 50, boots 200; 20 off trousers and 10 off shirts: 320."""
    lines = [10000, 5000, 20000]
    offers = [offer("20offPants", 1, amount=2000, product="00"), offer("10offShirts", 2, amount=1000, product="01")]
    assert sum(lines) + sum(use.amount_minor for use in use_coupons(offers, covered(lines), lines, {})) == 32000
