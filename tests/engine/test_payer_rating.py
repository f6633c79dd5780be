"""A letter for how well a customer pays."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.payer_rating import payer_rating


@pytest.mark.parametrize(
    ("percent", "letter"),
    [("100", "A"), ("95", "A"), ("94.9999", "B"), ("85", "B"), ("84", "C"), ("70", "C"), ("69", "D"), ("50", "D")],
)
def test_the_best_letter_whose_percentage_is_reached_counts(percent: str, letter: str) -> None:
    assert payer_rating(Decimal(percent)) == letter


def test_without_a_payment_there_is_no_rating() -> None:
    assert payer_rating(None) is None


@given(st.decimals(-500, 500, places=4), st.decimals(-500, 500, places=4))
def test_who_pays_more_on_time_is_never_rated_worse(one: Decimal, other: Decimal) -> None:
    worse, better = sorted((one, other))
    # The letters' own order is best first.
    assert str(payer_rating(better)) <= str(payer_rating(worse))
