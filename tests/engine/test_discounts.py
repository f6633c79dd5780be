"""Discounts: amounts by hand, shares that add up, nothing below zero, the documented order."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.discounts import (
    CoveredLine,
    Offer,
    after,
    cap_shares,
    is_usable,
    percent_of,
    take,
    use_coupons,
)
from fakturo.schemas.events.contracts import Coupon

DAY = date(2026, 8, 31)


def coupon(code: str, **given_fields: Any) -> Coupon:
    """Return a coupon of 10 %, for ever, or as given."""
    fields: dict[str, Any] = {"description": code, "duration": "forever", **given_fields}
    if "amount_minor" not in fields:
        fields.setdefault("percent", Decimal(10))
    else:
        fields.setdefault("currency", "EUR")
    return Coupon(code=code, **fields)


def offer(code: str, *, used_count: int = 0, subscription_id: str | None = None, **fields: Any) -> Offer:
    """Return a coupon held by `code`."""
    return Offer(
        holder_id=f"grant/{code}",
        coupon=coupon(code, **fields),
        used_count=used_count,
        subscription_id=subscription_id,
    )


def lines(*amounts: int, product: str = "P", subscription_id: str = "S") -> list[CoveredLine]:
    """Return lines of these amounts."""
    return [
        CoveredLine(subscription_id=subscription_id, account="A", product_code=product, amount_minor=amount)
        for amount in amounts
    ]


def used(offers: list[Offer], of: list[CoveredLine], **budgets: int) -> list[tuple[str, int]]:
    """Return (code, amount) of the coupons used."""
    found = use_coupons(offers, of, [line.amount_minor for line in of], budgets)
    return [(use.offer.coupon.code, use.amount_minor) for use in found]


def test_coupons_stack_by_priority_then_code_each_on_what_the_one_before_left() -> None:
    """200.00: 10 % is 20.00, of the 180.00 left 5.00, of the 175.00 left 20 %, 35.00."""
    offers = [
        offer("C", percent=Decimal(20), priority=200),
        offer("B", amount_minor=500),
        offer("A", percent=Decimal(10)),
    ]
    assert used(offers, lines(15_000, 5_000)) == [("A", -2_000), ("B", -500), ("C", -3_500)]


def test_an_amount_takes_no_more_than_is_left_of_the_lines_it_covers() -> None:
    products = [*lines(3_000, product="X"), *lines(7_000, product="Y")]
    assert used([offer("B", amount_minor=5_000, products=("X",))], products) == [("B", -3_000)]


def test_a_percentage_is_rounded_once_on_the_sum_half_away_from_zero() -> None:
    """3 x 0.05 at 10 % is 0.015 and so 0.02; by line it would have been 3 x 0.01."""
    assert used([offer("A")], lines(5, 5, 5)) == [("A", -2)]
    assert (percent_of(100, Decimal("12.5")), percent_of(-100, Decimal("12.5"))) == (13, -13)


def test_one_that_does_not_stack_is_used_alone_and_only_where_it_saves_more() -> None:
    stack = [offer("A"), offer("B", amount_minor=500)]
    assert used([*stack, offer("SOLO", percent=Decimal(30), stackable=False)], lines(10_000)) == [("SOLO", -3_000)]
    assert used([*stack, offer("SOLO", percent=Decimal(15), stackable=False)], lines(10_000)) == [
        ("A", -1_000), ("B", -500),
    ]  # fmt: skip


def test_a_budget_bounds_what_all_uses_of_a_code_save_together() -> None:
    offers = [
        Offer(holder_id="1", coupon=coupon("A"), subscription_id="S"),
        Offer(holder_id="2", coupon=coupon("A"), subscription_id="T"),
    ]
    of = [*lines(10_000), *lines(10_000, subscription_id="T")]
    assert used(offers, of, A=1_500) == [("A", -1_000), ("A", -500)]
    assert used(offers, of, A=0) == []


def test_one_code_covers_a_line_once_whoever_gave_it() -> None:
    offers = [
        Offer(holder_id="1", coupon=coupon("A"), subscription_id="S"),
        Offer(holder_id="2", coupon=coupon("A")),
    ]
    assert used(offers, [*lines(10_000), *lines(6_000, subscription_id="T")]) == [("A", -1_000), ("A", -600)]


@pytest.mark.parametrize(
    ("fields", "used_count", "usable"),
    [
        ({"duration": "once"}, 0, True),
        ({"duration": "once"}, 1, False),
        ({"duration": "periods", "periods": 3}, 2, True),
        ({"duration": "periods", "periods": 3}, 3, False),
        ({"duration": "forever"}, 999, True),
        ({"expires_on": date(2026, 9, 1)}, 0, True),
        ({"expires_on": date(2026, 8, 31)}, 0, False),
        ({"currency": "USD"}, 0, False),
        ({"amount_minor": 5, "currency": "EUR"}, 0, True),
        ({"amount_minor": 5, "currency": None}, 0, False),
    ],
)
def test_a_coupon_is_usable_so_long_as_it_lasts_in_its_currency(
    fields: dict[str, Any], used_count: int, usable: bool
) -> None:
    assert is_usable(offer("A", used_count=used_count, **fields), "EUR", DAY) == usable


def test_a_spend_cap_counts_what_the_period_billed_before_and_gives_back_what_a_correction_frees() -> None:
    """Cap 100.00: 60.00 billed, 70.00 now: 30.00 comes off. Then -20.00: 110.00 in all, so 10.00 should have come off,
    and 20.00 of it goes back. Then -40.00: 70.00 in all, the last 10.00 goes back."""
    assert cap_shares([7_000], [0], 10_000, 6_000, 0) == (-3_000,)
    assert cap_shares([-2_000], [0], 10_000, 13_000, 3_000) == (2_000,)
    assert cap_shares([-4_000], [0], 10_000, 11_000, 1_000) == (1_000,)


amounts = st.lists(st.integers(min_value=-50_000, max_value=100_000), min_size=1, max_size=6)


@given(amounts, st.integers(min_value=0, max_value=400_000))
def test_what_is_taken_adds_up_and_leaves_no_line_and_no_document_below_zero(left: list[int], wanted: int) -> None:
    shares = take(left, range(len(left)), wanted)
    assert -sum(shares) == max(0, min(wanted, sum(left)))
    assert all(share <= 0 for share in shares)
    assert all(now >= min(was, 0) for was, now in zip(left, after(left, shares), strict=True))


@given(st.lists(amounts, min_size=1, max_size=5), st.integers(min_value=0, max_value=200_000))
def test_the_bills_of_a_period_under_a_cap_add_up_to_one_bill_at_the_end(bills: list[list[int]], cap: int) -> None:
    billed = capped = net = 0
    for bill in bills:
        shares = cap_shares(bill, range(len(bill)), cap, billed, capped)
        billed += sum(bill)
        capped -= sum(shares)
        net += sum(bill) + sum(shares)
        assert net == min(billed, cap)


offers_strategy = st.lists(
    st.builds(
        lambda number, percent, amount, priority, stackable, products: offer(
            f"C{number}",
            priority=priority,
            stackable=stackable,
            products=products,
            **({"amount_minor": amount} if amount else {"percent": Decimal(percent)}),
        ),
        st.integers(min_value=0, max_value=3),
        st.integers(min_value=0, max_value=120),
        st.one_of(st.none(), st.integers(min_value=1, max_value=50_000)),
        st.integers(min_value=0, max_value=3),
        st.booleans(),
        st.sampled_from([(), ("X",), ("X", "Y")]),
    ),
    max_size=5,
    unique_by=lambda found: found.holder_id,
)


@given(offers_strategy, amounts, st.dictionaries(st.sampled_from(["C0", "C1"]), st.integers(0, 20_000)), st.randoms())
def test_coupons_stay_in_their_budgets_and_come_out_the_same_in_any_order(
    offers: list[Offer], values: list[int], budgets: dict[str, int], chance: Any
) -> None:
    of = [
        CoveredLine(subscription_id="S", account="A", product_code="XYZ"[index % 3], amount_minor=value)
        for index, value in enumerate(values)
    ]
    found = use_coupons(offers, of, values, budgets)
    left = list(values)
    for use in found:
        assert sum(use.shares) == use.amount_minor < 0
        left = list(after(left, use.shares))
    assert all(now >= min(was, 0) for was, now in zip(values, left, strict=True))
    assert sum(left) >= min(0, sum(values))
    for code, budget in budgets.items():
        assert -sum(use.amount_minor for use in found if use.offer.coupon.code == code) <= budget
    shuffled = list(offers)
    chance.shuffle(shuffled)
    assert use_coupons(shuffled, of, values, budgets) == found
