"""KPI formulas: the reference's examples, and exact rounding checked with fractions."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.kpi import DEFINITIONS, Sums, next_renewal, open_receivables, usage_trend, window_values


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
        "days_to_pay",
        "on_time_rate",
        "sales_cycle",
    }


def test_every_kpi_has_a_definition():
    assert {*values(), "open_receivables", "mrr", "usage_trend", "next_renewal_on"} == set(DEFINITIONS)


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


def test_half_of_the_money_in_time_is_a_rate_of_50_percent_and_days_to_pay_weigh_by_amount():
    # 100.00 paid after 10 days, in time, and 100.00 after 50 days, late: (10 + 50) / 2 = 30 days.
    found = values(settled_minor=20_000, on_time_minor=10_000, age_minor_days=10_000 * 10 + 10_000 * 50)
    assert (found["on_time_rate"].value, found["days_to_pay"].value) == (50, 30)


def test_usage_of_150_after_120_has_grown_by_a_quarter():
    assert usage_trend(15_000, 12_000, 2).value == 25
    assert usage_trend(6_000, 12_000, 2).value == -50
    assert usage_trend(6_000, 0, 2).value is None


def test_a_date_is_told_in_days_since_1970():
    assert next_renewal(date(1970, 1, 31)).value == 30
    assert next_renewal(None).value is None
