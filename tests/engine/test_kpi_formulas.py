"""KPI formulas: the reference's examples, and exact rounding checked with fractions."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.kpi import DEFINITIONS, Sums, open_receivables, window_values


def values(window="30d", customers=1, receivable_minor=0, minor_digits=2, **sums):
    found = window_values(window, Sums(**sums), customers, receivable_minor, minor_digits)
    return {value.kpi: value for value in found}


def test_dso_of_600_open_and_500_invoiced_in_30_days_is_36():
    dso = values(receivable_minor=60_000, gross_minor=50_000)["dso"]
    assert (dso.value, dso.unit, dso.numerator, dso.denominator) == (36, "days", 18_000, 500)


def test_lifetime_has_no_dso_and_receivables_have_one_window():
    assert "dso" not in values("lifetime", gross_minor=1)
    assert open_receivables(-5, 3).value == Decimal("-0.005")
    assert open_receivables(-5, 3).window == "now"


def test_ratios_without_a_denominator_have_no_value():
    found = values(customers=0)
    assert {kpi for kpi, value in found.items() if value.value is None} == {
        "average_invoice",
        "purchase_frequency",
        "dso",
        "payment_delay",
    }


def test_every_kpi_has_a_definition():
    assert {*values(), "open_receivables"} == set(DEFINITIONS)


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6), st.sampled_from([0, 2, 3]))
def test_an_average_is_the_nearest_amount_and_a_half_goes_away_from_zero(net_minor, invoices, digits):
    found = values(net_minor=net_minor, invoices=invoices, minor_digits=digits)["average_invoice"].value
    error = Fraction(net_minor, invoices) - Fraction(found) * 10**digits
    assert abs(error) <= Fraction(1, 2)
    if abs(error) == Fraction(1, 2):
        assert abs(Fraction(found) * 10**digits) > abs(Fraction(net_minor, invoices))


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**9))
def test_lifetime_value_is_revenue_less_costs_exactly(net_minor, cost_minor):
    found = values(net_minor=net_minor, fees_minor=cost_minor, bad_debt_minor=1)["lifetime_value"].value
    assert found * 100 == net_minor - cost_minor - 1
