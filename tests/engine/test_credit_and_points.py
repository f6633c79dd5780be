"""Credit, points and commitments: published figures and amounts by hand, order of use, nothing below zero."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.commitments import counts, is_due, shortfall
from fakturo.engine.errors import PriceError
from fakturo.engine.loyalty import (
    Lot,
    claim,
    deferral,
    expiry_of,
    points_earned,
    redeem,
    released_by,
    released_by_expiry,
)
from fakturo.engine.periods import date_period
from fakturo.engine.wallets import Grant, burn_down, exact_minor
from fakturo.schemas.events.contracts import Commitment, LoyaltyProgramme

DAY = date(2026, 8, 31)
MILES = LoyaltyProgramme(
    code="MILES", points_per_unit=Decimal(1), point_amount=Decimal("0.05"), redemption_percent=Decimal(80)
)


def lot(**given_fields: object) -> Lot:
    """Return the lot of J12: 1,000 points of 0.05, 80 % expected, 38.46 deferred; or as given."""
    fields: dict[str, object] = {
        "lot_id": "inv_1", "programme": "MILES", "currency": "EUR", "points": 1_000, "point_amount": Decimal("0.05"),
        "redemption_percent": Decimal(80), "deferred_minor": 3_846,
    }  # fmt: skip
    return Lot(**{**fields, **given_fields})  # type: ignore[arg-type]


def test_grants_are_used_by_priority_then_the_earliest_expiry_then_id() -> None:
    grants = [
        Grant(grant_id="d", left_minor=100),
        Grant(grant_id="c", left_minor=100, expires_on=date(2027, 1, 1)),
        Grant(grant_id="b", left_minor=100, expires_on=date(2026, 9, 1)),
        Grant(grant_id="a", left_minor=100, expires_on=date(2026, 9, 1)),
        Grant(grant_id="first", left_minor=50, priority=1),
        Grant(grant_id="over", left_minor=100, priority=0, expires_on=DAY),
    ]
    draws = burn_down(grants, 380, DAY)
    assert [(draw.grant.grant_id, draw.amount_minor) for draw in draws] == [
        ("first", 50), ("a", 100), ("b", 100), ("c", 100), ("d", 30),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 1_000), max_size=8), st.integers(0, 5_000))
def test_a_burn_down_pays_what_is_asked_or_all_there_is(lefts: list[int], wanted: int) -> None:
    grants = [Grant(grant_id=str(index), left_minor=left) for index, left in enumerate(lefts)]
    draws = burn_down(grants, wanted, DAY)
    assert sum(draw.amount_minor for draw in draws) == min(wanted, sum(lefts))
    assert all(0 < draw.amount_minor <= draw.grant.left_minor for draw in draws)


def test_an_amount_with_more_decimals_than_its_currency_is_refused() -> None:
    assert (exact_minor("12.50", "EUR", "$"), exact_minor("12", "JPY", "$"), exact_minor("0.001", "BHD", "$")) == (
        1_250, 12, 1,
    )  # fmt: skip
    with pytest.raises(PriceError, match=r"12\.345 has more decimals than EUR"):
        exact_minor("12.345", "EUR", "$.data.amount")


def test_points_are_earned_for_whole_units_of_the_currency() -> None:
    assert points_earned(100_099, "EUR", MILES) == 1_000
    assert points_earned(1_999, "EUR", replace_programme(points_per_unit=Decimal("1.5"))) == 28  # 19 x 1.5 = 28.5
    assert points_earned(1_999, "JPY", MILES) == 1_999
    assert points_earned(-5_000, "EUR", MILES) == 0


def replace_programme(**fields: Decimal) -> LoyaltyProgramme:
    """Return MILES with other terms."""
    return LoyaltyProgramme(
        code="MILES",
        points_per_unit=fields.get("points_per_unit", Decimal(1)),
        point_amount=fields.get("point_amount", Decimal("0.05")),
        redemption_percent=fields.get("redemption_percent", Decimal(80)),
    )


def test_the_deferral_of_a_sale_of_1000_with_1000_points_worth_40_is_38_46() -> None:
    """Accounting reference, J12: 1,000 x 40 / 1,040 = 38.4615..."""
    assert deferral(100_000, "EUR", 1_000, MILES) == 3_846


def test_ifrs_15_example_52_gives_its_own_figures() -> None:
    """Example 52: sales of 100,000 and 10,000 points of 1, 9,500 expected: the points get 8,676; 4,500 redeemed in the
    first year release 4,110 (8,676 x 4,500 / 9,500), in whole units."""
    programme = replace_programme(
        points_per_unit=Decimal("0.1"), point_amount=Decimal(1), redemption_percent=Decimal(95)
    )
    assert points_earned(100_000, "JPY", programme) == 10_000
    assert deferral(100_000, "JPY", 10_000, programme) == 8_676
    first_year = lot(
        currency="JPY", points=10_000, point_amount=Decimal(1), redemption_percent=Decimal(95), deferred_minor=8_676
    )
    assert released_by(first_year, 4_500) == 4_110


def test_ifrs_15_example_52_in_the_second_year_releases_cumulatively() -> None:
    """8,500 redeemed in all of 9,700 expected: 8,676 x 8,500 / 9,700 = 7,603, less the 4,110 of before: 3,493."""
    second_year = lot(
        points=10_000, redemption_percent=Decimal(97), deferred_minor=8_676, redeemed=4_500, released_minor=4_110
    )
    assert released_by(second_year, 4_000) == 3_493


def test_400_points_take_20_off_a_sale_and_release_19_23() -> None:
    """J12: 400 x 0.05 = 20.00; 38.46 x 400 / 800 = 19.23."""
    (part,) = redeem([(lot(claimed=400), 400)], 10_000, "EUR")
    assert (part.points, part.amount_minor, part.released_minor) == (400, 2_000, 1_923)


def test_points_beyond_the_net_amount_wait_for_the_next_invoice() -> None:
    """12.34 buys 246 points of 0.05 (12.30); the other 154 stay."""
    (part,) = redeem([(lot(claimed=400), 400)], 1_234, "EUR")
    assert (part.points, part.amount_minor) == (246, 1_230)
    assert redeem([(lot(claimed=400), 400)], 4, "EUR") == ()


def test_the_oldest_lot_is_claimed_first_and_never_more_than_there_is() -> None:
    old = lot(lot_id="b", earned_on=date(2026, 1, 1), claimed=900)
    new = lot(lot_id="a", earned_on=date(2026, 2, 1))
    assert [(part.lot_id, points) for part, points in claim([new, old], 300)] == [("b", 100), ("a", 200)]
    assert sum(points for _, points in claim([new, old], 5_000)) == 1_100


def test_points_expire_at_the_end_of_the_month_where_it_is_shorter() -> None:
    with_expiry = LoyaltyProgramme(code="M", points_per_unit=Decimal(1), point_amount=Decimal(1), expires_months=6)
    assert expiry_of(with_expiry, date(2026, 8, 31)) == date(2027, 2, 28)
    assert expiry_of(MILES, DAY) is None


def test_an_expiry_releases_what_no_claimed_point_waits_for() -> None:
    """Half of 38.46 was released for 400 points; with none claimed the rest, 19.23, goes; with 200 more claimed they
    keep 38.46 x 200 / 800, 9.62 (28.85 - 19.23), and 9.61 goes; when these 200 are redeemed, their 9.62 follows."""
    half = lot(claimed=400, redeemed=400, released_minor=1_923)
    assert released_by_expiry(half) == 1_923
    waiting = replace(half, claimed=600)
    assert released_by_expiry(waiting) == 961
    gone = replace(waiting, expired=400, released_minor=1_923 + 961)
    assert released_by(gone, 200) == 962


@given(
    st.integers(1, 5_000), st.integers(0, 100), st.integers(0, 100_000), st.lists(st.integers(1, 900), max_size=12),
    st.booleans(),
)  # fmt: skip
def test_a_lot_never_releases_more_than_was_deferred_and_all_of_it_once_it_is_used_up(
    points: int, percent: int, deferred: int, steps: list[int], expires: bool
) -> None:
    now = lot(points=points, redemption_percent=Decimal(percent), deferred_minor=deferred)
    for step in steps:
        part = min(step, now.free)
        released = released_by(now, part)
        assert released >= 0
        now = replace(
            now, claimed=now.claimed + part, redeemed=now.redeemed + part, released_minor=now.released_minor + released
        )
        assert now.released_minor <= deferred
    if expires and now.free:
        now = replace(now, released_minor=now.released_minor + released_by_expiry(now), expired=now.free)
    if not now.free:
        assert now.released_minor == deferred


def test_a_commitment_is_due_at_the_end_of_its_term_and_what_is_short_is_trued_up() -> None:
    year = Commitment(amount_minor=1_200_000, start_on=date(2026, 1, 1), end_on=date(2027, 1, 1))
    assert (is_due(year, date(2026, 12, 31)), is_due(year, date(2027, 1, 1))) == (False, True)
    assert (shortfall(year, 1_125_050), shortfall(year, 1_300_000)) == (74_950, 0)


def test_a_line_counts_towards_the_term_that_its_period_begins_in_by_local_date() -> None:
    year = Commitment(amount_minor=1, start_on=date(2026, 1, 1), end_on=date(2027, 1, 1))
    december = date_period(date(2026, 12, 1), date(2027, 1, 1), "America/New_York")
    january = date_period(date(2027, 1, 1), date(2027, 2, 1), "America/New_York")
    assert (counts(year, december, "America/New_York"), counts(year, january, "America/New_York")) == (True, False)
