"""Posting rules: legs by the accounting reference, and balance for any amounts."""

from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import InvariantBroken
from fakturo.engine.postings import CHART, Settlement, post_invoice, post_payment, post_return, post_void
from fakturo.schemas.codec import decode_event
from fakturo.schemas.events.invoices import CreditApplied, InvoiceDiscount, LoyaltyMovement

amounts = st.integers(min_value=0, max_value=10**15)
settlements = st.lists(st.builds(Settlement, party=st.just("UA"), invoice_id=st.text(min_size=1), amount_minor=amounts))


@given(settlements, amounts, amounts)
def test_a_payment_and_its_full_return_balance_and_cancel_out(settled, credit, fee):
    shared = {"account": "UA", "currency": "EUR", "settlements": settled, "credit_minor": credit}
    paid, returned = post_payment(fee_minor=fee, **shared), post_return(fee_minor=0, **shared)
    assert sum(line.amount_minor for line in paid) == sum(line.amount_minor for line in returned) == 0
    assert all(line.amount_minor for line in (*paid, *returned))
    left: dict[str, int] = {}
    for line in (*paid, *returned):
        left[line.account_code] = left.get(line.account_code, 0) + line.amount_minor
    assert {code: amount for code, amount in left.items() if amount} == ({"6200": fee, "1020": -fee} if fee else {})


@given(settlements, amounts)
def test_accounts_kept_by_customer_name_one_and_the_others_none(settled, credit):
    for line in post_payment(account="DL", currency="EUR", fee_minor=1, settlements=settled, credit_minor=credit):
        assert (line.party is not None) == CHART[line.account_code].by_party
        assert line.account_name == CHART[line.account_code].name


@pytest.fixture
def invoice():
    """Return the example invoice of the contracts."""
    return decode_event(
        files("fakturo.schemas.examples").joinpath("fakturo.invoice.finalized.v1.json").read_bytes()
    ).data


def test_an_invoice_with_credits_is_owed_less_and_its_revenue_stays(invoice):
    given = msgspec.structs.replace(
        invoice, subtotal_minor=1_000, tax_minor=89, total_minor=1_089, credits_applied_minor=89, amount_due_minor=1_000
    )
    assert {line.account_code: line.amount_minor for line in post_invoice(given)} == {
        "1200": 1_000,
        "2300": 89,
        "4000": -1_000,
        "2100": -89,
    }


def test_an_invoice_whose_sums_disagree_makes_no_journal(invoice):
    with pytest.raises(InvariantBroken, match="1 minor units"):
        post_invoice(msgspec.structs.replace(invoice, amount_due_minor=invoice.amount_due_minor + 1))


def test_a_void_takes_back_discounts_prepaid_credit_and_what_of_the_sale_still_waits_for_points(invoice):
    """Gross 1,100.00, coupon 100.00, net 1,000.00, VAT 200.00; 50.00 paid by credit. Of 38.46 deferred 19.23 were
    released since, so the void takes back 19.23 of 2210 and the released revenue with the rest of 4000."""
    sold = msgspec.structs.replace(
        invoice,
        discounts=(InvoiceDiscount(description="TEN", amount_minor=-10_000),),
        loyalty=LoyaltyMovement(programme="P", points_earned=1_000, deferred_minor=3_846),
        credits=(CreditApplied(grant_id="g", amount_minor=5_000),),
        subtotal_minor=100_000,
        tax_minor=20_000,
        total_minor=120_000,
        credits_applied_minor=5_000,
        amount_due_minor=115_000,
    )
    back = msgspec.structs.replace(
        sold, loyalty=LoyaltyMovement(programme="P", points_earned=600, deferred_minor=1_923)
    )
    assert _amounts(post_invoice(sold)) == {
        "1200": 115_000, "2320": 5_000, "4090": 10_000, "4000": -106_154, "2210": -3_846, "2100": -20_000,
    }  # fmt: skip
    assert _amounts(post_void(back, open_minor=115_000)) == {
        "1200": -115_000, "2320": -5_000, "4090": -10_000, "4000": 108_077, "2210": 1_923, "2100": 20_000,
    }  # fmt: skip


def _amounts(lines):
    return {line.account_code: line.amount_minor for line in lines}
