"""Date literals by a calendar that can be checked by hand: today is Thursday, 26 November 2026.

Source    SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE".
"""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.cli.sandbox.soql.errors import SoqlError
from fakturo.cli.sandbox.soql.periods import is_period, period

TODAY = date(2026, 11, 26)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("YESTERDAY", "2026-11-25", "2026-11-26"),
        ("TODAY", "2026-11-26", "2026-11-27"),
        ("TOMORROW", "2026-11-27", "2026-11-28"),
        ("THIS_WEEK", "2026-11-22", "2026-11-29"),  # Sunday to Saturday
        ("LAST_WEEK", "2026-11-15", "2026-11-22"),
        ("NEXT_WEEK", "2026-11-29", "2026-12-06"),
        ("THIS_MONTH", "2026-11-01", "2026-12-01"),
        ("LAST_MONTH", "2026-10-01", "2026-11-01"),
        ("NEXT_MONTH", "2026-12-01", "2027-01-01"),
        ("THIS_QUARTER", "2026-10-01", "2027-01-01"),
        ("LAST_FISCAL_QUARTER", "2026-07-01", "2026-10-01"),
        ("NEXT_QUARTER", "2027-01-01", "2027-04-01"),
        ("THIS_YEAR", "2026-01-01", "2027-01-01"),
        ("LAST_YEAR", "2025-01-01", "2026-01-01"),
        ("LAST_90_DAYS", "2026-08-28", "2026-11-27"),
        ("NEXT_90_DAYS", "2026-11-27", "2027-02-25"),
        ("LAST_N_DAYS:30", "2026-10-27", "2026-11-27"),
        ("NEXT_N_DAYS:2", "2026-11-27", "2026-11-29"),
        ("N_DAYS_AGO:3", "2026-11-23", "2026-11-24"),
        ("LAST_N_WEEKS:2", "2026-11-08", "2026-11-22"),
        ("N_WEEKS_AGO:1", "2026-11-15", "2026-11-22"),
        ("LAST_N_MONTHS:12", "2025-11-01", "2026-11-01"),
        ("NEXT_N_MONTHS:2", "2026-12-01", "2027-02-01"),
        ("N_MONTHS_AGO:11", "2025-12-01", "2026-01-01"),
        ("LAST_N_QUARTERS:2", "2026-04-01", "2026-10-01"),
        ("NEXT_N_YEARS:1", "2027-01-01", "2028-01-01"),
        ("N_YEARS_AGO:26", "2000-01-01", "2001-01-01"),
    ],
)
def test_a_date_literal_is_a_stretch_of_days(name: str, start: str, end: str) -> None:
    assert is_period(name)
    assert period(name, TODAY, 0) == (date.fromisoformat(start), date.fromisoformat(end))


@pytest.mark.parametrize("name", ["LAST_N_DAYS", "N_DAYS:3", "LAST_N_DAYS_AGO:3", "THIS_DAY", "LAST_N_HOURS:2", "X"])
def test_what_is_no_date_literal_is_none(name: str) -> None:
    assert not is_period(name)


def test_a_period_beyond_the_calendar_is_malformed() -> None:
    with pytest.raises(SoqlError, match="beyond the calendar"):
        period("N_YEARS_AGO:9999", TODAY, 0)


@given(st.dates(date(1950, 1, 1), date(2150, 1, 1)), st.sampled_from(["WEEK", "MONTH", "QUARTER", "YEAR"]))
def test_last_this_and_next_follow_each_other_and_hold_today_between(today: date, unit: str) -> None:
    last, this, following = (period(f"{which}_{unit}", today, 0) for which in ("LAST", "THIS", "NEXT"))

    assert last[1] == this[0] <= today < this[1] == following[0]
    assert timedelta(7) <= this[1] - this[0] <= timedelta(366)
