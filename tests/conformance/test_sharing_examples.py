"""Amounts shared by weights, points and their revenue: published examples of others, with their result."""

from decimal import Decimal

import pytest

from fakturo.engine.loyalty import Lot, deferral, released_by
from fakturo.engine.money import allocate
from fakturo.schemas.events.contracts import LoyaltyProgramme

SHARES = [
    # moneyphp/money, doc/features/allocation.rst: 5 cents by 70 and 30, and the other way round; 8.00 in three.
    (5, [70, 30], (4, 1)),
    (5, [30, 70], (2, 3)),
    (800, [1, 1, 1], (267, 267, 266)),
    # dinerojs.com/api/mutations/allocate: 5.00 by percentages.
    (500, [50, 50], (250, 250)),
    # dinerojs/dinero.js, discussion 423: 519.98 in ten are eight times 52.00 and two times 51.99.
    (51998, [1] * 10, (5200,) * 8 + (5199,) * 2),
    # scurker/currency.js, issue 410: 2.00 by 50, 25, 25.
    (200, [50, 25, 25], (100, 50, 50)),
    # archipel-des-libertes.fr, largest remainders method: four seats by 500, 300, 110 and 20 votes.
    (4, [500, 300, 110, 20], (2, 1, 1, 0)),
    # Wikipedia, Apportionment paradox, Alabama paradox: C has a seat less of 11 than of 10.
    (10, [6, 6, 2], (4, 4, 2)),
    (11, [6, 6, 2], (5, 5, 1)),
]


@pytest.mark.parametrize(("total", "weights", "shares"), SHARES)
def test_a_published_share_comes_out(total: int, weights: list[int], shares: tuple[int, ...]) -> None:
    assert allocate(total, weights) == shares


def programme(point_amount: str, redemption_percent: str) -> LoyaltyProgramme:
    return LoyaltyProgramme(
        code="p",
        points_per_unit=Decimal("0.1"),
        point_amount=Decimal(point_amount),
        redemption_percent=Decimal(redemption_percent),
    )


# Amounts are whole in the sources, so they are in a currency without decimals here.
DEFERRED = [
    # IFRS 15, Example 52 (IE267-IE270): sales of 100,000, 10,000 points of 1, 95 % expected: 8,676 are deferred.
    ("IFRS 15, Example 52", 100_000, 10_000, programme("1", "95"), 8_676),
    # scribd.com/presentation/318115841, Illustration IFRS 15: 7,200,000, 10,000 points of 100, 80 %: 720,000.
    ("grocery retailer", 7_200_000, 10_000, programme("100", "80"), 720_000),
]


@pytest.mark.parametrize(("net", "points", "terms", "deferred"), [case[1:] for case in DEFERRED])
def test_the_published_part_of_a_sale_belongs_to_its_points(
    net: int, points: int, terms: LoyaltyProgramme, deferred: int
) -> None:
    assert deferral(net, "JPY", points, terms) == deferred


RELEASED = [
    # IFRS 15, Example 52: 4,500 of 9,500 expected points release 4,110 of 8,676.
    ("IFRS 15, Example 52", 8_676, "95", 4_500, 4_110),
    # KPMG, Revenue - IFRS 15 handbook (2019), Example 10A: 4,500 of 9,700 expected points release 4,175 of 9,000.
    ("KPMG, Example 10A", 9_000, "97", 4_500, 4_175),
]


@pytest.mark.parametrize(("deferred", "expected_percent", "redeemed", "released"), [case[1:] for case in RELEASED])
def test_the_published_revenue_is_released_when_points_are_redeemed(
    deferred: int, expected_percent: str, redeemed: int, released: int
) -> None:
    lot = Lot(
        lot_id="l",
        programme="p",
        currency="JPY",
        points=10_000,
        point_amount=Decimal(1),
        redemption_percent=Decimal(expected_percent),
        deferred_minor=deferred,
    )
    assert released_by(lot, redeemed) == released
