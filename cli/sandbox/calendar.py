"""The end of a term of months, as Contract.EndDate has it.

Place     derived.py -> [this]
Source    Object Reference, Contract: the end date is the day before the start date plus the term in months.
"""

import calendar
from datetime import date, timedelta


def add_months_less_a_day(start_on: str, months: int) -> str:
    """Return the last day of a term: `2026-01-15` and 12 give `2027-01-14`; a month without that day ends it."""
    start = date.fromisoformat(start_on)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return (date(year, month + 1, day) - timedelta(days=1)).isoformat()
